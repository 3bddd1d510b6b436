"""DIALS's programs with their defaults, run on a data set in a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgpack
import numpy as np

from cubragg.dataset.cell_draws import cell_of
from cubragg.dataset.read_set import read_specification


class DialsError(Exception):
    """A program of DIALS that is not installed, or that failed."""


def dials_environment() -> dict[str, str]:
    """The environment without our Python, and with the HDF5 filter that NXmx files need."""
    import hdf5plugin

    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "HDF5_PLUGIN_PATH": hdf5plugin.PLUGINS_PATH}


def run(folder: Path, *command: str, modules: Path | None = None) -> str:
    """Run a program in a folder, with a folder of Python modules for it, and return what it prints.

    Raises
    ------
    DialsError
        If it is not installed or fails.
    """
    if shutil.which(command[0]) is None:
        raise DialsError(f"{command[0]} is not installed (apt-get install dials python3-dials)")
    environment = dials_environment()
    if modules is not None:
        environment["PYTHONPATH"] = str(modules.resolve())
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DialsError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def process_sweep(images: Path, folder: Path, *, scale: bool, processes: int = 1) -> None:
    """Import, index without a cell, refine and integrate a sweep, and with ``scale`` scale and merge it."""
    each = f"nproc={processes}"
    run(folder, "dials.import", str(images))
    run(folder, "dials.find_spots", "imported.expt", each)
    run(folder, "dials.index", "imported.expt", "strong.refl", each)
    run(folder, "dials.refine", "indexed.expt", "indexed.refl", each)
    run(folder, "dials.integrate", "refined.expt", "refined.refl", each)
    if scale:
        run(folder, "dials.symmetry", "integrated.expt", "integrated.refl")
        run(folder, "dials.scale", "symmetrized.expt", "symmetrized.refl", each)
        run(folder, "dials.merge", "scaled.expt", "scaled.refl")


def known_crystal(folder: Path) -> list[str]:
    """Settings of dials.index for the stills of a data set whose cell, and space group if it has one, are known.

    Without ``candidate_outlier_rejection``: its line search fails at random, and then the still is not indexed.
    """
    data, _ = read_specification(folder / "spec.toml")
    cell = ",".join(f"{number:g}" for number in cell_of(data.experiment.crystal))
    group = data.source.get("space_group")
    return [f"unit_cell={cell}", *([f"space_group={group.replace(' ', '')}"] if group else []),
            "candidate_outlier_rejection=False"]


def process_stills(shards: Sequence[Path], folder: Path, settings: Sequence[str] = (), *, processes: int = 1) -> None:
    """Import stills and index each one alone, with settings of dials.index: shard by shard, each in a folder of its
    own. What is there is left as it is.

    Debian's package lacks xfel_mono_sim_ext, an extension that the indexer of stills imports and does not use: without
    it every refinement fails, and no still is indexed. An empty module takes its place.
    """
    each = f"nproc={processes}"
    modules = folder / "modules"
    modules.mkdir(exist_ok=True)
    (modules / "xfel_mono_sim_ext.py").write_text('"""In place of an extension that is imported and not used."""\n')
    for images in shards:
        part = folder / images.stem
        if not (part / "indexed.expt").exists():
            part.mkdir(exist_ok=True)
            run(part, "dials.import", str(images))
            run(part, "dials.find_spots", "imported.expt", each)
            run(part, "dials.index", "imported.expt", "strong.refl", f"indexing.{each}", "joint=False", *settings,
                modules=modules)


def table_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of numbers of a reflection table [n] or [n, 3], by name."""
    _, _, body = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    types = {"int": ("<i4", 1), "std::size_t": ("<u8", 1), "double": ("<f8", 1), "vec3<double>": ("<f8", 3),
             "cctbx::miller::index<>": ("<i4", 3)}
    found = {}
    for name, (kind, (_, data)) in body["data"].items():
        if kind in types:
            dtype, width = types[kind]
            column = np.frombuffer(data, dtype=dtype)
            found[name] = column if width == 1 else column.reshape(-1, width)
    return found
