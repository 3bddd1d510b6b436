"""Writes ``models.expt``: an experiment for each crystal of stills, or one for a sweep, for DIALS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.crystallography.cell import dual_axes
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.shot_tables import ShotTables
from cubragg.io.files.atomic import atomic_path
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt_out import crystal_entry, expt_document

#: Keys of an experiment that name places in the lists of models.
_PLACES = ("imageset", "crystal", "beam", "detector")
#: Crystals whose numbers are Python's at once: these need much memory.
_AT_ONCE = 1000
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
    shots, tables = part.shots, part.tables
    assert tables is not None, "no list is written without a shot"
    base = expt_document(where, models_of(data.experiment_at(0)), image=part.first, trusted=(-1.0, highest))
    models = _Models(where, data, base, highest)
    places, wavelengths = {number: place for place, number in enumerate(shots)}, tables.wavelengths_A.tolist()
    experiment = _template({"__id__": "Experiment", "identifier": "", **dict.fromkeys(_PLACES)}, *_PLACES)

    def experiments() -> Iterator[str]:
        for crystal, number in enumerate(tables.shot.tolist()):
            place = places[number]
            beam, detector = models.places(number, wavelengths[place])
            yield experiment % (place, crystal, beam, detector)

    # The lists of beams and detectors are complete when the experiments are written, before them.
    return {"__id__": "ExperimentList", "experiment": experiments(),
            "imageset": _imagesets(base["imageset"][0], part),
            "beam": models.beams.entries, "detector": models.detectors.entries, "goniometer": [], "scan": [],
            "crystal": _crystals(tables.A_dials), "profile": [], "scaling_model": []}


def _imagesets(still: dict[str, Any], part: ImagePart) -> Iterator[str]:
    """The text of the imageset of each shot."""
    if part.master is None:
        return (json.dumps({**still, "images": [os.path.abspath(part.files[shot])]}) for shot in part.shots)
    one = _template({**still, "images": [os.path.abspath(part.master)], "single_file_indices": None},
                    "single_file_indices")
    return (one % f"[{place}]" for place in range(len(part.shots)))


def _crystals(A_dials: np.ndarray) -> Iterator[str]:
    """The text of `crystal_entry` of each A matrix [n, 3, 3]."""
    one = _template(crystal_entry(_IDENTITY), *(f"real_space_{name}" for name in "abc"))
    for start in range(0, len(A_dials), _AT_ONCE):
        part = A_dials[start:start + _AT_ONCE]
        stars = (tuple(part[:, :, axis].T) for axis in range(3))
        real = (np.column_stack(axis).tolist() for axis in dual_axes(*stars))
        yield from (one % axes for axes in zip(*real, strict=True))


def _template(entry: Mapping[str, Any], *changing: str) -> str:
    """A format of the text of entries that differ in the values of some keys: lists and numbers, a tenth of the time of
    JSON's encoder."""
    hole = "\0"  # no other value has it
    text = json.dumps({**entry, **dict.fromkeys(changing, hole)}).replace("%", "%%")
    return text.replace(json.dumps(hole), "%s")


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


class _Models:
    """Lists of beams and detectors without repetitions."""

    def __init__(self, where: str, data: DataSet, base: dict[str, Any], highest: float) -> None:
        self._where, self._data, self._highest = where, data, highest
        self._beam = base["beam"][0]
        self.beams, self.detectors = _Distinct(), _Distinct()
        self._beam_places: dict[float, int] = {}
        self._unmoved = None if data.detector_moves else self.detectors.place(base["detector"][0])

    def places(self, shot: int, wavelength_A: float) -> tuple[int, int]:
        """The places of beam and detector of a shot, which are appended if they are new."""
        beam = self._beam_places.get(wavelength_A)
        if beam is None:
            beam = self._beam_places[wavelength_A] = self.beams.place({**self._beam, "wavelength": wavelength_A})
        if self._unmoved is not None:
            return beam, self._unmoved
        models = models_of(self._data.shot(shot).crystals[0].experiment)
        document = expt_document(self._where, models, image=None, trusted=(-1.0, self._highest))
        return beam, self.detectors.place(document["detector"][0])
