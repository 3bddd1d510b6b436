"""The C program itself, where NB_C_BIN names one: same flags, same machine, live."""

from __future__ import annotations

import os
import shlex
import subprocess

import numpy as np
import pytest

from cubragg import simulate
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.io.images.smv import smv_header, write_smv

PROGRAM = os.environ.get("NB_C_BIN")
pytestmark = pytest.mark.c_program
CRYSTAL = "-default_F 100 -cell 60 60 60 90 90 90 -N 5 -misset 10 20 30"


def c_image(flags: str, folder) -> np.ndarray:
    outputs = ["-floatfile", "c.bin", "-nonoise", "-nopgm", "-noprogress"]
    subprocess.run([PROGRAM, *shlex.split(flags), *outputs], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "OMP_NUM_THREADS": "1"})
    return np.fromfile(folder / "c.bin", dtype="<f4")


@pytest.mark.parametrize("flags", [
    f"{CRYSTAL} -lambda 1.2 -detpixels 64 -pixel 0.8",
    f"{CRYSTAL} -lambda 1.2 -detpixels 64 -pixel 0.8 -phi -1 -osc 3 -phisteps 3",  # a phi of 0 in the middle
    f"{CRYSTAL} -lambda 1.2 -detpixels 64 -pixel 0.8 -nopolar -oversample 2 -oversample_polar -polar 0.5",
    "-default_F 100 -cell 60 60 60 70 70 70 -N 5 -lambda 1.2 -detpixels 64 -pixel 0.8",  # oblique angles
    f"{CRYSTAL} -lambda 1.2 -detpixels 64 -pixel 0.8 -divergence 3 -dispersion 2 -polar 0.9 -dmin 2",
    # the two-theta axis of CUSTOM left at its start
    f"{CRYSTAL} -lambda 1.2 -detpixels 64 -pixel 0.8 -beam_vector 1 0.1 0 -twotheta 20",
    f"{CRYSTAL} -lambda 1.2 -detpixels 64 -pixel 0.8 -oversample 2 -oversample_thick",  # no thickness: all zero
])
def test_same_flags_same_bits(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = simulate(build(parse(shlex.split(flags))).experiment).photons.ravel()
    expected = c_image(flags, tmp_path)
    assert (image.view(np.uint32) == expected.view(np.uint32)).mean() > 0.999
    np.testing.assert_allclose(image, expected, rtol=1.2e-7, atol=1e-10 * expected.max())


def test_it_takes_our_smv_as_header(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    geometry = "-detpixels 96 -pixel 0.25 -distance 123 -lambda 1.3 -Xbeam 11 -Ybeam 12.5 -phi 3 -osc 1 -phisteps 1"
    experiment = build(parse(shlex.split(f"{CRYSTAL} {geometry}"))).experiment
    image = simulate(experiment)
    header = smv_header(image.geometry, wavelength_A=1.3, phi_deg=3.0, osc_deg=1.0, twotheta_deg=0.0)
    write_smv("ours.img", np.zeros((96, 96), dtype=np.uint16), header)
    # BEAM_CENTER comes back as Xbeam and Ybeam, ORGX as the last of its kind: the same detector.
    np.testing.assert_array_equal(c_image(f"{CRYSTAL} -img ours.img -phisteps 1", tmp_path),
                                  c_image(f"{CRYSTAL} {geometry}", tmp_path))
