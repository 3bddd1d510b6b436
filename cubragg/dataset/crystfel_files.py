"""What CrystFEL reads of a data set: its geometry file and cell, and streams of the truth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cubragg.crystallography.bravais import Bravais, bravais_of
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.detector_positions import NAMES, positions_of, turning_parameters
from cubragg.dataset.digests import POSITIONS
from cubragg.dataset.shard_images import image_name
from cubragg.dataset.shot import Shot, ShotReflections
from cubragg.dataset.write_settings import WriteSettings
from cubragg.errors import ConfigError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.geometry.crystfel_out import InImages, camera_length_m, cell_text, geom_text, panel_names
from cubragg.io.geometry.experiment_models import cell_of, models_of
from cubragg.io.images.nxmx_master import DATA
from cubragg.io.reflections.crystfel_stream import Chunk, StreamCrystal, StreamDetector, chunk_text, stream_head

_WAVELENGTH = "/entry/instrument/beam/incident_wavelength"
_MASK = "/entry/instrument/detector/detectorSpecific/pixel_mask"
#: Beginnings of the names of parameters that CrystFEL needs of each image.
_OF_IMAGES = ("detector.", "beam.wavelength_A", "beam.spectrum")


def what_geom_cannot_say(data: DataSet, settings: WriteSettings) -> str:
    """The reason why a geometry file cannot describe the images; empty if it can."""
    if data.experiment.detector.curved:
        return "got a curved detector, and CrystFEL has flat panels"
    if settings.format == "smv":
        return "got images as smv, which CrystFEL does not read"
    turned = turning_parameters(data)
    if settings.ending:
        varied = [one.name for one in data.parameters if one.name.startswith(_OF_IMAGES)]
        if varied:
            return f"got images as {settings.format} and {varied[0]} that varies, which CrystFEL takes from NXmx only"
    return f"got {turned[0]} that varies, and geometry files have shifts of the detector only" if turned else ""


def check_stream(data: DataSet, settings: WriteSettings) -> None:
    """Check that streams can describe the images.

    Raises
    ------
    ConfigError
        If they cannot; the message has the reason.
    """
    reason = what_geom_cannot_say(data, settings)
    if reason:
        raise ConfigError("write.truth", f"{reason}; leave stream out")


class SetGeometry(NamedTuple):
    """Geometry and cell of the images of a wedge, or of all stills.

    Attributes
    ----------
    text
        The geometry file.
    names
        Names of the panels.
    clen_m
        Camera length without a shift of the detector.
    adu_per_photon
        Counts for each photon.
    cell
        The cell file.
    lattice
        Lattice of the crystals.
    """

    text: str
    names: list[str]
    clen_m: float
    adu_per_photon: float
    cell: str
    lattice: Bravais


def set_geometry(data: DataSet, settings: WriteSettings, number: int) -> SetGeometry:
    """The geometry of element ``number`` of `DataSet.series`."""
    experiment = data.experiment_at(data.series[number].start)
    models = models_of(experiment)
    paths = (f"{POSITIONS}/{name}" for name in NAMES) if data.detector_moves else ()
    images = None if settings.ending else InImages(DATA, _WAVELENGTH, _MASK, *paths)
    adu = experiment.detector_response().gain
    text = geom_text("models.geom", models, data=None, images=images, adu_per_photon=adu,
                     bandwidth=experiment.beam.relative_bandwidth())
    assert models.crystal is not None
    cell = cell_of(models.crystal)
    file = experiment.structure_factors.file
    lattice = bravais_of(data.source.get("space_group") or (file and file.symbol), cell)
    return SetGeometry(text, panel_names(models.panels), camera_length_m(models.panels), adu, cell_text(cell, lattice),
                       lattice)


class StreamTruth:
    """The stream of a shard, to which shots are added one after the other.

    Parameters
    ----------
    first
        Number of the first shot.
    """

    def __init__(self, data: DataSet, settings: WriteSettings, first: int) -> None:
        self._data, self._settings, self._series = data, settings, data.series_at(first)
        self._geometry, self._positions = set_geometry(data, settings, self._series), positions_of(data, first)
        self._texts = [stream_head(self._geometry.text)]

    def add(self, shot: Shot, reflections: ShotReflections) -> None:
        """Add the reflections of a shot."""
        beam, (file, event) = shot.experiment.beam, self._image(shot.number)
        moved = {} if self._positions is None else self._positions.of(shot)
        crystals = [StreamCrystal(table, *shot.photons_near(*table.image_px)) for table in reflections.tables]
        chunk = Chunk(file, event, shot.number + 1, beam.wavelength_A, beam.relative_bandwidth(),
                      max(beam.divergence_rad()), moved.get("clen", self._geometry.clen_m),
                      {f"{POSITIONS}/{name}": value for name, value in moved.items()}, crystals)
        self._texts.append(chunk_text(chunk, StreamDetector(
            self._geometry.names, self._geometry.adu_per_photon, self._geometry.lattice)))

    def _image(self, shot: int) -> tuple[str, str]:
        """The file of a shot, and its event there."""
        if self._settings.ending:
            return image_name(self._data, self._settings, shot), "//"
        return (self._settings.masters(self._data.series)[self._series],
                f"//{shot - self._data.series[self._series].start}")

    def write(self, path: Path) -> None:
        """Write the stream."""
        write_bytes(path, "".join(self._texts).encode())
