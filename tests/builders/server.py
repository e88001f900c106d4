"""A file server on this machine, with all the faults that are asked for, and who hears of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self, cast

BODY = b"1,10\n1,20\n2,10\n"
OTHER = b"1,10\n1,20\n2,99\n"  # of the same length

Answer = Callable[["Handler"], None]


def give(
    body: bytes = BODY,
    *,
    status: int = 200,
    ranges: bool = True,
    cut: int | None = None,
    reset: bool = False,
    length: int | None = -1,
    etag: str = "",
    modified: str = "",
    chunked: bool = False,
    content_range: str = "",
    drip: tuple[int, float] | None = None,
    hold: Callable[[int], object] = lambda at: None,
    before: float = 0.0,
    believes_if_range: bool = True,
    **headers: str,
) -> Answer:
    """Return what answers a request as a file server does, but for the faults that are asked for.

    `cut` is the number of bytes after which the connection breaks, `length` what is said of the
    body's (None: nothing), `drip` the bytes sent at once and the seconds between, `hold` is called
    with the place of each piece in the body before it is sent.
    """

    def answer(handler: Handler) -> None:
        time.sleep(before)
        asked = handler.headers.get("Range", "") if ranges and status == 200 else ""
        believed = handler.headers.get("If-Range") in (None, etag or modified)
        start, code = 0, status
        if asked and (believed or not believes_if_range):
            start, code = int(asked.removeprefix("bytes=").removesuffix("-")), 206
        if code == 206 and start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        rest = body[start:]
        handler.send_response(code)
        if code == 206:
            said = content_range or f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.send_header("Content-Range", said)
        for name, value in {"ETag": etag, "Last-Modified": modified, **headers}.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif length is not None:
            handler.send_header("Content-Length", str(len(rest) if length < 0 else length))
        handler.end_headers()
        sent = rest[:cut]
        size, pause = drip or (7 if chunked else len(sent) or 1, 0.0)
        for at in range(0, len(sent), size):
            hold(start + at)
            piece = sent[at : at + size]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            time.sleep(pause)
        if chunked and cut is None:
            handler.wfile.write(b"0\r\n\r\n")
        if reset:
            handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


class Handler(BaseHTTPRequestHandler):
    """Gives the answer that the script has for a path; the last one ever after."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        serving = cast("Serving", self.server)
        serving.asked.append(Asked(self.path, dict(self.headers)))
        answers = serving.script.get(self.path, [give(b"", status=404)])
        answer = answers.pop(0) if answers[1:] else answers[0]
        with contextlib.suppress(OSError):  # who asked is gone
            answer(self)

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@dataclass
class Asked:
    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("Range")


class Serving(ThreadingHTTPServer):
    scheme = "http"

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def at(self, path: str, *answers: Answer) -> str:
        """Script a path, and return its address."""
        self.script[path] = list(answers)
        return self.url + path

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def ranges(self) -> list[str | None]:
        return [asked.range for asked in self.asked]

    def log(self) -> list[tuple[str, str | None]]:
        """Return what was asked for: paths, and from where on."""
        return [(asked.path, asked.range) for asked in self.asked]

    def handle_error(self, *_: object) -> None:
        """Say nothing on stderr."""

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        with self:
            thread = threading.Thread(target=self.serve_forever, args=[0.005])
            thread.start()
            try:
                yield self
            finally:
                self.shutdown()
                thread.join()


@dataclass
class Heard:
    """What was told of a fetch."""

    texts: list[str] = field(default_factory=list)
    progress: list[tuple[str, int, int | None]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.texts.append(text)

    def bytes(self, name: str, done: int, total: int | None) -> None:
        self.progress.append((name, done, total))
