"""Blocks that Ctrl-C, and signals like it, must not cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What a program may turn into an exception, wherever it is at that moment.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let signals wait for the end of the ``with`` block, where the first of them is handled."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets them
        yield
        return
    before = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    came: list[int] = []
    holding = True

    def hold(number: int, frame: FrameType | None) -> None:
        # A handler that raises may leave this one in place of others, below.
        if holding:
            came.append(number)
        else:
            before[signal.Signals(number)](number, frame)

    try:
        for number in before:
            signal.signal(number, hold)
        yield
    finally:
        holding = False
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            before[signal.Signals(came[0])](came[0], None)
