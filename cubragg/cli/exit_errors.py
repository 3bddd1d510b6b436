"""How a command ends other than well: one line on stderr and an exit status."""

from __future__ import annotations

import difflib
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import IO, Any

import click

#: What each signal did to the run, in a word. SIGHUP comes when a terminal is closed; some systems have none.
_ENDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"} | (
    {signal.SIGHUP: "Hung up"} if hasattr(signal, "SIGHUP") else {})
#: What a shell adds to the number of a signal for the status of the program that it ended.
_BY_SIGNAL = 128
#: After this time [s] a signal that got lost in a callback is repeated: the callback has ended by then.
_SOON_S = 0.001


class CommandLineFault(click.ClickException):
    """The command line asks for what cannot be."""

    exit_code = 2


class RunFault(click.ClickException):
    """The run failed."""

    exit_code = 1


def unknown_option(word: str, spellings: Iterable[str], command: str) -> str:
    """The message about an option that ``command`` does not have: the nearest of its ``spellings``, or its help."""
    near = difflib.get_close_matches(word.partition("=")[0], spellings, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"'{command} --help' lists them all."
    return f"No such option {word!r}. {hint}"


class Signalled(KeyboardInterrupt):
    """A signal that ends a run as Ctrl-C does: whatever cleans up after that one cleans up after this one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupted(click.ClickException):
    """Ctrl-C, or a signal that asks the program to end; ``outcome`` says what was written by then."""

    def __init__(self, by: KeyboardInterrupt, outcome: str) -> None:
        number = by.number if isinstance(by, Signalled) else signal.SIGINT
        super().__init__(f"{_ENDS[signal.Signals(number)]}; {outcome}")
        self.exit_code = _BY_SIGNAL + number  # type: ignore[misc]  # declared of the class, read of the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """The message alone: this is no error."""
        click.echo(self.format_message(), file=file, err=file is None)


def end_cleanly() -> None:
    """Have signals that would kill the process leave no temporary files; those that are ignored stay ignored."""
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
