"""The command in an empty folder, and the files it may read."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from support.command import invoke, smv


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run():
    """``run(arguments)``: the command's result, with exit_code, stdout and stderr; a bug is raised."""
    return invoke


@pytest.fixture
def inputs(folder) -> Path:
    """The folder with one good file of each kind: P1.hkl, A.mat, s.txt, s.spec, i.img, m.img, stol.txt."""
    indices = itertools.product(range(-2, 3), repeat=3)
    (folder / "P1.hkl").write_text("".join(f"{h} {k} {m} {10 + h + 2 * k + 3 * m}\n" for h, k, m in indices))
    (folder / "A.mat").write_text("0.062 0 0\n0 0.062 0\n0 0 0.062\n")
    (folder / "s.spec").write_text("wavelength,weight\n6.1,1\n6.2,3\n6.3,1\n")
    (folder / "s.txt").write_text("-10 0 0 1 6.2e-10\n-10 0.01 0 2 6.3e-10\n")
    (folder / "stol.txt").write_text("0 1\n")
    pixels = np.ones((12, 12))
    pixels[3, 4] = 0
    for name in ("i.img", "m.img"):
        smv(folder / name, pixels, PIXEL_SIZE=0.5, DISTANCE=90, WAVELENGTH=5, BEAM_CENTER_X=3, BEAM_CENTER_Y=2,
            CLOSE_DISTANCE=90, PHI=4, OSC_RANGE=1)
    return folder
