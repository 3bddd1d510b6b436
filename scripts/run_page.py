#!/usr/bin/env python3
"""Run the code of a page of the guide, block after block, in the current folder.

    python scripts/run_page.py specs/guide/nanobragg-user.md

Blocks of a page share a folder, and its Python blocks their names. By their language:

- ``sh``: bash; every command must succeed
- ``console``: after each ``$ command`` lines of its output, which it must print in this order among others; it may fail
- ``python``: statements
- ``py``: an excerpt of a script beside the page, which has a test of its own; it must be there word for word
- ``pycon``: statements after ``>>>``, and exactly what they print
- ``text`` and no language: no code

``<!-- requires: NAME -->`` in a page is a program or Python module that its code needs.
"""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

#: A fence, which may be indented in a list, its language and its code.
_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_REQUIRES = re.compile(r"<!-- requires: (\S+) -->")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)/:]+\.(?:png|svg))\)")
_TEXT = ("", "text")
#: The plugin of pytest, an entry point of the installed package.
_FIXTURES = "cubragg.testing.pytest_fixtures"


class PageError(Exception):
    """A block that failed, by page and line."""


class Block(NamedTuple):
    """A block of code."""

    language: str
    code: str
    #: Line of the fence in the page, from 1.
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The blocks of code of a page."""
    for found in _FENCE.finditer(text):
        language = found[2].split(" ")[0]
        if language not in _TEXT:
            code = "".join(line.removeprefix(found[1]) for line in found[3].splitlines(keepends=True))
            yield Block(language, code, text.count("\n", 0, found.start()) + 1)


def missing(text: str) -> list[str]:
    """Programs and modules that a page requires and that are not installed."""
    return [name for name in _REQUIRES.findall(text)
            if shutil.which(name) is None and ("." in name or importlib.util.find_spec(name) is None)]


def pictures(text: str) -> list[str]:
    """Pictures of a page without a folder in their path: its code makes them."""
    return _PICTURE.findall(text)


def run_page(path: Path, report: bool = False) -> None:
    """Run the blocks of a page in the current folder.

    Raises
    ------
    PageError
        If a block fails or prints something else.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as programs:
        environment = {**os.environ, "PATH": f"{_own_programs(Path(programs))}{os.pathsep}{os.environ['PATH']}"}
        for block in blocks(path.read_text(encoding="utf-8")):
            where = f"{path.name}, line {block.line}"
            start = time.perf_counter()
            if block.language == "python":
                padded = "\n" * block.line + block.code  # so that a traceback has the lines of the page
                exec(compile(padded, path, "exec"), names)
            elif block.language == "pycon":
                _run_prompts(block, names, where)
            elif block.language == "py":
                if not any(block.code in script.read_text(encoding="utf-8") for script in path.parent.glob("*.py")):
                    raise PageError(f"{where}: no script beside the page has these lines")
            elif block.language == "sh":
                _shell(block.code, environment, where)
            elif block.language == "console":
                _run_console(block, environment, where)
            else:
                raise PageError(f"{where}: the language {block.language!r} cannot be run")
            if report:
                print(f"{where}: {block.language}, {time.perf_counter() - start:.1f} s", flush=True)


def _own_programs(folder: Path) -> Path:
    """Programs of this interpreter in a folder, whether or not cubragg is installed or only in PYTHONPATH."""
    fixtures = "" if entry_points(group="pytest11", name=_FIXTURES) else f"-p {_FIXTURES} "
    for name, arguments in (("cubragg", "-m cubragg "), ("python", ""), ("pytest", f"-m pytest {fixtures}")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        program.chmod(0o755)
    return folder


def _run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-euo", "pipefail", "-c", code], env=environment, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def _shell(code: str, environment: dict[str, str], where: str) -> None:
    done = _run(code, environment)
    if done.returncode:
        raise PageError(f"{where}: exit status {done.returncode}\n{code}\n{done.stdout}")


def _run_console(block: Block, environment: dict[str, str], where: str) -> None:
    """Run the commands of a session and look for the lines of output in what they print."""
    for step in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, rest = step.partition("\n")
        lines = rest.splitlines()
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0).removeprefix("> ")
        output = _run(command, environment).stdout
        printed = iter([line.strip() for line in output.splitlines()])
        for line in lines:
            if line.strip() and line.strip() not in printed:
                raise PageError(f"{where}: {command}\ndoes not print {line!r}, or in another order, but\n{output}")


def _run_prompts(block: Block, names: dict[str, Any], where: str) -> None:
    test = doctest.DocTestParser().get_doctest(block.code, names, where, None, block.line)
    test.globs = names
    printed: list[str] = []
    if doctest.DocTestRunner(verbose=False).run(test, out=printed.append, clear_globs=False).failed:
        raise PageError("".join(printed))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    page = Path(sys.argv[1]).resolve()
    if lacking := missing(page.read_text(encoding="utf-8")):
        sys.exit(f"{page.name}: needs {', '.join(lacking)}")
    try:
        run_page(page, report=True)
    except PageError as error:
        sys.exit(str(error))
