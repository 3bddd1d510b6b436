#!/usr/bin/env python3
"""Write the man page and the completions of the shells, from the commands themselves.

    python scripts/shell_files.py FOLDER

FOLDER gets share/man/man1, share/bash-completion, share/zsh and share/fish, as a prefix such as /usr has them. The
build of the wheel (build_shell_files.py) does the same, so ``pip install`` and conda put them where the shells look.
Needs Click only.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # in a build the package is not installed yet
    sys.path.insert(0, str(ROOT))

from cubragg.cli.base_command import HELP_NAMES  # noqa: E402

#: Files by their place under the prefix.
PLACES = {"man": "share/man/man1/cubragg.1", "bash": "share/bash-completion/completions/cubragg",
          "zsh": "share/zsh/site-functions/_cubragg", "fish": "share/fish/vendor_completions.d/cubragg.fish"}
_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
_NAME, _VARIABLE, _WIDTH = "cubragg", "_CUBRAGG_COMPLETE", 78


def shell_files() -> dict[str, str]:
    """The text of each file by its place under the prefix."""
    from cubragg.cli.commands import cli

    texts = {PLACES["man"]: man_page(cli)}
    for shell, kind in _SHELLS.items():
        # BashComplete.source starts bash to see its version, which a build need not have.
        texts[PLACES[shell]] = ShellComplete.source(kind(cli, {}, _NAME, _VARIABLE))
    return texts


def man_page(cli: click.Group) -> str:
    """The man page: a section for the program and one for each command, as ``-h`` prints them."""
    context = _context(cli, _NAME)
    names = cli.list_commands(context)
    commands = {name: cli.get_command(context, name) for name in names}
    lines = ['.TH CUBRAGG 1 "" "cubragg" "User Commands"', ".SH NAME",
             _escaped(f"{_NAME} - simulate X-ray diffraction images of crystals on pixel detectors"), ".SH SYNOPSIS"]
    for name in names:
        lines += [".B " + _escaped(f"{_NAME} {name}"), _escaped("[flags]"), ".br"]
    lines += [".SH DESCRIPTION", *_block(_help(cli, context))]
    for name, command in commands.items():
        assert command is not None
        text = _help(command, _context(command, name, context))
        lines += [f".SH {_escaped(f'{_NAME} {name}'.upper())}", *_block(text)]
    lines += [".SH SEE ALSO", _escaped("https://github.com/cubragg/cubragg")]
    return "\n".join(lines) + "\n"


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH,
                         help_option_names=list(HELP_NAMES))


def _help(command: click.Command, context: click.Context) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", command.get_help(context))


def _block(text: str) -> list[str]:
    """Lines that are printed as they are."""
    return [".nf", *map(_escaped, text.rstrip().splitlines()), ".fi"]


def _escaped(line: str) -> str:
    """A line of text in roff: neither an escape nor, with a dot or quote in front, a request."""
    line = line.replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + line if line[:1] in (".", "'") else line


def write_shell_files(folder: Path) -> list[Path]:
    """Write the files under a folder and return their paths."""
    paths = []
    for place, text in shell_files().items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    for written in write_shell_files(Path(sys.argv[1])):
        print(written)
