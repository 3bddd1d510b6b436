"""Writes ``models.expt``: an experiment for each crystal of stills, or one for a sweep, for DIALS."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.crystallography.cell import dual_axes
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.detector_positions import shifts_mm
from cubragg.dataset.shot_tables import ShotTables
from cubragg.io.files.atomic import atomic_path
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt_out import crystal_entry, expt_document

#: Keys of an experiment that name places in the lists of models.
_PLACES = ("imageset", "crystal", "beam", "detector")
#: Crystals whose numbers are Python's at once: these need much memory.
_AT_ONCE = 1000
#: What no other value of an entry is.
_HOLE = "\0"
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class ImagePart(NamedTuple):
    """Images that belong together: the master file (``None``: ``files`` has that of each shot by its number), the
    numbers of the shots in their order, and their tables (``None``: no shot is complete)."""

    master: Path | None
    shots: list[int]
    files: Mapping[int, Path]
    tables: ShotTables | None = None

    @property
    def first(self) -> str:
        """The master file, or the file of the first image."""
        return str(self.master or self.files[self.shots[0]])


def write_models(path: Path, data: DataSet, parts: Sequence[ImagePart], highest: float) -> None:
    """Write the experiment list of the shots of a data set.

    Parameters
    ----------
    parts
        Images of the shots that are complete: of stills all, each an imageset; of a sweep those of each wedge, which
        is an experiment.
    highest
        Largest count of a pixel.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if data.kind == "sweep":
        document = _sweep(str(path), data, parts, highest)
    else:
        (part,) = parts
        document = _stills(str(path), data, part, highest)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for place, (name, entries) in enumerate(document.items()):
            file.write(f"{'{' if place == 0 else ','}\n  {json.dumps(name)}: ")
            _write_entries(file, entries)
        file.write("\n}\n")


def _write_entries(file: Any, entries: Any) -> None:
    """Write a list of entries, or of their texts, one a line, without having all of the text in memory."""
    if not isinstance(entries, list | Iterator):
        file.write(json.dumps(entries))
        return
    file.write("[")
    for place, entry in enumerate(entries):
        file.write(f"{',' if place else ''}\n    {entry if isinstance(entry, str) else json.dumps(entry)}")
    file.write("]")


def _sweep(where: str, data: DataSet, parts: Sequence[ImagePart], highest: float) -> dict[str, Any]:
    """The experiment list of a sweep: one for each wedge, with the beam, detector and crystal that they share."""
    shared = ("beam", "detector", "goniometer", "crystal")
    tables = {kind: _Distinct(rounded=kind in shared) for kind in (*shared, "imageset", "scan")}
    experiments = []
    for part, shots in zip(parts, data.series, strict=True):
        first = part.shots[0] if part.shots else shots.start
        models = models_of(data.shot(first).crystals[0].experiment)
        assert models.scan is not None
        models = replace(models, scan=replace(models.scan, images=len(part.shots or shots)))
        document = expt_document(where, models, image=part.first, trusted=(-1.0, highest))
        experiments.append({**document["experiment"][0],
                            **{kind: table.place(document[kind][0]) for kind, table in tables.items()}})
    return {"__id__": "ExperimentList", "experiment": experiments,
            **{kind: table.entries for kind, table in tables.items()}, "profile": [], "scaling_model": []}


def _stills(where: str, data: DataSet, part: ImagePart, highest: float) -> dict[str, Any]:
    tables = part.tables
    assert tables is not None, "no list is written without a shot"
    base = expt_document(where, models_of(data.experiment_at(0)), image=part.first, trusted=(-1.0, highest))
    places = {number: place for place, number in enumerate(part.shots)}
    # Of each crystal: the place of its image, and that of its beam and detector among the distinct ones.
    images = [places[number] for number in tables.shot.tolist()]
    wavelengths = tables.wavelengths_A[images].tolist()
    beams = _distinct(wavelengths)
    detectors = _distinct(_detector_values(data, tables, images))
    experiment = _template({"__id__": "Experiment", "identifier": "", **dict.fromkeys(_PLACES, _HOLE)})
    each = zip(images, range(len(images)), beams.places, detectors.places, strict=True)
    beam = _template({**base["beam"][0], "wavelength": _HOLE})
    return {"__id__": "ExperimentList", "experiment": (experiment % one for one in each),
            "imageset": _imagesets(base["imageset"][0], part),
            "beam": (beam % wavelengths[first] for first in beams.firsts),
            "detector": _detectors(where, data, part, base["detector"][0],
                                   [images[first] for first in detectors.firsts], highest),
            "goniometer": [], "scan": [], "crystal": _crystals(tables.A_dials), "profile": [], "scaling_model": []}


class _Places(NamedTuple):
    """For each of n values its place among the m distinct ones [n], and where each of these is first [m]."""

    places: list[int]
    firsts: list[int]


def _distinct(values: Iterable[Hashable]) -> _Places:
    """The distinct ones of some values, in their order."""
    found: dict[Hashable, int] = {}
    places: list[int] = []
    firsts: list[int] = []
    for number, value in enumerate(values):
        places.append(found.setdefault(value, len(found)))
        if len(found) > len(firsts):
            firsts.append(number)
    return _Places(places, firsts)


def _detector_values(data: DataSet, tables: ShotTables, images: list[int]) -> Iterable[Hashable]:
    """What varies of the detector in the images of some places [n]."""
    varying = [tables.parameters[parameter.name][images].tolist() for parameter in data.parameters
               if parameter.name.startswith("detector.")]
    columns = [[tuple(one) if isinstance(one, list) else one for one in column] for column in varying]
    return zip(*columns, strict=True) if columns else [()] * len(images)


def _detectors(where: str, data: DataSet, part: ImagePart, base: dict[str, Any], images: list[int], highest: float
               ) -> Iterator[str]:
    """The text of the detectors of the images of some places [n]: the experiment's, or that one moved."""
    tables = part.tables
    assert tables is not None
    if not data.detector_moves:
        yield json.dumps(base)
    elif tables.positions:
        moved = _template({**base, "panels": [{**panel, "origin": _HOLE} for panel in base["panels"]]})
        origins = np.array([panel["origin"] for panel in base["panels"]])
        shifts = shifts_mm(data, tables.positions)
        for start in range(0, len(images), _AT_ONCE):
            for one in (origins + shifts[images[start:start + _AT_ONCE], None]).tolist():
                yield moved % tuple(one)
    else:
        for place in images:
            models = models_of(data.shot(part.shots[place]).crystals[0].experiment)
            document = expt_document(where, models, image=None, trusted=(-1.0, highest))
            yield json.dumps(document["detector"][0])


def _imagesets(still: dict[str, Any], part: ImagePart) -> Iterator[str]:
    """The text of the imageset of each shot."""
    if part.master is None:
        return (json.dumps({**still, "images": [os.path.abspath(part.files[shot])]}) for shot in part.shots)
    one = _template({**still, "images": [os.path.abspath(part.master)], "single_file_indices": _HOLE})
    return (one % f"[{place}]" for place in range(len(part.shots)))


def _crystals(A_dials: np.ndarray) -> Iterator[str]:
    """The text of `crystal_entry` of each A matrix [n, 3, 3]."""
    one = _template({**crystal_entry(_IDENTITY), **{f"real_space_{name}": _HOLE for name in "abc"}})
    for start in range(0, len(A_dials), _AT_ONCE):
        part = A_dials[start:start + _AT_ONCE]
        stars = (tuple(part[:, :, axis].T) for axis in range(3))
        real = (np.column_stack(axis).tolist() for axis in dual_axes(*stars))
        yield from (one % axes for axes in zip(*real, strict=True))


def _template(entry: Mapping[str, Any]) -> str:
    """A format of the text of entries that differ in lists or numbers, which are `_HOLE` in this one: a tenth of the
    time of JSON's encoder."""
    return json.dumps(entry).replace("%", "%%").replace(json.dumps(_HOLE), "%s")


def _rounded(text: str) -> float:
    return round(float(text), 9) + 0.0


class _Distinct:
    """A list without repetitions, of entries whose numbers differ by more than rounding errors if ``rounded``."""

    def __init__(self, rounded: bool = False) -> None:
        self._parse_float = _rounded if rounded else float
        self.entries: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}

    def place(self, entry: dict[str, Any]) -> int:
        """The place of an entry, which is appended if it is new."""
        key = json.dumps(entry)
        if self._parse_float is not float:
            key = json.dumps(json.loads(key, parse_float=self._parse_float))
        place = self._places.setdefault(key, len(self.entries))
        if place == len(self.entries):
            self.entries.append(entry)
        return place
