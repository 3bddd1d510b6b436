"""The truth of a shard: parameters and reflections of its shots, in HDF5, Parquet and tables of DIALS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cubragg.crystallography.frames import to_frame
from cubragg.dataset.parquet_truth import TABLE_UNITS, crystal_columns, parameter_columns, reflection_columns
from cubragg.dataset.shot import Shot, ShotReflections
from cubragg.dataset.shot_tables import parameter_arrays, write_arrays
from cubragg.dataset.write_settings import PARQUET_TABLES
from cubragg.io.files.atomic import atomic_path
from cubragg.io.files.hdf5_sink import Sink
from cubragg.io.files.parquet_table import write_parquet
from cubragg.io.images.nxmx import filters_of
from cubragg.io.reflections.refl import write_refl_tables
from cubragg.reflections.pixel_labels import Labels

if TYPE_CHECKING:
    import h5py

    from cubragg.reflections.reflection_table import ReflectionTable


class ShardTruth:
    """The truth of the shots of a shard, which are added one after the other.

    Parameters
    ----------
    first_experiment
        Number in ``models.expt`` of the first crystal of the shard.
    scan
        Numbers of the shots that are images of this experiment; ``None``: each crystal is an experiment.

    Attributes
    ----------
    reflections
        Number of reflections so far.
    """

    def __init__(self, first_experiment: int, scan: range | None) -> None:
        self._next, self._scan = first_experiment, scan
        self._columns: list[dict[str, np.ndarray]] = []
        self._tables: list[tuple[ReflectionTable, int, int, int]] = []
        self._crystals: list[dict[str, Any]] = []
        self._labels: list[Labels] = []
        self.reflections = 0

    def add(self, shot: Shot, table: ShotReflections, label_min: float | None = None) -> None:
        """Add the reflections of a shot, and labels of those with ``label_min`` photons (``None``: no labels)."""
        if label_min is not None:
            self._labels.append(shot.labels_of(table, label_min))
        self.reflections += len(table)
        columns = table.as_dict()
        self._columns.append({"shot": np.full(len(columns["crystal"]), shot.number, dtype=np.int64), **columns})
        for crystal, one in enumerate(table.tables):
            rotation = one.plan.geometry.dials_rotation()
            experiment = self._next
            matrix = [to_frame(rotation, tuple(star)) for star in one.orientation.A.T.tolist()]
            self._crystals.append({"shot": shot.number, "crystal": crystal, "experiment": experiment,
                                   "A_dials": np.array(matrix).T, "cell": np.array(one.orientation.cell)})
            if self._scan is not None:  # images of one scan
                self._tables.append((one, shot.number - self._scan.start, experiment, experiment))
            else:  # a still has an imageset of its own
                self._tables.append((one, 0, experiment, shot.number))
                self._next += 1

    def write_refl(self, path: Path) -> None:
        """Write the reflections as a table of DIALS, for the experiments of ``models.expt``."""
        write_refl_tables(path, self._tables)

    def write_parquet(self, folder: Path, number: int, parameters: Sequence[tuple[int, Mapping[str, Any]]],
                      example: Mapping[str, Any], method: str) -> list[str]:
        """Write the tables of shard ``number``, and return the names of their files.

        Parameters
        ----------
        parameters, example
            Number and parameters of each shot, and a value of each parameter.
        method
            Method of the rendering.
        """
        tables = {"reflections": reflection_columns(self._columns, method),
                  "crystals": crystal_columns(self._crystals, parameters, example),
                  "parameters": parameter_columns(parameters, example)}
        names = {table: f"{table}-{number:05d}.parquet" for table in PARQUET_TABLES}
        for table, name in names.items():
            write_parquet(folder / name, tables[table], TABLE_UNITS)
        return [*names.values()]

    def write_h5(self, path: Path, parameters: Sequence[Mapping[str, Any]], labels: Sequence[str] = (),
                 compression: str = "bslz4") -> None:
        """Write ``/reflections``, ``/crystals`` and ``/parameters``, a row each for a reflection, crystal and shot; and
        the named ``/labels``."""
        import h5py

        crystals = {name: np.array([one[name] for one in self._crystals]) for name in self._crystals[0]
                    } if self._crystals else {}
        with atomic_path(path) as temporary, closing(Sink(temporary)) as sink:
            with h5py.File(sink, "w") as file:
                write_arrays(file.create_group("reflections"),
                             {name: np.concatenate([one[name] for one in self._columns])
                              for name in self._columns[0]})
                write_arrays(file.create_group("crystals"), crystals)
                write_arrays(file.create_group("parameters"), parameter_arrays(parameters))
                if labels:
                    self._write_labels(file.create_group("labels"), labels, compression)
            sink.check()

    def _write_labels(self, group: h5py.Group, names: Sequence[str], compression: str) -> None:
        """Write boxes, a row for each reflection, and images of the shots, a shot at a time."""
        if "boxes" in names:
            columns = ("fast_min", "fast_max", "slow_min", "slow_max")
            boxes = np.concatenate([one.boxes for one in self._labels])
            counts = {name: np.concatenate([getattr(one, name) for one in self._labels])
                      for name in ("pixels", "overlapped")}
            write_arrays(group.create_group("boxes"), {**dict(zip(columns, boxes.T, strict=True)), **counts})
        for name, kind in (("mask", "uint32"), ("heat", "float32")):
            if name in names:
                shape = self._labels[0].shape
                images = group.create_dataset(name, (len(self._labels), *shape), kind, chunks=(1, *shape),
                                              **filters_of(compression))
                for place, one in enumerate(self._labels):
                    images[place] = getattr(one, name)
