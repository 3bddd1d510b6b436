"""The ``cubragg`` command: a group whose default command is ``simulate``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from cubragg.cli import parser, usage
from cubragg.cli.base_command import HELP_NAMES, WORDS
from cubragg.cli.exit_errors import CommandLineError, Interrupted, RunError
from cubragg.cli.flag_completion import FlagCommand, completions
from cubragg.errors import ConfigError, CubraggError

#: Commands besides simulate: the `command` of the module of that name, imported where it is used.
_COMMANDS = ("background", "compare", "doctor", "sf", "stills", "sweep", "trace", "view")
#: Sections of the help, their commands, and the width of the first column.
_SECTIONS = {"Render images": ("simulate", "sweep", "stills"), "Prepare input": ("sf", "background"),
             "See and compare images": ("view", "compare"), "Check the program": ("doctor", "trace")}
_WIDTH = 10
_VERSION_NAMES = ("--version", "-version")


class SimulateCommand(FlagCommand):
    """Command that parses its flags with `parser` instead of Click's parser."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the line; for completion in the shell only keep its words."""
        if not ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        ctx.meta[WORDS], ctx.args = tuple(args), []
        return []

    def read_line(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse MODEL, a word before the flags, and all flags into the parameter ``line``."""
        ctx.params["model"] = args[0] if args and not args[0].startswith("-") else None
        ctx.params["line"] = parser.parse(args[0 if ctx.params["model"] is None else 1:])
        ctx.args = []
        return []

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the flags by group instead of Click's list."""
        usage.write_help(ctx, formatter)


class DefaultGroup(click.Group):
    """Group that runs its default command for a line that begins with a flag."""

    default_command = "simulate"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in alphabetical order."""
        return sorted((*_COMMANDS, *self.commands))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what they are for."""
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name.ljust(_WIDTH), command.get_short_help_str(90))
                                    for name, command in commands if command is not None])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; ``None`` without one."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        found: click.Command = import_module(f"cubragg.cli.{cmd_name}").command
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command if the line begins with a flag."""
        if args and args[0].startswith("-") and args[0] not in (*HELP_NAMES, *_VERSION_NAMES):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command, an option, or a flag of the default command."""
        return [*super().shell_complete(ctx, incomplete), *completions((), incomplete)]

    def resolve_command(self, ctx: click.Context, args: list[str]
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; the error for an unknown word lists the commands and mentions ``view``."""
        if self.get_command(ctx, args[0]) is None:
            known = ", ".join(self.list_commands(ctx))
            raise CommandLineError(f"got {args[0]!r} before any flag; a flag or one of {known} is accepted "
                                   "('cubragg simulate MODEL' renders atoms or reflections, 'cubragg view FILE' shows "
                                   "an image)")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Convert errors of the user and of the system into one line; a bug keeps its traceback."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise CommandLineError(error.format_message()) from error
        except ConfigError as error:
            raise CommandLineError(str(error)) from error
        except CubraggError as error:
            raise RunError(str(error)) from error
        except OSError as error:
            raise RunError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
        except MemoryError as error:
            raise RunError("not enough memory for this run; use a smaller detector or reflection list") from error
        except KeyboardInterrupt as error:
            raise Interrupted(error, "no file is half-written.") from error


def _print_version(ctx: click.Context, _: click.Parameter, requested: bool) -> None:
    if requested and not ctx.resilient_parsing:
        from cubragg.version import version

        click.echo(f"cubragg {version()}")
        ctx.exit()


_EPILOG = """\b
A rotation series and stills of a small protein that comes with cubragg:
  cubragg sweep helix_bundle.pdb --detector eiger2-1m --distance 80 \\
      --images 10 --osc 0.5 -o sweep
  cubragg stills helix_bundle.pdb --detector jungfrau4m --distance 100 \\
      -n 10 --seed 1 -o stills
  cubragg view sweep/master.nxs --png-rings -o sweep.png

\b
A line that begins with a flag runs simulate, so nanoBragg's command lines
work unchanged:
  cubragg -default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 \\
      -distance 100 -detpixels 1024

'cubragg COMMAND -h' lists the options of a command."""


@click.group(cls=DefaultGroup, context_settings={"help_option_names": list(HELP_NAMES), "max_content_width": 100},
             epilog=_EPILOG)
@click.option(*_VERSION_NAMES, is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Print the version.")
def cli() -> None:
    """Simulate X-ray diffraction images of crystals: nanoBragg's image, rotation series, stills."""


@cli.command("simulate", cls=SimulateCommand, short_help="Render an image from nanoBragg's flags (the default).")
def _simulate(line: Sequence[parser.Given], model: str | None) -> None:
    from cubragg.cli.simulate import run

    run(line, model)
