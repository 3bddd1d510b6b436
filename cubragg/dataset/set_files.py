"""Files that are made of the complete shards of a data set: master, experiment list, contact sheet, summary."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.dataset.data_set import DataSet
from cubragg.dataset.models_expt import ImagePart, write_models
from cubragg.dataset.run_folder import RunFolder
from cubragg.dataset.shard import image_time
from cubragg.dataset.shot_tables import read_shot_tables, write_shot_tables
from cubragg.dataset.write_settings import WriteSettings
from cubragg.io.files.atomic import atomic_path, write_bytes
from cubragg.io.images.nxmx import TYPES
from cubragg.io.images.nxmx_master import DATA, write_master
from cubragg.plan.plan import make_plan
from cubragg.run.image_scene import scene_of
from cubragg.view.png import picture, png_bytes

#: Shots on the contact sheet, its columns, and the edge of each [pixel].
_SHEET, _COLUMNS, _EDGE = 16, 4, 320


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
        parts = [ImagePart(folder.path / name, []) for name in masters(data)]
        for number, part in enumerate(parts):
            inside = [record for record in records if data.series_at(record["first"]) == number]
            if inside:
                parts[number], live = _written_part(data, settings, part.images, inside)
        if not data.experiment.detector.curved:
            write_models(folder.path / "models.expt", data, parts, TYPES[settings.dtype].highest)
        files = [(_image_file(record), record["count"]) for record in records]
        with atomic_path(folder.path / "contact.png") as temporary:
            temporary.write_bytes(png_bytes(_sheet(folder.path, files, live)))
    write_bytes(folder.path / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def masters(data: DataSet) -> list[str]:
    """The names of the master files: one, or one for each wedge of a sweep."""
    count = len(data.series)
    width = len(str(count))
    return ["master.nxs"] if count == 1 else [f"master-{number:0{width}}.nxs" for number in range(1, count + 1)]


def _written_part(data: DataSet, settings: WriteSettings, master: Path, records: list[dict[str, Any]]
                  ) -> tuple[ImagePart, np.ndarray]:
    """Write the master file of shards, and return its shots, and which pixels are live [slow, fast]."""
    files = [(_image_file(record), record["count"]) for record in records]
    shots = [shot for record in records for shot in range(record["first"], record["first"] + record["count"])]
    experiment = data.experiment_at(shots[0])
    scene = replace(scene_of(experiment, make_plan(experiment, data.rendering.method)), timestamp=image_time())
    tables = read_shot_tables(master.parent, files)
    write_master(master, scene, settings.dtype, files, lambda file, _: write_shot_tables(file, tables))
    return ImagePart(master, shots, tables), scene.live


def _image_file(record: dict[str, Any]) -> str:
    return next(name for name in record["files"] if name.endswith(".nxs"))


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


def _sheet(folder: Path, parts: list[tuple[str, int]], live: np.ndarray) -> np.ndarray:
    """Colours uint8 [slow, fast, 3] of shots spread over the set, side by side."""
    total = sum(count for _, count in parts)
    chosen = sorted({int(place) for place in np.linspace(0, total - 1, min(_SHEET, total))})
    tiles = [picture(image, mask=live, longest_edge=_EDGE) for image in _images(folder, parts, chosen)]
    height, width = (max(tile.shape[axis] for tile in tiles) + 4 for axis in range(2))
    columns = min(_COLUMNS, len(tiles))
    sheet = np.full((math.ceil(len(tiles) / columns) * height, columns * width, 3), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        sheet[row * height:row * height + tile.shape[0], column * width:column * width + tile.shape[1]] = tile
    return sheet


def _images(folder: Path, parts: list[tuple[str, int]], chosen: list[int]) -> Iterator[np.ndarray]:
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters

    first = 0
    for name, count in parts:
        inside = [place - first for place in chosen if first <= place < first + count]
        if inside:
            with h5py.File(folder / name, "r") as file:
                for place in inside:
                    yield np.asarray(file[DATA][place], dtype=np.float32)
        first += count
