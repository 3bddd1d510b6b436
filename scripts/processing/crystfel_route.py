"""CrystFEL's indexamajig, run on stills of ours with the geometry file of the data set."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

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
    folder = folder.resolve()
    (out / "stills.lst").write_text(f"{folder / 'master.nxs'}\n")
    line = [program, "-g", str(folder / "models.geom"), "-p", str(folder / "models.cell"), "-i", "stills.lst",
            "-o", STREAM, "--indexing=asdf", *PEAKS, f"-j{processes}"]
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
