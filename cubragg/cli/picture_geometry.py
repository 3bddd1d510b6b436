"""Where panels and beam of an image file are: from its header, other files, or flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cubragg.cli.inputs import InputFile, numbered, reading
from cubragg.crystallography.vectors import Vector, combine, scale
from cubragg.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from cubragg.experiment.detector import Placed
    from cubragg.experiment.panel import Panel
    from cubragg.io.geometry.experiment_models import ExperimentModels

#: Numbers that describe a detector perpendicular to the beam, and their flags.
FLAGS = {"wavelength_A": "-lambda", "distance_mm": "-distance", "pixel_size_mm": "-pixel", "beam_px": "--beam"}


class Scene(NamedTuple):
    """Detector and beam of an image, the file or flags that gave them, and warnings."""

    placed: Placed
    wavelength_A: float
    source: str
    warnings: tuple[str, ...] = ()
    curved: bool = False


class Given(NamedTuple):
    """Detector and beam on the command line: files, and numbers that override them."""

    config: str | None
    described: str | None
    wavelength_A: float | None
    distance_mm: float | None
    pixel_size_mm: float | None
    beam_px: tuple[float, float] | None

    @property
    def flags(self) -> str:
        """Flags of the numbers that were given."""
        return ", ".join(flag for name, flag in FLAGS.items() if getattr(self, name) is not None)

    @property
    def missing(self) -> str:
        """Flags of the numbers that a detector without a file lacks."""
        return ", ".join(flag for name, flag in FLAGS.items() if getattr(self, name) is None)


def scene_of(file: str, shape: tuple[int, ...], given: Given, *, needed: str) -> Scene | FormatError:
    """Return detector and beam from files, the image's header or flags; else the error that says why not.

    ``needed`` names the flags that require them, if any.
    """
    if given.config is not None:
        scene = _from_config(given.config)
        if given.described is None:
            if given.flags:
                raise ConfigError("--config", f"got {given.flags} as well; only --from is accepted beside it")
            return _fitting(scene, "--config", shape)
        return _fitting(_from_models(_models(given.described), given, given.described, scene.wavelength_A), "--from",
                        shape)
    if given.described is not None:
        return _fitting(_from_models(_models(given.described), given, given.described, None), "--from", shape)
    if not given.missing:
        return _from_models(_facing(given, shape), given, "", None)
    try:
        models = _of_header(file)
    except FormatError as error:
        if needed:
            raise ConfigError(needed, f"{error}; give {given.missing}, or --from or --config") from None
        return error
    return _fitting(_from_models(models, given, f"the header of {file}", None), "FILE", shape)


def _models(described: str) -> ExperimentModels:
    from cubragg.io.geometry.sniff import read_models

    path, number = numbered(described)
    with reading(InputFile(path, "--from")):
        models = read_models(path, number)
    if not models.panels:
        raise FormatError(f"{described}: no detector in this file, give one that describes a detector")
    return models


def _of_header(file: str) -> ExperimentModels:
    """Read the models of an image's header, without a mask: the pixels mark what was not measured.

    Raises
    ------
    FormatError
        If it does not give the position of the detector.
    """
    from cubragg.io.geometry.sniff import read_header

    models = read_header(file)
    return replace(models, panels=tuple(replace(panel, mask=None) for panel in models.panels))


def _facing(given: Given, shape: tuple[int, ...]) -> ExperimentModels:
    """Return a detector perpendicular to the beam, from the four numbers given."""
    from cubragg.experiment.panel import Panel
    from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels

    pixel, beam = given.pixel_size_mm or 0.0, given.beam_px or (0.0, 0.0)
    panel = Panel(shape[1], shape[0], (-beam[0] * pixel, beam[1] * pixel, -(given.distance_mm or 0.0)),
                  (pixel, 0.0, 0.0), (0.0, -pixel, 0.0))
    return ExperimentModels(BeamModel((0.0, 0.0, -1.0), given.wavelength_A), (panel,))


def _from_models(models: ExperimentModels, given: Given, source: str, wavelength_A: float | None) -> Scene:
    """Return the scene of models from ``source``, overridden by the given numbers.

    ``wavelength_A`` is used for models without a wavelength.
    """
    from cubragg.experiment.panel import panel_in_beam
    from cubragg.io.geometry.experiment_models import BeamModel
    from cubragg.io.geometry.model_settings import placed_models

    beam = models.beam or BeamModel((0.0, 0.0, -1.0))
    wavelength = given.wavelength_A or beam.wavelength_A or wavelength_A
    if wavelength is None:
        raise FormatError(f"{models.missing_wavelength or f'{source}: no wavelength is given'}; give -lambda")
    models = replace(models, beam=beam)
    motion: dict[str, object] = {}
    if source and given.pixel_size_mm is not None:
        models = replace(models, panels=(_scaled(models.panels, beam.direction, given.pixel_size_mm, source),))
    if source and given.distance_mm is not None:
        motion["distance_mm"] = given.distance_mm
    if source and given.beam_px is not None:
        hit = panel_in_beam(models.panels, beam.direction)
        motion["beam_centre_mm"] = tuple((position - before) * edge for position, before, edge in zip(
            given.beam_px, hit.offset, hit.pixel_mm, strict=True))
    named = f"{source}, but {given.flags}" if source and given.flags else source or given.flags
    return Scene(placed_models(models, **motion), wavelength, named, models.warnings)


def _scaled(panels: Sequence[Panel], beam: Vector, pixel_mm: float, source: str) -> Panel:
    """Return the single panel with another pixel size; the beam hits the same pixel as before."""
    if len(panels) > 1:
        raise ConfigError("-pixel", f"got {pixel_mm:g} mm, but the panels of {source} have a pixel "
                          "size of their own; leave it out")
    panel = panels[0]
    spot = panel.spot(beam)
    fixed = (0.0, 0.0) if spot is None else (spot.fast_px, spot.slow_px)
    fast, slow = scale(panel.fast, pixel_mm), scale(panel.slow, pixel_mm)
    corner = combine((1.0, panel.place_mm(*fixed)), (-fixed[0], fast), (-fixed[1], slow))
    return replace(panel, origin_mm=corner, fast_mm=fast, slow_mm=slow)


def _from_config(config: str) -> Scene:
    from cubragg.cli.build import build
    from cubragg.cli.parser import parse

    job = build(parse(["--config", config]), "physical")
    experiment = job.experiment
    with job.replay.naming():
        placed = experiment.placed()
    return Scene(placed, experiment.beam.wavelength_A, config, curved=experiment.detector.curved)


def _fitting(scene: Scene, source: str, shape: tuple[int, ...]) -> Scene:
    """Return the scene if its detector has as many pixels as the image."""
    from cubragg.experiment.panel import image_shape

    slow, fast = image_shape(scene.placed.panels)
    if (slow, fast) != shape:
        raise ConfigError(source, f"got a detector of {fast} x {slow} pixels; the image has {shape[1]} x {shape[0]}")
    return scene
