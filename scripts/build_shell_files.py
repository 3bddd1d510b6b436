"""Part of the build of the package: adds the man page and the completions, which are made from the commands."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools.command.build_py import build_py

MADE = Path("build") / "shell"


class BuildWithShellFiles(build_py):
    """Writes the files and names them as data files, before they are packed."""

    def run(self) -> None:
        """Build the package and write the files."""
        super().run()
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        from shell_files import PLACES, write_shell_files

        write_shell_files(MADE)
        self.distribution.data_files = [(str(Path(place).parent), [str(MADE / place)]) for place in PLACES.values()]
