"""A session of requests whose connections end in time, whatever a server still sends.

A timeout of requests holds for each piece that arrives. A server that sends a byte a minute, of its
answer's head or between the pieces of its body, would be waited for without end.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import connection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

RETRY_SECONDS = 1.0
"""How often a connection that was still being made when its time was over is ended again."""


class Watch:
    """Watches the clock in a thread, and ends the connection when its time is over."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether the time was over before the block was left."""
        self.socket: Callable[[], socket.socket | None] = lambda: None
        """Returns the socket of the connection, once there is one."""
        self._until = math.inf
        self._left = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch while the block runs."""
        self.is_over, self._left, self._until = False, False, math.inf
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._left = True
                self._changed.notify()
            thread.join()
            self.socket = lambda: None

    def allow(self, seconds: float) -> None:
        """Allow so much time from now on."""
        with self._changed:
            earlier = self._until > (until := time.monotonic() + seconds)
            self._until = until
            if earlier:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._left:
                left = self._until - time.monotonic()
                if left <= 0:
                    self.is_over = True
                    _end(self.socket())
                    left = RETRY_SECONDS
                self._changed.wait(min(left, threading.TIMEOUT_MAX))


def _end(ended: socket.socket | None) -> None:
    """End a connection; a thread that reads from it gets no more."""
    if ended is not None:
        with contextlib.suppress(OSError):  # it has ended by itself
            # Not its own shutdown: under TLS that takes the encryption from the thread that reads.
            socket.socket.shutdown(ended, socket.SHUT_RDWR)


class Session(requests.Session):
    """A session that watches the clock; it serves one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()
        self.mount("http://", _Adapter(self.watch))
        self.mount("https://", _Adapter(self.watch))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: `repro.data.answers` follows redirections.

        Even if told not to follow one, requests reads its body whole, and its address.
        """


class _Adapter(HTTPAdapter):
    """Makes connections that the watch knows."""

    def __init__(self, watch: Watch) -> None:
        self._pools = _pools(watch)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # has connections of its own
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(watch: Watch) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools, by scheme, of connections that the watch knows."""

    class HTTPConnection(connection.HTTPConnection):
        def getresponse(self) -> Any:
            kept = self.sock  # the connection forgets it when it leaves it to the answer
            watch.socket = lambda: kept
            return super().getresponse()

    class HTTPSConnection(connection.HTTPSConnection):
        def connect(self) -> None:
            watch.socket = lambda: self.sock  # for the answer of a proxy
            super().connect()

        def _tunnel(self) -> None:
            super()._tunnel()
            if watch.is_over:  # the end of the connection looks like the end of the proxy's head
                raise TimeoutError

        def getresponse(self) -> Any:
            kept = self.sock
            watch.socket = lambda: kept
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = HTTPConnection

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = HTTPSConnection

    return {"http": PlainPool, "https": EncryptedPool}
