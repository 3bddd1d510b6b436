"""Adds to the build what is made from the commands: man page and completions. All else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "scripts"))

from shell_files import PLACES, write_shell_files  # noqa: E402

MADE = Path("build") / "shell"


class BuildWithShellFiles(build_py):
    """Writes the files that ``data_files`` names before they are packed."""

    def run(self) -> None:
        """Build the package and write the files."""
        super().run()
        write_shell_files(ROOT / MADE)


setup(cmdclass={"build_py": BuildWithShellFiles},
      data_files=[(str(Path(place).parent), [str(MADE / place)]) for place in PLACES.values()])
