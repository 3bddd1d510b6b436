"""Errors that end a command: one line on stderr and an exit status."""

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

#: Message for each signal that ends a run. SIGHUP is sent when a terminal closes; not every system has it.
_ENDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"} | (
    {signal.SIGHUP: "Hung up"} if hasattr(signal, "SIGHUP") else {})
#: Added to the number of a signal to give the exit status, as shells do.
_BY_SIGNAL = 128
#: After this time [s] a signal that got lost in a callback is repeated: the callback has ended by then.
_SOON_S = 0.001


#: Longest message; of a longer one, which repeats what a file contains, the middle is left out.
_LONGEST = 1500


def one_line(text: str) -> str:
    """Return a text of files and users as one line for a terminal: no line ends, no control characters."""
    line = "".join(character if character.isprintable() else character.encode("unicode_escape").decode()
                   for character in " ".join(part.strip() for part in text.split("\n")).strip())
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST // 2]} ... {line[-_LONGEST // 3:]}"
    return line


class OneLineError(click.ClickException):
    """An error whose message is printed as one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class CommandLineError(OneLineError):
    """The command line is malformed or contradicts itself; exit status 2."""

    exit_code = 2


class RunError(OneLineError):
    """The run failed; exit status 1."""

    exit_code = 1


def unknown_option(word: str, spellings: Iterable[str], command: str) -> str:
    """Return the message for an option that ``command`` does not have; it names the nearest of ``spellings``."""
    near = difflib.get_close_matches(word.partition("=")[0], spellings, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"'{command} --help' lists them all."
    return f"No such option {word!r}. {hint}"


class Signalled(KeyboardInterrupt):
    """A signal ended the run; a `KeyboardInterrupt`, so that the same code cleans up as at Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupted(click.ClickException):
    """Ctrl-C or a termination signal ended the run; ``outcome`` names the files that were written."""

    def __init__(self, by: KeyboardInterrupt, outcome: str) -> None:
        number = by.number if isinstance(by, Signalled) else signal.SIGINT
        super().__init__(f"{_ENDS[signal.Signals(number)]}; {outcome}")
        self.exit_code = _BY_SIGNAL + number  # type: ignore[misc]  # declared of the class, read of the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message without Click's ``Error:``."""
        click.echo(self.format_message(), file=file, err=file is None)


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
