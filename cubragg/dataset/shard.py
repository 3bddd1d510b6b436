"""Renders and writes a shard, a number of consecutive shots: whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cubragg.crystallography.vectors import Matrix
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.digests import PixelDigest, content_of, image_digest
from cubragg.dataset.run_folder import PARTIAL, fsync
from cubragg.dataset.shard_truth import ShardTruth
from cubragg.dataset.shot import Shot
from cubragg.dataset.shot_tables import ShotTables, dials_matrix, parameter_arrays, write_shot_tables
from cubragg.dataset.write_settings import WriteSettings
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.io.images.nxmx import TYPES, NxmxWriter
from cubragg.io.images.scene import Scene
from cubragg.run.image_scene import scene_of

if TYPE_CHECKING:
    import h5py

#: Rendered shots that wait to be written.
_WAITING = 2


@dataclass(frozen=True)
class Work:
    """What workers compute: the data set, what is written of it, and the folder."""

    data: DataSet
    settings: WriteSettings
    folder: Path

    def compute(self, number: int) -> dict[str, Any]:
        """Render and write shard ``number``, and return its line of the manifest.

        Raises
        ------
        OSError
            If a file cannot be written; the folder has none of the shard's then.
        """
        start, cpu = time.perf_counter(), time.process_time()
        shots = self.settings.shards(self.data.series)[number]
        with _partial_folder(self.folder, number) as partial:
            shard = _Shard(self, number, shots, partial)
            shard.run()
            files = {}
            for name, content in shard.contents.items():
                fsync(partial / name)
                files[name] = {"bytes": (partial / name).stat().st_size, "content": content}
            for name in files:
                os.replace(partial / name, self.folder / name)
            fsync(self.folder)
        return {"shard": number, "first": shots.start, "count": len(shots), "files": files, **shard.figures,
                "seconds": round(time.perf_counter() - start, 3), "cpu_seconds": round(time.process_time() - cpu, 3),
                "stages": shard.stages, "worker": f"{socket.gethostname()}:{os.getpid()}"}


@contextmanager
def _partial_folder(folder: Path, number: int) -> Iterator[Path]:
    # Processes of several machines may write, whose numbers are the same.
    partial = folder / f"{PARTIAL}{number:05d}-{os.urandom(8).hex()}"
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Shard:
    """A shard on its way; shots are rendered in this thread, and compressed and written in another."""

    def __init__(self, work: Work, number: int, shots: range, partial: Path) -> None:
        self._work, self._shots, self._partial, self._number = work, shots, partial, number
        # An overload ends no run: brighter pixels are stored as the highest value.
        self._kind = TYPES[work.settings.dtype]._replace(saturates=True)
        self._pixels = PixelDigest()
        self._parameters: list[dict[str, Any]] = []
        self._wavelengths: list[float] = []
        self._matrices: list[tuple[int, Matrix]] = []
        self._truth = ShardTruth(*_first(work.data, shots.start)) if work.settings.truth else None
        self.contents: dict[str, str] = {}
        self.stages = {"render": 0.0, "response": 0.0, "truth": 0.0, "write": 0.0}
        self.figures: dict[str, Any] = {"photons": 0.0, "brightest": 0, "saturated": 0, "blank": 0}

    def run(self) -> None:
        """Render all shots and write the files."""
        scene = self._scene()
        name = f"shard-{self._number:05d}.nxs"
        waiting: deque[Future[None]] = deque()
        with (NxmxWriter(self._partial / name, scene, len(self._shots), self._kind.name,
                         compression=self._work.settings.compression, more=self._describe) as file,
              ThreadPoolExecutor(1) as writer):
            for number in self._shots:
                pixels = self._render(self._work.data.shot(number), scene)
                waiting.append(writer.submit(self._write, file, pixels))
                while len(waiting) > _WAITING:
                    waiting.popleft().result()
            for last in waiting:
                last.result()
        self.contents[name] = self._image_content
        self._write_truth()

    def _scene(self) -> Scene:
        """The experiment that the file describes: that of the data set at the first shot."""
        from cubragg.plan.plan import make_plan

        experiment = self._work.data.experiment_at(self._shots.start)
        scene = scene_of(experiment, make_plan(experiment, self._work.data.rendering.method))
        return replace(scene, timestamp=image_time())

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - start

    def _render(self, shot: Shot, scene: Scene) -> np.ndarray:
        """The pixels of a shot, as they are stored."""
        with self._timed("render"):
            image = shot.image
        with self._timed("response"):
            values = image.on_host if self._kind.name == "float32" else shot.drawn_counts()
            pixels = stored_pixels(values, self._kind, scene.live, where=f"shot {shot.number}")
        figures, highest = self.figures, min(self._kind.highest, scene.trusted[1] if scene.trusted else np.inf)
        brightest = values.max(initial=0).item()
        figures["photons"] += float(values.sum(dtype=np.float64))
        figures["brightest"] = max(figures["brightest"], brightest)
        if brightest >= highest:
            figures["saturated"] += int(np.count_nonzero(values >= highest))
        figures["blank"] += not shot.crystals
        self._parameters.append(shot.parameters)
        self._wavelengths.append(image.experiment.beam.wavelength_A)
        self._matrices += [(shot.number, dials_matrix(plan)) for plan in shot.plans]
        if self._truth is not None:
            with self._timed("truth"):
                settings = self._work.settings
                self._truth.add(shot, shot.reflections_above(settings.truth_min),
                                settings.label_min if settings.labels else None)
        return pixels

    def _write(self, file: NxmxWriter, pixels: np.ndarray) -> None:
        with self._timed("write"):
            self._pixels.add(pixels)
            file.append(pixels)

    def _describe(self, file: h5py.File, images: int) -> None:
        """Write what is kept of the shots, and take the checksum."""
        write_shot_tables(file, ShotTables(
            np.array(self._wavelengths), parameter_arrays(self._parameters),
            np.array([number for number, _ in self._matrices], dtype=np.int64),
            np.array([matrix for _, matrix in self._matrices]).reshape(-1, 3, 3)))
        self._image_content = image_digest(self._pixels, file)

    def _write_truth(self) -> None:
        if self._truth is None:
            return
        self.figures["reflections"] = self._truth.reflections
        writers: dict[str, Callable[[Path], None]] = {
            "refl": self._truth.write_refl, "h5": lambda path: self._truth_h5(path)}
        for kind in self._work.settings.truth:
            name = f"truth-{self._number:05d}.{kind}"
            with self._timed("truth"):
                writers[kind](self._partial / name)
            self.contents[name] = content_of(self._partial / name)

    def _truth_h5(self, path: Path) -> None:
        assert self._truth is not None
        self._truth.write_h5(path, self._parameters, self._work.settings.labels, self._work.settings.compression)


def _first(data: DataSet, shot: int) -> tuple[int, range | None]:
    """Number in ``models.expt`` of the first experiment of a shard that begins with a shot, and the images of its scan
    (``None``: stills)."""
    before = data.experiments_before(shot)
    number = data.series_at(shot)
    return (number, data.series[number]) if before is None else (before, None)


def image_time() -> datetime:
    """The time of the first image: now, or that of the environment variable SOURCE_DATE_EPOCH."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now()
