"""Errors that end a command: one line on stderr and an exit status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import IO, Any

import click

from cubragg.cli.ending_signals import ended_by, status_of

#: Ratio of equal letters from which spellings are near: one letter of four may differ.
_SIMILAR = 0.75
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
    near = difflib.get_close_matches(word.partition("=")[0], spellings, n=1, cutoff=_SIMILAR)
    hint = f"Did you mean {near[0]!r}?" if near else f"'{command} --help' lists them all."
    return f"No such option {word!r}. {hint}"


class Interrupted(click.ClickException):
    """Ctrl-C or a termination signal ended the run; ``outcome`` names the files that were written."""

    def __init__(self, by: KeyboardInterrupt, outcome: str) -> None:
        super().__init__(f"{ended_by(by)}; {outcome}")
        self.exit_code = status_of(by)  # type: ignore[misc]  # declared of the class, read of the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message without Click's ``Error:``."""
        click.echo(self.format_message(), file=file, err=file is None)


def given_twice(first: str, second: str) -> str:
    """Return the end of the message about an option with two values."""
    return f"got it twice, {first} and {second}; give it once"
