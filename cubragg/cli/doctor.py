"""``cubragg doctor``: report which backends can run here, and whether they agree."""

from __future__ import annotations

import click

from cubragg.cli.base_command import HELP_NAMES

_LABEL_WIDTH = 16


def doctor() -> int:
    """Print the report and return the exit status.

    Returns
    -------
    0 if numpy renders and every backend that can run agrees with it, else 1.
    """
    from cubragg.run.diagnosis import diagnose

    agree = True
    for section in diagnose():
        click.echo(section.title)
        for label, text in section.rows:
            click.echo(f"  {label:<{_LABEL_WIDTH}}{text}")
        click.echo()
        agree = agree and section.passed
    click.echo("All backends that can run agree." if agree else "Backends disagree or fail: see above.")
    return 0 if agree else 1


_NOTES = """\b
  cubragg doctor
  CXX=clang++ cubragg doctor

Exit status: 0 if numpy renders and every backend that can run agrees with it, 1 if not, 2 for an error in the command
line."""


@click.command("doctor", context_settings={"help_option_names": list(HELP_NAMES)}, epilog=_NOTES,
               short_help="Print which backends can run here, and whether they agree.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print versions, the cache of compiled kernels, which backends can run here and why the others cannot, and
    render a small image on each, in every precision, to compare it with numpy's."""
    ctx.exit(doctor())
