"""DIALS as a reader of our files, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from support.scripts import script

_MODELS = Path(__file__).with_name("dxtbx_models.py")


class Read(NamedTuple):
    """What dxtbx made of sets of images: ``models`` by set, ``pixels`` by set-image-panel."""

    models: dict[str, dict]
    pixels: dict[str, np.ndarray]


def dials_python() -> str:
    """The Python that DIALS runs in; skips without DIALS."""
    program = shutil.which("dials.import")
    if program is None:
        pytest.skip("DIALS is not installed (apt-get install dials python3-dials)")
    own = shutil.which("dials.python")
    if own is not None:
        return own
    with open(program) as file:
        return file.readline().removeprefix("#!").split()[0]


def ran(*command: str, folder: Path) -> str:
    """Output of another program; its error where it fails."""
    environment = script("dials_report").dials_route.dials_environment()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def read_by_dxtbx(folder: Path, sets: list[str]) -> Read:
    """Have dxtbx read sets of images, each of names joined by commas."""
    ran(dials_python(), str(_MODELS), "read", *sets, folder=folder)
    with np.load(folder / "read.npz") as pixels:
        return Read(json.loads((folder / "read.json").read_text()), dict(pixels))
