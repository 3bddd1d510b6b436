"""Shots as a map-style dataset of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
    from torch.utils.data import Dataset, get_worker_info
except ImportError as error:
    raise ImportError("cubragg.torch needs PyTorch: pip install 'cubragg[torch]'") from error

from cubragg.dataset.data_set import DataSet, ShotSlice, shot_number
from cubragg.dataset.shot_samples import Label, RenderedShots, Sample, ShotSource, StoredShots
from cubragg.errors import ConfigError

#: Expected photons from which reflections have labels.
_LABEL_MIN = 10.0
_TYPES = {"mask": np.int64, "heat": np.float32, "boxes": np.float32}


class ShotDataset(Dataset[dict[str, Any]]):
    """Images of shots with their labels, in the order of the shots: the same every time.

    A sample is a dictionary with

    ``image``
        Counts, or expected photons, float32 [1, slow, fast]; 0 in pixels that the detector does not have.
    ``mask``
        1 + the number of the reflection with most photons in each pixel, 0 without one, int64 [slow, fast].
    ``heat``
        Photons of a reflection in each pixel over those in its brightest one, float32 [slow, fast].
    ``boxes``
        Corners fast, slow, fast, slow of each reflection with pixels [pixel], float32 [n, 4], as in torchvision: the
        upper ones are behind the last pixel.
    ``parameters``
        The parameters that vary, by name, as float64 tensors; texts as they are.
    ``shot``
        Number of the shot.

    `torch.utils.data.DataLoader` takes it with any number of workers, forked or spawned; a worker renders on one
    thread. Use `collate` as ``collate_fn``: numbers of boxes differ from shot to shot.

    Parameters
    ----------
    source
        A `cubragg.Stills` or `cubragg.Sweep`, or a slice of one, whose shots are rendered when they are asked for, or
        the folder of a finished data set, whose shots are read.
    labels
        Which of ``boxes``, ``mask`` and ``heat`` a sample has; ``None``: all that there are. A folder has those that
        were written (``--labels``).
    label_min
        Reflections with fewer expected photons have no labels; of shots that are rendered, 10 if it is ``None``.
    photons
        Samples have expected photons in place of counts; of shots that are rendered.
    transform
        Called with each sample; what it returns takes its place.

    Raises
    ------
    ConfigError
        For a source of another kind, labels that there are not, and ``label_min`` or ``photons`` with a folder.
    CubraggError
        If a folder holds no finished data set, or not the labels.

    Examples
    --------
    >>> dataset = ShotDataset(stills, labels=("mask",))          # doctest: +SKIP
    >>> loader = DataLoader(dataset, 8, num_workers=4, collate_fn=collate)   # doctest: +SKIP
    """

    def __init__(self, source: DataSet | ShotSlice | Path | str, *, labels: Sequence[Label] | None = None,
                 label_min: float | None = None, photons: bool = False,
                 transform: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self._source = _source(source, labels, label_min, photons)
        self._numbers = source.numbers if isinstance(source, ShotSlice) else range(len(self._source))
        self._transform = transform

    def __repr__(self) -> str:
        return f"<cubragg.torch.ShotDataset of {len(self)} shots with {', '.join(self.labels) or 'no labels'}>"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of a sample."""
        return self._source.labels

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Any:
        """The sample of a shot.

        Raises
        ------
        IndexError
            Beyond the last shot.
        TypeError
            For an index that is not a whole number.
        """
        number = shot_number(self._numbers, index)
        sample = _tensors(self._source.sample(number, None if get_worker_info() is None else 1), number)
        return sample if self._transform is None else self._transform(sample)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))


def _source(source: DataSet | ShotSlice | Path | str, labels: Sequence[Label] | None, label_min: float | None,
            photons: bool) -> ShotSource:
    if isinstance(source, ShotSlice):
        source = source.data
    if isinstance(source, DataSet):
        return RenderedShots(source, labels, _LABEL_MIN if label_min is None else label_min, photons)
    if not isinstance(source, str | os.PathLike):
        raise ConfigError("source", f"got {type(source).__name__}; a Stills, a Sweep, or the folder of one is accepted")
    for name, given in (("label_min", label_min is not None), ("photons", photons)):
        if given:
            raise ConfigError(name, f"got it with the folder {source}, whose samples are those that were written; give "
                              f"cubragg.Stills.read({str(source)!r}) to render them")
    return StoredShots(source, labels)


def _tensors(sample: Sample, number: int) -> dict[str, Any]:
    labels = {name: torch.from_numpy(np.ascontiguousarray(values, dtype=_TYPES[name]))
              for name, values in sample.labels.items()}
    parameters = {name: value if isinstance(value, str) else torch.tensor(value)
                  for name, value in sample.parameters.items()}
    return {"image": torch.from_numpy(sample.image)[None], **labels, "parameters": parameters, "shot": number}


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch of samples: images, masks and heat maps stacked, numbers of shots as a tensor, and lists of the rest."""
    batch: dict[str, Any] = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        if name in ("image", "mask", "heat"):
            batch[name] = torch.stack(values)
        else:
            batch[name] = torch.tensor(values) if name == "shot" else values
    return batch
