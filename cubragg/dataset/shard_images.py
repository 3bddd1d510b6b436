"""Writes the images of a shard: one NXmx file, or a file for each image (miniCBF, SMV)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from cubragg.crystallography.vectors import Matrix
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.detector_positions import NAMES, DetectorPositions, positions_of
from cubragg.dataset.digests import PixelDigest, image_digest, single_image_digest, tables_digest
from cubragg.dataset.shot import Shot
from cubragg.dataset.shot_spectra import ShotSpectra, spectrum_form
from cubragg.dataset.shot_tables import ShotTables, dials_matrix, parameter_arrays, write_shot_tables
from cubragg.dataset.write_settings import WriteSettings
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.goniometer_axes import fixed_axes
from cubragg.io.files.atomic import atomic_path
from cubragg.io.files.hdf5_sink import Sink
from cubragg.io.images.nexus_nodes import field
from cubragg.io.images.nxmx import TYPES, NxmxWriter
from cubragg.io.images.nxmx_beam import BEAM, WAVELENGTH
from cubragg.io.images.scene import Scene
from cubragg.io.images.writer import writer_of
from cubragg.run.image_scene import scene_of

if TYPE_CHECKING:
    import h5py

#: Digits of the number of an image in the name of its file.
_DIGITS = 5


class ShardImages(Protocol):
    """The image files of a shard, complete at the end of the ``with`` block.

    Attributes
    ----------
    contents
        Checksum of the content of each file, by its name; complete after the ``with`` block.
    highest
        Count from which a pixel is overloaded.
    """

    contents: dict[str, str]
    highest: float

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None: ...

    def prepared(self, values: np.ndarray, shot: Shot) -> Callable[[], None]:
        """Convert the values of a shot to pixels, and return what writes them: called in the order of the shots."""


def shard_images(data: DataSet, settings: WriteSettings, number: int, shots: range, folder: Path) -> ShardImages:
    """The image files of shard ``number`` in a folder."""
    if settings.ending:
        return _SingleImages(data, settings, folder, f"shots-{number:05d}.h5")
    return _NxmxFile(data, settings, folder / f"shard-{number:05d}.nxs", shots)


def image_name(data: DataSet, settings: WriteSettings, shot: int) -> str:
    """The name of the file of a shot, in a format with a file for each image: numbers in a wedge begin with 1."""
    number = data.series_at(shot)
    wedge = f"-{number + 1:0{len(str(len(data.series)))}}" if len(data.series) > 1 else ""
    return f"image{wedge}_{shot - data.series[number].start + 1:0{_DIGITS}}{settings.ending}"


def check_images(data: DataSet, settings: WriteSettings) -> None:
    """Check that the format can describe the data set.

    Raises
    ------
    ConfigError
        If it cannot; the message has the reason.
    """
    if not settings.ending:
        return
    accepted = "nxmx is accepted"
    scene = scene_at(data, 0)
    writer = writer_of(settings.ending)(scene)
    try:
        writer.check()
    except FormatError as error:
        raise ConfigError("write.format", f"{error}, which {writer.title} cannot describe; {accepted}") from None
    for part in data.series:
        scene = scene_at(data, part.start)
        if scene.axes and any(axis.angle_deg for axis in fixed_axes(scene.axes, scene.scan_axis)):
            raise ConfigError("write.format", f"got {settings.format} and axes of the goniometer that are not at 0 "
                              f"deg, which {writer.title} cannot describe; {accepted}")


def scene_at(data: DataSet, shot: int) -> Scene:
    """What a file describes besides the pixels: the experiment of the data set at a shot."""
    from cubragg.plan.make_plan import make_plan

    experiment = data.experiment_at(shot)
    return replace(scene_of(experiment, make_plan(experiment, data.rendering.method)), timestamp=image_time())


def image_time() -> datetime:
    """The time of the first image: now, or that of the environment variable SOURCE_DATE_EPOCH."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now()


class _Shots:
    """What is kept of shots."""

    def __init__(self, data: DataSet, positions: DetectorPositions | None = None) -> None:
        self._positions, self._found = positions, list[dict[str, float]]()
        self.spectra = ShotSpectra(spectrum_form(data))
        self._wavelengths: list[float] = []
        self._parameters: list[Mapping[str, Any]] = []
        self._matrices: list[tuple[int, Matrix]] = []

    def add(self, shot: Shot) -> None:
        """Keep a shot."""
        self._parameters.append(shot.parameters)
        self._wavelengths.append(shot.experiment.beam.wavelength_A)
        self._matrices += [(shot.number, dials_matrix(plan)) for plan in shot.plans]
        self.spectra.add(shot.experiment.beam.channels())
        if self._positions is not None:
            self._found.append(self._positions.of(shot))

    def tables(self) -> ShotTables:
        """The tables of all shots."""
        return ShotTables(
            np.array(self._wavelengths), parameter_arrays(self._parameters),
            np.array([number for number, _ in self._matrices], dtype=np.int64),
            np.array([matrix for _, matrix in self._matrices]).reshape(-1, 3, 3),
            {name: np.array([one[name] for one in self._found]) for name in NAMES if self._found})


class _NxmxFile:
    """A file of all images, with wavelengths and parameters of the shots."""

    def __init__(self, data: DataSet, settings: WriteSettings, path: Path, shots: range) -> None:
        self._scene = scene_at(data, shots.start)
        # An overload ends no run: brighter pixels are stored as the highest value.
        self._kind = TYPES[settings.dtype]._replace(saturates=True)
        self._pixels = PixelDigest()
        self._shots = _Shots(data, positions_of(data, shots.start))
        self._name = path.name
        self._file = NxmxWriter(path, self._scene, len(shots), self._kind.name, compression=settings.compression,
                                more=self._describe)
        self.contents: dict[str, str] = {}
        self.highest = min(self._kind.highest, self._scene.trusted[1] if self._scene.trusted else np.inf)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._file.__exit__(kind, error, trace)

    def prepared(self, values: np.ndarray, shot: Shot) -> Callable[[], None]:
        """Convert the values to pixels, and return what appends them."""
        pixels = stored_pixels(values, self._kind, self._scene.live, where=f"shot {shot.number}")
        self._shots.add(shot)

        def write() -> None:
            self._pixels.add(pixels)
            self._file.append(pixels)

        return write

    def _describe(self, file: h5py.File, images: int) -> None:
        """Write what is kept of the shots, and take the checksum."""
        write_shot_tables(file, self._shots.tables())
        self._shots.spectra.write(file)
        self.contents[self._name] = image_digest(self._pixels, file)


class _SingleImages:
    """A file for each image, whose header has the shot's own geometry and wavelength, and one with their tables."""

    def __init__(self, data: DataSet, settings: WriteSettings, folder: Path, tables: str) -> None:
        self._data, self._settings, self._folder, self._tables = data, settings, folder, tables
        self._shots = _Shots(data)
        self._time = image_time()
        self.contents: dict[str, str] = {}
        scene = scene_at(data, 0)
        writer = writer_of(settings.ending)(scene)
        kind, trusted = writer.pixel_type("counts"), scene.trusted
        self.highest = min(kind.highest - writer.offset, trusted[1] if trusted else np.inf)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        """Write the tables of the shots; the images are complete."""
        if kind is not None:
            return
        import h5py

        path = self._folder / self._tables
        with atomic_path(path) as temporary, closing(Sink(temporary)) as sink:
            with h5py.File(sink, "w") as file:
                tables = self._shots.tables()
                field(file.create_group(BEAM), WAVELENGTH, tables.wavelengths_A[0], "angstrom")
                write_shot_tables(file, tables)
                self._shots.spectra.write(file)
                self.contents[self._tables] = tables_digest(file)
            sink.check()

    def prepared(self, values: np.ndarray, shot: Shot) -> Callable[[], None]:
        """Convert the values to pixels, and return what writes their file."""
        scene = replace(scene_of(shot.experiment, shot.plan), timestamp=self._time)
        writer = writer_of(self._settings.ending)(scene)
        kind = writer.pixel_type("counts")._replace(saturates=True)
        pixels = stored_pixels(values, kind, writer.live, offset=writer.offset, where=f"shot {shot.number}")
        name = image_name(self._data, self._settings, shot.number)
        self._shots.add(shot)

        def write() -> None:
            path = self._folder / name
            writer.open(path, 1, kind.name)
            writer.append(pixels)
            self.contents[name] = single_image_digest(path, pixels)

        return write
