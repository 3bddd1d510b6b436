"""Writes ``models.expt``: an experiment for each crystal of stills, or one for a sweep, for DIALS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cubragg.crystallography.cell import dual_axes
from cubragg.crystallography.frames import to_frame
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.parameters import CrystalShot
from cubragg.io.files.atomic import atomic_path
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt_out import crystal_entry, expt_document


class ImagePart(NamedTuple):
    """A master file, and the numbers of the shots of its images."""

    images: Path
    shots: list[int]


def write_models(path: Path, data: DataSet, parts: Sequence[ImagePart], highest: float) -> None:
    """Write the experiment list of the shots of a data set.

    Parameters
    ----------
    parts
        Master files with the shots that are complete: of stills one, whose image i is imageset i; of a sweep one for
        each wedge, which is an experiment.
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
        document = _stills(str(path), data, part.shots, part.images, highest)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for place, (name, entries) in enumerate(document.items()):
            file.write(f"{'{' if place == 0 else ','}\n  {json.dumps(name)}: ")
            _write_entries(file, entries)
        file.write("\n}\n")


def _write_entries(file: Any, entries: Any) -> None:
    """Write a list an entry a line, without having its text in memory."""
    if not isinstance(entries, list | Iterator):
        file.write(json.dumps(entries))
        return
    file.write("[")
    for place, entry in enumerate(entries):
        file.write(f"{',' if place else ''}\n    {json.dumps(entry)}")
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
        document = expt_document(where, models, image=str(part.images), trusted=(-1.0, highest))
        experiments.append({**document["experiment"][0],
                            **{kind: table.place(document[kind][0]) for kind, table in tables.items()}})
    return {"__id__": "ExperimentList", "experiment": experiments,
            **{kind: table.entries for kind, table in tables.items()}, "profile": [], "scaling_model": []}


def _stills(where: str, data: DataSet, shots: list[int], images: Path, highest: float) -> dict[str, Any]:
    base = expt_document(where, models_of(data.experiment_at(0)), image=str(images), trusted=(-1.0, highest))
    tables = {kind: _Distinct() for kind in ("beam", "detector")}
    experiments: list[dict[str, Any]] = []
    crystals: list[dict[str, Any]] = []
    for place, number in enumerate(shots):
        for crystal in data.shot(number).crystals:
            models = _varied(where, data, crystal, base, highest)
            experiments.append({"__id__": "Experiment", "identifier": "", "imageset": place, "crystal": len(crystals),
                                **{kind: tables[kind].place(models[kind][0]) for kind in tables}})
            crystals.append(crystal_entry(_a_matrix(crystal)))
    still = {**base["imageset"][0], "images": [os.path.abspath(images)]}
    return {"__id__": "ExperimentList", "experiment": experiments,
            "imageset": ({**still, "single_file_indices": [place]} for place in range(len(shots))),
            **{kind: table.entries for kind, table in tables.items()},
            "goniometer": [], "scan": [], "crystal": crystals, "profile": [], "scaling_model": []}


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


def _varied(where: str, data: DataSet, crystal: CrystalShot, base: dict[str, Any], highest: float) -> dict[str, Any]:
    """The experiment list with beam and detector of a shot: that of the data set, if they do not vary."""
    experiment = crystal.experiment
    if (experiment.beam.wavelength_A, experiment.detector) == (data.experiment.beam.wavelength_A,
                                                               data.experiment.detector):
        return base
    if experiment.detector == data.experiment.detector:
        return {**base, "beam": [{**base["beam"][0], "wavelength": experiment.beam.wavelength_A}]}
    return expt_document(where, models_of(experiment), image=None, trusted=(-1.0, highest))


def _a_matrix(crystal: CrystalShot) -> Any:
    """The A matrix [1/A] in the frame of DIALS, by rows."""
    experiment = crystal.experiment
    lattice = experiment.crystal.lattice(experiment.semantics)
    rotation = experiment.placed().frame.dials_rotation()
    axes = [to_frame(rotation, axis) for axis in dual_axes(lattice.a, lattice.b, lattice.c)]
    return tuple(axis[row] for row in range(3) for axis in axes)
