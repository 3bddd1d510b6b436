"""Writes ``models.expt``: an experiment for each crystal of stills, or one for a sweep, for DIALS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cubragg.crystallography.cell import dual_axes
from cubragg.crystallography.frames import to_frame
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.parameters import CrystalShot
from cubragg.io.files.atomic import atomic_path
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt_out import crystal_entry, expt_document


def write_models(path: Path, data: DataSet, shots: list[int], images: Path, highest: float) -> None:
    """Write the experiment list of the shots of a data set.

    Parameters
    ----------
    shots
        The shots that are complete; imageset i of stills is image i of ``images``.
    images
        The master file.
    highest
        Largest count of a pixel.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    document = (_sweep if data.kind == "sweep" else _stills)(str(path), data, shots, images, highest)
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


def _sweep(where: str, data: DataSet, shots: list[int], images: Path, highest: float) -> dict[str, Any]:
    models = models_of(data.shot(shots[0]).crystals[0].experiment)
    assert models.scan is not None
    models = replace(models, scan=replace(models.scan, images=len(shots)))
    return expt_document(where, models, image=str(images), trusted=(-1.0, highest))


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


class _Distinct:
    """A list without repetitions."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}

    def place(self, entry: dict[str, Any]) -> int:
        """The place of an entry, which is appended if it is new."""
        place = self._places.setdefault(json.dumps(entry), len(self.entries))
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
