"""Renders and writes a shard, a number of consecutive shots: whole or not at all."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.dataset.crystfel_files import StreamTruth
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.digests import content_of
from cubragg.dataset.run_folder import PARTIAL, fsync
from cubragg.dataset.shard_images import ShardImages, shard_images
from cubragg.dataset.shard_truth import ShardTruth
from cubragg.dataset.shot import Shot
from cubragg.dataset.write_settings import WriteSettings
from cubragg.reflections.image_sums import MIN_SUMMED, SumRequest

#: Rendered shots that wait to be written.
_WAITING = 2
#: Pixels of an image below which it is written sooner than another thread can take it over.
_SMALL = 200_000


@dataclass(frozen=True)
class Work:
    """What workers compute: the data set, what is written of it, and the folder."""

    data: DataSet
    settings: WriteSettings
    folder: Path

    def compute(self, number: int, finishing: Callable[[], None] | None = None) -> dict[str, Any]:
        """Render and write shard ``number``, and return its line of the manifest.

        Parameters
        ----------
        number
            The shard.
        finishing
            Called when the files are written, and only have to reach the disk and to get their names.

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
            if finishing is not None:
                finishing()
            files = {}
            for name, content in shard.contents.items():
                fsync(partial / name)
                files[name] = {"bytes": (partial / name).stat().st_size, "content": content}
            for name in files:
                os.replace(partial / name, self.folder / name)
            fsync(self.folder)
        found = {**shard.figures, "stages": shard.stages}
        del shard  # which takes milliseconds, of the shard's time
        return {"shard": number, "first": shots.start, "count": len(shots), "files": files, **found,
                "seconds": round(time.perf_counter() - start, 3), "cpu_seconds": round(time.process_time() - cpu, 3),
                "worker": f"{socket.gethostname()}:{os.getpid()}"}


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
    """A shard on its way; shots are rendered in this thread, and compressed and written in another, but small ones."""

    def __init__(self, work: Work, number: int, shots: range, partial: Path) -> None:
        self._work, self._shots, self._partial, self._number = work, shots, partial, number
        self._small = math.prod(work.data.experiment.detector.shape()) < _SMALL
        self._parameters: list[dict[str, Any]] = []
        self._truth = ShardTruth(*_first(work.data, shots.start)) if work.settings.truth else None
        self._stream = (StreamTruth(work.data, work.settings, shots.start) if "stream" in work.settings.truth else None)
        settings = work.settings
        self._sums = (SumRequest(min(MIN_SUMMED, settings.truth_min), settings.label_min if settings.labels else None)
                      if settings.truth else None)
        self.contents: dict[str, str] = {}
        self.stages = {"render": 0.0, "response": 0.0, "truth": 0.0, "write": 0.0}
        self.figures: dict[str, Any] = {"photons": 0.0, "brightest": 0, "saturated": 0, "blank": 0}

    def run(self) -> None:
        """Render all shots and write the files."""
        waiting: deque[Future[None]] = deque()
        work = self._work
        with (shard_images(work.data, work.settings, self._number, self._shots, self._partial) as images,
              ThreadPoolExecutor(1) as writer):
            for number in self._shots:
                write = self._render(work.data.shot(number), images)
                if self._small:
                    self._write(write)
                    continue
                waiting.append(writer.submit(self._write, write))
                while len(waiting) > _WAITING:
                    waiting.popleft().result()
            for last in waiting:
                last.result()
        self.contents |= images.contents
        self._write_truth()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - start

    def _render(self, shot: Shot, images: ShardImages) -> Callable[[], None]:
        """Render a shot, and return what writes its image."""
        photons = self._work.settings.dtype == "float32"
        if photons or self._truth is not None:
            with self._timed("render"):
                shot.render(self._sums)
        # Without truth, photons are rendered and counted together.
        with self._timed("response" if photons or self._truth is not None else "render"):
            values = shot.image.on_host if photons else shot.drawn_counts()
        with self._timed("response"):
            write = images.prepared(values, shot)
        figures = self.figures
        brightest = values.max(initial=0).item()
        figures["photons"] += float(values.sum(dtype=np.float64))
        figures["brightest"] = max(figures["brightest"], brightest)
        if brightest >= images.highest:
            figures["saturated"] += int(np.count_nonzero(values >= images.highest))
        figures["blank"] += not shot.crystals
        self._parameters.append(shot.parameters)
        if self._truth is not None:
            with self._timed("truth"):
                settings = self._work.settings
                found = shot.reflections_above(settings.truth_min)
                self._truth.add(shot, found, settings.label_min if settings.labels else None)
                if self._stream is not None:
                    self._stream.add(shot, found)
        return write

    def _write(self, write: Callable[[], None]) -> None:
        with self._timed("write"):
            write()

    def _write_truth(self) -> None:
        if self._truth is None:
            return
        self.figures["reflections"] = self._truth.reflections
        for kind in self._work.settings.truth:
            with self._timed("truth"):
                names = self._write_truth_as(kind, self._truth)
            self.contents |= {name: content_of(self._partial / name) for name in names}

    def _write_truth_as(self, kind: str, truth: ShardTruth) -> list[str]:
        """Write the truth in a format, and return the names of its files."""
        data, settings = self._work.data, self._work.settings
        if kind == "parquet":
            return truth.write_parquet(self._partial, self._number, [*zip(self._shots, self._parameters, strict=True)],
                                       data.example_parameters(), data.rendering.method)
        name = f"truth-{self._number:05d}.{kind}"
        if kind == "refl":
            truth.write_refl(self._partial / name)
        elif self._stream is not None and kind == "stream":
            self._stream.write(self._partial / name)
        else:
            truth.write_h5(self._partial / name, self._parameters, settings.labels, settings.label_compression)
        return [name]


def _first(data: DataSet, shot: int) -> tuple[int, range | None]:
    """Number in ``models.expt`` of the first experiment of a shard that begins with a shot, and the images of its scan
    (``None``: stills)."""
    before = data.experiments_before(shot)
    number = data.series_at(shot)
    return (number, data.series[number]) if before is None else (before, None)
