"""Samples of shots as NumPy arrays, rendered when they are asked for or read from the folder of a data set."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from cubragg import checks
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.digests import PARAMETERS
from cubragg.dataset.run_folder import RunFolder
from cubragg.dataset.shot_tables import read_arrays, tables_file
from cubragg.dataset.write_settings import LABELS, Label
from cubragg.errors import ConfigError, CubraggError
from cubragg.io.images.nxmx_master import DATA
from cubragg.plan.make_plan import make_plan

if TYPE_CHECKING:
    import h5py

#: Shards whose files a process keeps open.
_OPEN_SHARDS = 4


class Sample(NamedTuple):
    """A shot: its image float32 [slow, fast], and its labels and parameters by name; numbers are float64 arrays."""

    image: np.ndarray
    labels: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray | str]


class ShotSource(Protocol):
    """A number of shots in a fixed order; ``labels`` are the names of their labels."""

    labels: tuple[Label, ...]

    def __len__(self) -> int: ...

    def sample(self, number: int, threads: int | None) -> Sample:
        """Shot ``number``, on so many CPU threads; ``None``: all."""


def corners(boxes: np.ndarray) -> np.ndarray:
    """Corners fast, slow, fast, slow [pixel] of boxes of first and last pixels [n, 4], float32 [m, 4]; those of
    reflections without pixels are left out."""
    fast_min, fast_max, slow_min, slow_max = boxes[boxes[:, 0] >= 0].T
    return np.stack([fast_min, slow_min, fast_max + 1, slow_max + 1], axis=1).astype(np.float32)


def checked_labels(labels: Sequence[str]) -> tuple[Label, ...]:
    """The names of labels.

    Raises
    ------
    ConfigError
        For one that there is not.
    """
    if isinstance(labels, str):
        raise ConfigError("labels", f"got {labels!r}; a sequence of names is accepted, such as ('mask',)")
    for name in labels:
        checks.choice("labels", "the label", name, LABELS)
    return tuple(name for name in LABELS if name in labels)


class RenderedShots:
    """The shots of a data set, rendered when they are asked for.

    Raises
    ------
    ConfigError
        For labels that there are not, and a number of photons below 0.
    """

    def __init__(self, data: DataSet, labels: Sequence[Label] | None, label_min: float, photons: bool) -> None:
        self.labels = LABELS if labels is None else checked_labels(labels)
        checks.number("label_min", "the number of photons", label_min, "photons", at_least=0.0)
        self._data, self._label_min, self._photons = data, label_min, photons
        mask = make_plan(data.experiment_at(0), data.rendering.method).mask
        self._dead = None if mask is None else ~mask

    def __len__(self) -> int:
        return len(self._data)

    def sample(self, number: int, threads: int | None) -> Sample:
        """Render a shot."""
        rendering = self._data.rendering
        shot = self._data.shot(number, replace(rendering, threads=rendering.threads or threads))
        image = np.array(shot.image.on_host if self._photons else shot.counts, dtype=np.float32)
        if self._dead is not None:
            image[self._dead] = 0.0
        labels: dict[str, np.ndarray] = {}
        if self.labels:
            found = shot.labels(self._label_min)
            labels = {name: corners(found.boxes) if name == "boxes" else getattr(found, name) for name in self.labels}
        return Sample(image, labels, _given(shot.parameters))


class StoredShots:
    """The shots in the folder of a complete data set.

    Files are opened by the process that reads them, never taken over from the one that it was forked from.

    Raises
    ------
    CubraggError
        If the folder holds no complete data set, or labels that were not written are asked for.
    """

    def __init__(self, folder: Path | str, labels: Sequence[Label] | None) -> None:
        if not Path(folder).is_dir():
            raise CubraggError(f"{folder}: got no folder; that of a finished data set is accepted (cubragg stills -o, "
                               "Stills.write)")
        run = RunFolder(Path(folder))
        run.read()
        records = [run.records[number] for number in sorted(run.records)]
        if not records:
            raise CubraggError(f"{folder}: got a folder without shards of a data set; that of a finished one is "
                               "accepted (cubragg stills -o, Stills.write)")
        ends = np.cumsum([record["count"] for record in records])
        gaps = [record["first"] for record, end in zip(records, ends, strict=True)
                if record["first"] != end - record["count"]]
        if gaps or not (run.path / "summary.json").is_file():
            raise CubraggError(f"{folder}: got a data set with {ends[-1]} complete shots, which is not finished; the "
                               "command that began it continues it")
        self._folder, self._first = run.path, ends - [record["count"] for record in records]
        self._images = [tables_file(record) for record in records]
        if not all(name.endswith(".nxs") for name in self._images):
            raise CubraggError(f"{folder}: got a data set with a file for each image; one of NXmx is accepted "
                               "(--format nxmx)")
        self._truths = [next((name for name in record["files"] if name.endswith(".h5")), None) for record in records]
        self._count = int(ends[-1])
        self._opened: OrderedDict[int, _Shard] = OrderedDict()
        self._process = os.getpid()
        written = self._shard(0).labels
        self.labels = written if labels is None else checked_labels(labels)
        if missing := [name for name in self.labels if name not in written]:
            raise CubraggError(f"{folder}: got a data set without the labels {', '.join(missing)}; write it with "
                               f"--labels {','.join(LABELS)}")

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": OrderedDict(), "_process": -1}

    def sample(self, number: int, threads: int | None) -> Sample:
        """Read a shot."""
        place = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._shard(place).sample(number - int(self._first[place]), number, self.labels)

    def _shard(self, place: int) -> _Shard:
        """The open files of a shard; some are kept."""
        if self._process != os.getpid():
            self._opened, self._process = OrderedDict(), os.getpid()
        if place not in self._opened:
            while len(self._opened) >= _OPEN_SHARDS:
                self._opened.popitem(last=False)[1].close()
            truth = self._truths[place]
            self._opened[place] = _Shard(self._folder / self._images[place],
                                         None if truth is None else self._folder / truth)
        self._opened.move_to_end(place)
        return self._opened[place]


class _Shard:
    """The open files of a shard: images and, if there is one, truth."""

    def __init__(self, images: Path, truth: Path | None) -> None:
        import h5py
        import hdf5plugin  # noqa: F401 - registers the filters

        self._images = h5py.File(images, "r")
        self._truth = None if truth is None else h5py.File(truth, "r")
        group: Mapping[str, Any] = {} if self._truth is None else self._truth.get("labels", {})
        self.labels: tuple[Label, ...] = tuple(name for name in LABELS if name in group)
        self._parameters = read_arrays(self._images[PARAMETERS])
        self._dead = self._images["/entry/instrument/detector/detectorSpecific/pixel_mask"][()] != 0
        self._reflection_shot = np.zeros(0) if self._truth is None else self._truth["reflections/shot"][()]

    def close(self) -> None:
        """Close the files."""
        self._images.close()
        if self._truth is not None:
            self._truth.close()

    def sample(self, place: int, shot: int, labels: Sequence[Label]) -> Sample:
        """The sample of an image of the shard, and shot number ``shot`` of the data set."""
        image = self._images[DATA][place].astype(np.float32)
        image[self._dead] = 0.0
        parameters = _given({name: array[place] for name, array in self._parameters.items()})
        found: dict[str, np.ndarray] = {}
        for name in labels:
            assert self._truth is not None, "there are labels"
            node = self._truth["labels"][name]
            found[name] = self._corners(node, shot) if name == "boxes" else node[place]
        return Sample(image, found, parameters)

    def _corners(self, boxes: h5py.Group, shot: int) -> np.ndarray:
        start, end = np.searchsorted(self._reflection_shot, [shot, shot + 1])
        return corners(np.stack([boxes[name][start:end] for name in ("fast_min", "fast_max", "slow_min", "slow_max")],
                                axis=1))


def _given(parameters: Mapping[str, Any]) -> dict[str, np.ndarray | str]:
    """The parameters that a shot has: the others are None, NaN or empty texts."""
    found: dict[str, np.ndarray | str] = {}
    for name, value in parameters.items():
        if isinstance(value, str):
            found |= {name: value} if value else {}
        elif value is not None and not np.isnan(array := np.asarray(value, dtype=np.float64)).all():
            found[name] = array
    return found
