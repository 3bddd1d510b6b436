"""DIALS as a reader of our files, where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

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


def dials_environment() -> dict[str, str]:
    """Ours without our Python, and with the HDF5 filter that NXmx files need."""
    import hdf5plugin

    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "HDF5_PLUGIN_PATH": hdf5plugin.PLUGINS_PATH}


def ran(*command: str, folder: Path) -> str:
    """Output of another program; its error where it fails."""
    done = subprocess.run(command, cwd=folder, env=dials_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def read_by_dxtbx(folder: Path, sets: list[str]) -> Read:
    """Have dxtbx read sets of images, each of names joined by commas."""
    ran(dials_python(), str(_MODELS), "read", *sets, folder=folder)
    with np.load(folder / "read.npz") as pixels:
        return Read(json.loads((folder / "read.json").read_text()), dict(pixels))


def table_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of numbers of a reflection table [n] or [n, 3], by name."""
    import msgpack

    _, _, body = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    types = {"int": ("<i4", 1), "std::size_t": ("<u8", 1), "double": ("<f8", 1), "vec3<double>": ("<f8", 3),
             "cctbx::miller::index<>": ("<i4", 3)}
    found = {}
    for name, (kind, (count, data)) in body["data"].items():
        if kind in types:
            dtype, width = types[kind]
            column = np.frombuffer(data, dtype=dtype)
            found[name] = column if width == 1 else column.reshape(count, width)
    return found
