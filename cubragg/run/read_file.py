"""read(path): structure factors, an experiment or an image, by the content of the file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.experiment_parts import ExperimentParts
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.io.files.compression import start_of
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels
from cubragg.io.geometry.model_settings import parts_of
from cubragg.io.geometry.sniff import geometry_kind, read_models
from cubragg.io.images.read_image import FLOAT_ENDINGS, read_image
from cubragg.io.images.smv import pedestal_of
from cubragg.run.experiment_file import read_experiment
from cubragg.run.file_image import FileImage

_START_BYTES = 4096
#: First bytes of images that may look like text: PGM, TIFF, NumPy.
_IMAGE_STARTS = (b"P2", b"P5", b"II*\0", b"MM\0*", b"\x93NUMPY")
#: First line of the spec.toml of a data set.
_SET_KIND = re.compile(rb'kind = "(sweep|stills)"')
_EXPERIMENT_SECTIONS = ("[beam", "[crystal", "[detector", "[goniometer", "[sampling", "[structure_factors", "semantics")


def read(path: Path | str, *, number: int | None = None, wavelength_A: float | None = None,
         distance_mm: float | None = None) -> StructureFactors | Experiment | ExperimentParts | FileImage:
    """Read a file of any supported format, which is recognized by its content.

    - a list of reflections (MTZ, mmCIF, XDS_ASCII, SHELX, text): `StructureFactors`, expanded to P1
    - an experiment in TOML: `Experiment`, with the structure factors of the file that it names
    - .expt of DIALS, .geom and .cell of CrystFEL: `ExperimentParts`, from which ``complete`` makes an `Experiment`
    - an image (SMV, CBF, NXmx, float image, and what fabio reads): an `Image` whose ``experiment`` is what its header
      describes

    Parameters
    ----------
    path
        The file.
    number
        Experiment of an .expt, counted from 0, or image of a file with several, counted from 1; ``None``: the first.
    wavelength_A, distance_mm
        Wavelength [A], and distance of the panel that the beam hits [mm], in place of those in the file.

    Raises
    ------
    FormatError
        If the format is not recognized, the file does not conform to it, or it contains atoms.
    ConfigError
        If a geometry has no wavelength or distance and none is given.
    OSError
        If the file cannot be read.
    """
    if Path(path).is_dir():
        raise FormatError(f"{path}: got a folder; Stills.read(path) and Sweep.read(path) read that of a data set")
    kind = geometry_kind(path)
    if kind in ("smv", "cbf", "nxmx"):
        return _image(path, kind, number, wavelength_A, distance_mm)
    if kind:
        return _parts(read_models(path, number), wavelength_A, distance_mm)
    start = start_of(path, _START_BYTES)
    if (start.startswith(_IMAGE_STARTS) or Path(path).suffix.lower() in FLOAT_ENDINGS
            or (b"\0" in start and not start.startswith(b"MTZ "))):
        return _image(path, "", number, wavelength_A, distance_mm)
    if kind_of_set := _SET_KIND.match(start):
        raise FormatError(f"{path}: is the specification of a data set; "
                          f"{kind_of_set[1].decode().title()}.read(path) reads it")
    if Path(path).suffix.lower() == ".toml" or _looks_like_toml(start):
        try:
            return read_experiment(path)
        except ConfigError as error:
            raise FormatError(f"{path}: {error}") from None
    from cubragg.io.reflections.read import read_reflections

    return read_reflections(path).structure_factors()


def _looks_like_toml(start: bytes) -> bool:
    lines = (line.strip() for line in start.decode("latin-1").splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first.startswith(_EXPERIMENT_SECTIONS)


def _parts(models: ExperimentModels, wavelength_A: float | None, distance_mm: float | None) -> ExperimentParts:
    if wavelength_A is not None:
        beam = models.beam or BeamModel((0.0, 0.0, -1.0))
        models = replace(models, beam=replace(beam, wavelength_A=wavelength_A))
    if distance_mm is not None:
        models = replace(models, missing_distance="")
    parts = parts_of(models)
    if distance_mm is not None and parts.detector is not None:
        parts = replace(parts, detector=replace(parts.detector, distance_mm=distance_mm))
    return parts


def _image(path: Path | str, kind: str, number: int | None, wavelength_A: float | None, distance_mm: float | None
           ) -> FileImage:
    image = read_image(path, number=1 if number is None else number)
    pixels = image.pixels.astype(image.stored)
    pedestal = pedestal_of(image.header or {}) if kind == "smv" else 0.0
    photons = (image.pixels if image.mask is None else np.where(image.mask, image.pixels, 0.0)).astype(np.float32)
    photons -= np.float32(pedestal)
    parts, warnings = ExperimentParts(), []
    if kind:
        try:
            parts = _parts(read_models(path), wavelength_A, distance_mm)
        except (FormatError, ConfigError) as error:
            warnings.append(f"the geometry of the image is not known: {error}")
    if parts.goniometer is not None and number is not None and number > 1 and parts.goniometer.osc_deg:
        phi = parts.goniometer.phi_deg + (number - 1) * parts.goniometer.osc_deg
        parts = replace(parts, goniometer=replace(parts.goniometer, phi_deg=phi))
    if parts.detector is not None and parts.detector.shape() != photons.shape:
        slow, fast = parts.detector.shape()
        warnings.append(f"the geometry of the image is not known: the detector of {path} has {fast} x {slow} pixels, "
                        f"the image {photons.shape[1]} x {photons.shape[0]}")
        parts = ExperimentParts()
    return FileImage(photons, parts, str(path), image.form, pixels, image.mask, tuple(warnings), pedestal)
