"""CrystFEL's indexamajig, run on stills of ours with our geometry file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np

from cubragg.io.geometry.crystfel import NXMX_DATA, cell_text, geom_text
from cubragg.io.geometry.experiment_models import cell_of
from cubragg.io.geometry.expt import read_expt
from processing.dials_route import dials_environment
from processing.stills_report import Still
from processing.truth import compare_lattices, true_axes_of_shots

#: Name of the file that indexamajig writes.
STREAM = "stills.stream"
#: Peaks of at least this many photons in a pixel, and this many times the noise of their ring.
PEAKS = ("--peaks=peakfinder8", "--threshold=20", "--min-snr=5", "--min-pix-count=2")
_RECIPROCAL = re.compile(r"^([abc])star = (\S+) (\S+) (\S+) nm\^-1", re.MULTILINE)
#: From the frame of CrystFEL, z along the beam and y up, to that of DIALS.
_TO_DIALS = np.array([-1.0, 1.0, -1.0])


class CrystfelError(Exception):
    """indexamajig is not installed, or failed."""


def index_stills(folder: Path, out: Path, *, processes: int = 1) -> None:
    """Index the stills of a data set with the method asdf, which is part of CrystFEL, and the true cell.

    Raises
    ------
    CrystfelError
        If indexamajig is not installed or fails.
    """
    program = shutil.which("indexamajig")
    if program is None:
        raise CrystfelError("indexamajig of CrystFEL is not installed")
    models = read_expt(folder / "models.expt")
    assert models.crystal is not None
    (out / "stills.geom").write_text(geom_text(str(folder), models, data=NXMX_DATA))
    (out / "stills.cell").write_text(cell_text(cell_of(models.crystal)))
    images = (folder / "master.nxs").resolve()
    with h5py.File(images) as file:
        count = len(file[NXMX_DATA])
    (out / "stills.lst").write_text("".join(f"{images} //{number}\n" for number in range(count)))
    line = [program, "-g", "stills.geom", "-p", "stills.cell", "-i", "stills.lst", "-o", STREAM,
            "--indexing=asdf", *PEAKS, f"-j{processes}"]
    done = subprocess.run(line, cwd=out, env=dials_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CrystfelError(f"{' '.join(line)}\n{done.stderr[-3000:]}")


def stills_result(folder: Path, stream: Path) -> list[Still]:
    """Compare the first crystal of each chunk of a stream with that of the data set."""
    truth = true_axes_of_shots(folder)
    found = []
    for chunk in stream.read_text().split("----- Begin chunk -----")[1:]:
        shot, peaks = (int(_number_in(chunk, name)) for name in ("Event: //", "num_peaks = "))
        stars = [[float(word) / 10.0 for word in row[1:]] for row in _RECIPROCAL.findall(chunk)[:3]]
        lattice = compare_lattices(np.linalg.inv(np.array(stars) * _TO_DIALS).T, truth[shot]) if stars else None
        found.append(Still(shot, peaks, lattice))
    return sorted(found)


def _number_in(chunk: str, name: str) -> str:
    """The number after a name at the beginning of a line."""
    match = re.search(rf"^{re.escape(name)}(\d+)", chunk, re.MULTILINE)
    assert match is not None
    return match[1]
