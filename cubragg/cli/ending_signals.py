"""Signals that end a command, as an exception and an exit status."""

from __future__ import annotations

import functools
import signal
import sys
import threading

TYPE_CHECKING = False  # importing typing would leave signals unhandled for 10 ms more
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

#: Message for each signal that ends a run. SIGHUP is sent when a terminal closes; not every system has it.
_ENDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"} | (
    {signal.SIGHUP: "Hung up"} if hasattr(signal, "SIGHUP") else {})
#: Added to the number of a signal to give the exit status, as shells do.
_BY_SIGNAL = 128
#: After this time [s] a signal that got lost in a callback is repeated: the callback has ended by then.
_SOON_S = 0.001


class Signalled(KeyboardInterrupt):
    """A signal ended the run; a `KeyboardInterrupt`, so that the same code cleans up as at Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def ended_by(stop: KeyboardInterrupt) -> str:
    """What ended a run, in a word or two."""
    return _ENDS[_signal_of(stop)]


def status_of(stop: KeyboardInterrupt) -> int:
    """Exit status of a run that a signal ended."""
    return _BY_SIGNAL + _signal_of(stop)


def _signal_of(stop: KeyboardInterrupt) -> signal.Signals:
    return signal.Signals(stop.number if isinstance(stop, Signalled) else signal.SIGINT)


def end_cleanly() -> None:
    """Raise `Signalled` at signals that would kill the process, so that no temporary file remains.

    Signals that are ignored stay ignored (nohup).
    """
    for number in _ENDS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)
    sys.unraisablehook = functools.partial(_send_again, sys.unraisablehook)


def _raise(number: int, _: FrameType | None) -> None:
    raise Signalled(number)


def _send_again(show: Callable[[sys.UnraisableHookArgs], Any], lost: sys.UnraisableHookArgs) -> None:
    """Repeat a signal whose exception Python has dropped.

    Python runs signal handlers between any two instructions of the main thread, also in callbacks of weak references
    and in finalizers, out of which no exception comes. h5py has such a callback for each identifier of HDF5.
    """
    if isinstance(lost.exc_value, Signalled):
        # To the main thread, so that it does not sleep on.
        again = threading.Timer(_SOON_S, signal.pthread_kill, (threading.main_thread().ident, lost.exc_value.number))
        again.daemon = True
        again.start()
    else:
        show(lost)


def ignore_endings() -> None:
    """Ignore these signals from now on."""
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
