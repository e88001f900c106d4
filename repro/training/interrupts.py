"""Ctrl-C and SIGTERM while a model trains: the epoch is finished and a checkpoint written first.

A second signal ends the run at once. What "end" means is left to the handler that was there before:
it is called with the signal, once the checkpoint is written.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)

WAIT = "finishing this epoch to write a checkpoint; Ctrl-C again ends at once"


class Interrupts:
    """Holds back the first Ctrl-C or SIGTERM between `arm` and `disarm`, until `deliver`.

    Only the main thread can do that. Elsewhere, and for a signal that is ignored, nothing changes.
    Leaving the block of ``with`` disarms and delivers: no handler stays, no signal is lost.

    Parameters
    ----------
    say : callable
        Called with a message when the first signal comes.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.asked: int | None = None
        """The signal that is held back."""
        self._say = say
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.disarm()
        self.deliver()

    def arm(self) -> None:
        """Hold the next signal back."""
        if threading.current_thread() is not threading.main_thread():
            return
        for one in SIGNALS:
            before = signal.getsignal(one)  # None: not of Python, so it could not be put back
            if one not in self._before and before not in (None, signal.SIG_IGN):
                self._before[one] = before
                signal.signal(one, self._heard)

    def disarm(self) -> None:
        """Put the handlers back that were there before."""
        while self._before:
            signal.signal(*self._before.popitem())

    def deliver(self) -> None:
        """Let the signal that was held back, if there is one, do what it does without this."""
        asked, self.asked = self.asked, None
        if asked is not None:
            self.disarm()
            handler = signal.getsignal(asked)
            if callable(handler):  # called here, as Ray's workers block the signal itself
                handler(asked, None)
            else:
                signal.raise_signal(asked)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            self.asked = number
            self.deliver()
            return
        self.asked = number
        with suppress(OSError, RuntimeError):  # nobody reads it, or a line is half written
            self._say(WAIT)
