"""Files that are made of the complete shards of a data set: master, experiment list, contact sheet, summary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cubragg.dataset.crystfel_files import set_geometry, what_geom_cannot_say
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.digests import pixels_of
from cubragg.dataset.models_expt import ImagePart, write_models
from cubragg.dataset.run_folder import RunFolder
from cubragg.dataset.shard_images import image_name, scene_at
from cubragg.dataset.shot_spectra import link_spectra, spectrum_form
from cubragg.dataset.shot_tables import read_shot_tables, tables_file, write_shot_tables
from cubragg.dataset.write_settings import WriteSettings, numbered
from cubragg.io.files.atomic import atomic_path, write_bytes
from cubragg.io.images.nxmx import TYPES
from cubragg.io.images.nxmx_master import DATA, write_master
from cubragg.io.images.scene import Scene
from cubragg.view.colours import Style
from cubragg.view.contact_sheet import contact_sheet, small_image, tiles_of
from cubragg.view.picture_notes import notes_for
from cubragg.view.png import png_bytes

if TYPE_CHECKING:
    import h5py

#: Shots on the contact sheet.
_SHEET = 16


def write_set_files(data: DataSet, settings: WriteSettings, folder: RunFolder) -> dict[str, Any]:
    """Write the files of a data set besides its shards, and return the summary.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    records = [folder.records[number] for number in sorted(folder.records)]
    summary = _summary(data, folder, records)
    if records:
        parts = [_part(data, settings, folder.path, number, records) for number in range(len(data.series))]
        if not data.experiment.detector.curved:
            write_models(folder.path / "models.expt", data, parts, TYPES[settings.dtype].highest)
        for number, name in enumerate(geometries(data, settings)):
            geometry = set_geometry(data, settings, number)
            write_bytes(folder.path / name, geometry.text.encode())
            write_bytes((folder.path / name).with_suffix(".cell"), geometry.cell.encode())
        shots = [shot for part in parts for shot in part.shots]
        with atomic_path(folder.path / "contact.png") as temporary:
            temporary.write_bytes(png_bytes(_sheet(shots, parts, scene_at(data, shots[0]))))
    write_bytes(folder.path / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def geometries(data: DataSet, settings: WriteSettings) -> list[str]:
    """Names of the geometry files of CrystFEL: one, or one for each wedge; none of images that it cannot describe."""
    return [] if what_geom_cannot_say(data, settings) else numbered("models", ".geom", len(data.series))


def _part(data: DataSet, settings: WriteSettings, folder: Path, number: int, records: list[dict[str, Any]]
          ) -> ImagePart:
    """The images of element ``number`` of `DataSet.series`, whose master file is written."""
    inside = [record for record in records if data.series_at(record["first"]) == number]
    shots = [shot for record in inside for shot in range(record["first"], record["first"] + record["count"])]
    names = {shot: folder / image_name(data, settings, shot) for shot in shots} if settings.ending else {}
    master = None if settings.ending else folder / settings.masters(data.series)[number]
    if not inside:
        return ImagePart(master, shots, names)
    files = [(tables_file(record), record["count"]) for record in inside]
    tables = read_shot_tables(folder, files)
    if master is not None:
        def more(file: h5py.File, _: int) -> None:
            write_shot_tables(file, tables)
            if any(spectrum_form(data)):
                link_spectra(file, folder, files)

        write_master(master, scene_at(data, shots[0]), settings.dtype, files, more)
    return ImagePart(master, shots, names, tables)


def _summary(data: DataSet, folder: RunFolder, records: list[dict[str, Any]]) -> dict[str, Any]:
    done = sum(record["count"] for record in records)
    totals = {name: sum(record.get(name, 0) for record in records)
              for name in ("photons", "reflections", "saturated", "blank")}
    return {"kind": data.kind, "shots": len(data), "complete_shots": done, "complete": done == len(data),
            "shards": len(records), **totals,
            "photons_per_shot": totals["photons"] / done if done else 0.0,
            "reflections_per_shot": totals["reflections"] / done if done else 0.0,
            "brightest_pixel": max((record["brightest"] for record in records), default=0),
            "bytes": sum(file["bytes"] for record in records for file in record["files"].values()),
            "seconds_of_workers": round(sum(record["seconds"] for record in records), 3), **folder.header}


def _sheet(shots: list[int], parts: list[ImagePart], scene: Scene) -> np.ndarray:
    """Colours uint8 [slow, fast, 3] of shots spread over the set, side by side."""
    chosen = sorted({int(place) for place in np.linspace(0, len(shots) - 1, min(_SHEET, len(shots)))})
    notes = notes_for((), scene.panels, scene.frame, scene.wavelength_A, curved=scene.curved, title="")
    wanted = [shots[one] for one in chosen]
    images = [small_image(image, Style(), notes, scene.live) for image in _images(parts, set(wanted))]
    return contact_sheet(tiles_of(images, [f"shot {shot}" for shot in wanted], Style(), one_scale=True))


def _images(parts: list[ImagePart], chosen: set[int]) -> Iterator[np.ndarray]:
    """The pixels of shots [slow, fast]."""
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters

    for part in parts:
        inside = [(place, shot) for place, shot in enumerate(part.shots) if shot in chosen]
        if part.master is None:
            yield from (pixels_of(part.files[shot]).astype(np.float32) for _, shot in inside)
        elif inside:
            with h5py.File(part.master, "r") as file:
                for place, _ in inside:
                    yield np.asarray(file[DATA][place], dtype=np.float32)
