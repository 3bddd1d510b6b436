"""Entry point of the ``cubragg`` script. It handles signals and output errors before it loads the commands."""

from __future__ import annotations

import sys

from cubragg.cli.ending_signals import end_cleanly, ended_by, ignore_endings, status_of
from cubragg.cli.standard_streams import StandardStreams


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    streams = None
    try:
        end_cleanly()
        streams = StandardStreams()
        status = _run()
    except KeyboardInterrupt as stop:  # before a command began
        status = status_of(stop)
        print(f"{ended_by(stop)}; no file was written.", file=sys.stderr)
    ignore_endings()  # a signal in the last milliseconds would change the status of what is done
    sys.exit(status if streams is None else streams.close(status))


def _run() -> int:
    import click

    from cubragg.cli.commands import cli

    try:
        returned = cli.main(prog_name="cubragg", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:  # Click's form of KeyboardInterrupt, if it comes outside of a command
        raise error.__cause__ or KeyboardInterrupt from error
    return returned if isinstance(returned, int) else 0
