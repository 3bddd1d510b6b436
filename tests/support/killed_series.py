"""A series with every kind of output that is killed at some moment, and what must be true of the rest."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np

import cubragg
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.read_image import read_image
from cubragg.io.images.smv import read_smv
from support.command import SMALL

IMAGES = 40
#: As `support.command.SMALL`, with mixed outputs; on one thread, so that the moments are spread over the run.
LINE = (f"{SMALL} -osc 1 --images {IMAGES} -floatfile f.bin -cbffile c.cbf -noisefile n.img --tiff t.tif --nxmx s.h5 "
        "--truth t.csv --save-config e.toml --expt s.expt --xds-inp XDS.INP --backend numpy --threads 1")
#: Numbered files, in the order in which those of an image are written.
NUMBERED = ("f_.bin", "n_.img", "c_.cbf", "t_.tif", "t_.csv")


def started(folder: Path) -> subprocess.Popen[str]:
    """Return the running series, in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cubragg.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-m", "cubragg", *LINE.split()], cwd=folder, stderr=subprocess.PIPE,
                            text=True, env=environment)


def whole_run_s(folder: Path) -> float:
    """Return the time of a run to its end [s], in an empty folder."""
    start = time.monotonic()
    with started(folder) as process:
        _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    return time.monotonic() - start


def killed(folder: Path, number: signal.Signals, after_s: float) -> tuple[int, str]:
    """Exit status and stderr of the run in an empty folder, which gets a signal."""
    with started(folder) as process:
        time.sleep(after_s)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


def check_rest(folder: Path, number: signal.Signals, status: int, stderr: str) -> int:
    """Read what a killed run left, check that it agrees, and return the number of images that are done."""
    names = sorted(path.name for path in folder.iterdir())
    counts = [_whole_images(folder, kind) for kind in NUMBERED]
    done = min(counts)
    if status == 1 and not names and "KeyboardInterrupt" in stderr and "cubragg" not in stderr:
        return 0  # Python itself was starting
    ended = status in (0, 128 + number)
    assert ended or status == -number, (status, stderr)
    if not ended:  # by SIGKILL, or before Python handles a signal: files of the image in work may be there
        assert max(counts) <= done + 1, counts
        done = IMAGES if "s.h5" in names else done
        assert "s.expt" not in names or "s.h5" in names
        assert "XDS.INP" not in names or "s.expt" in names
    else:
        assert not [name for name in names if name.startswith(".cubragg-")], names
        assert counts == [done] * len(counts), counts
        assert {"s.h5", "s.expt", "XDS.INP"} & set(names) == ({"s.h5", "s.expt", "XDS.INP"} if done else set())
    if status == 128 + number:
        stated = re.search(r"; (\d+) of 40 images are done; ", stderr)
        assert stated is not None or done == 0, stderr
        assert stated is None or int(stated[1]) == done, stderr
        assert stderr.splitlines()[-1].startswith(("Interrupted; ", "Terminated; ")), stderr
        assert "Traceback" not in stderr
    if status == 0:
        assert done == IMAGES
    _check_description(folder, names, done)
    return done


def _whole_images(folder: Path, kind: str) -> int:
    """Number of files of a kind, which are numbered from 1 and whole."""
    stem, suffix = kind.split(".")
    files = sorted(folder.glob(f"{stem}[0-9]*.{suffix}"))
    assert [path.name for path in files] == [f"{stem}{i:04d}.{suffix}" for i in range(1, len(files) + 1)]
    for path in files:
        if suffix == "bin":
            assert path.stat().st_size == 4 * 12 * 12
        elif suffix == "csv":
            assert path.read_text().endswith("\n")
        else:
            read = {"img": lambda file: read_smv(file).pixels, "cbf": lambda file: read_cbf(file)[0],
                    "tif": lambda file: read_image(file).pixels}[suffix]
            assert np.shape(read(path)) == (12, 12)
    return len(files)


def _check_description(folder: Path, names: list[str], done: int) -> None:
    if "s.h5" in names:
        with h5py.File(folder / "s.h5") as file:
            assert file["entry/data/data"][()].shape == (done, 12, 12)
            assert file["entry/sample/transformations/omega"].shape == (done,)
    if "s.expt" in names:
        document = json.loads((folder / "s.expt").read_text())
        assert document["scan"][0]["image_range"] == [1, done]
        assert document["imageset"][0]["single_file_indices"] == [*range(done)]
    if "XDS.INP" in names:
        assert f"DATA_RANGE= 1 {done} " in (folder / "XDS.INP").read_text()
