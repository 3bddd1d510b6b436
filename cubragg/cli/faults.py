"""How a command ends other than well: one line on stderr and an exit status."""

from __future__ import annotations

from typing import IO, Any

import click


class CommandLineFault(click.ClickException):
    """The command line asks for what cannot be."""

    exit_code = 2


class RunFault(click.ClickException):
    """The run failed."""

    exit_code = 1


class Interrupted(click.ClickException):
    """Ctrl-C."""

    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        """The message alone: this is no error."""
        click.echo(self.format_message(), file=file, err=file is None)
