"""What ``sweep`` and ``stills`` use where neither flags nor files give a setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cubragg.cli.response_terms import terms_of
from cubragg.cli.settings_builder import Replay

if TYPE_CHECKING:
    from cubragg.experiment.experiment import Experiment

#: Origin of a default, in messages.
ORIGIN = "default"
_THICKNESS = "detector.thickness_um"


class Default(NamedTuple):
    """A setting with a default: its name, value and unit, and the flag that gives another one."""

    setting: str
    value: Any
    unit: str
    flag: str


#: The beam is larger than the crystal in every orientation.
_BOTH = (
    Default("beam.wavelength_A", 1.0, "A", "--wavelength"),
    Default("beam.exposure_s", 0.01, "s", "--exposure"),
    Default("crystal.block_size_um", 1.0, "um", "--block-size"),
    Default("crystal.shape", "gauss", "", "--crystal-shape"),
)
DEFAULTS: dict[str, tuple[Default, ...]] = {
    "sweep": (*_BOTH, Default("beam.flux", 1e12, "photons/s", "--flux"),
              Default("crystal.mosaicity_deg", 0.05, "deg", "--mosaicity"),
              Default("beam.beamsize_mm", 0.1, "mm", "--beamsize"),
              Default("crystal.size_mm", 0.05, "mm", "--crystal-size"),
              Default("background.water_um", 50.0, "um", "--background"),
              Default("background.air_mm", (10.0, 20.0), "mm", "--background")),
    "stills": (*_BOTH, Default("beam.flux", 1e13, "photons/s", "--flux"),
               Default("crystal.mosaicity_deg", 0.1, "deg", "--mosaicity"),
               Default("beam.beamsize_mm", 0.04, "mm", "--beamsize"),
               Default("crystal.size_mm", 0.02, "mm", "--crystal-size"),
               Default("background.water_um", 20.0, "um", "--background"),
               Default("background.air_mm", (5.0, 20.0), "mm", "--background")),
}


def defaults_of(kind: str) -> dict[str, tuple[Any, str]]:
    """Value and origin of the settings of a kind of data set."""
    return {default.setting: (default.value, ORIGIN) for default in DEFAULTS[kind]}


def with_catalog_sensor(experiment: Experiment, replay: Replay) -> Experiment:
    """Return the experiment with the sensor of a detector of the catalog, unless its thickness is given.

    In one layer unless their number is given: absorption, and a shift by its mean depth, cost nothing then, while the
    blur by the depth of absorption multiplies the spots by the number of layers.
    """
    from cubragg.experiment.catalog import find
    from cubragg.experiment.sensor import attenuation_um

    detector = experiment.detector
    if detector.model is None or replay.get(_THICKNESS) is not None:
        return experiment
    module = find("--detector", detector.model).module
    if module.sensor_um is None:
        return experiment
    depth = detector.attenuation_um or attenuation_um(module.material, experiment.beam.wavelength_A)
    return replace(experiment, detector=replace(detector, thickness_um=module.sensor_um, attenuation_um=depth,
                                                thick_steps=detector.thick_steps or 1))


def with_catalog_response(experiment: Experiment) -> Experiment:
    """Return the experiment with the response in force, so that the specification has it."""
    return replace(experiment, response=experiment.detector_response())


def response_is_given(replay: Replay) -> bool:
    """Whether flags or files give a response."""
    return replay.get("run.response") is not None or bool(replay.sections["response"])


def used(kind: str, replay: Replay, experiment: Experiment) -> Iterator[str]:
    """Describe each default that is in force, with the flag that gives another value."""
    sensor = experiment.detector
    if sensor.model is not None and sensor.thickness_um and replay.get(_THICKNESS) is None:
        yield (f"{_THICKNESS} = {sensor.thickness_um:g} um, attenuation depth {sensor.attenuation_um:.4g} um, "
               f"layers {sensor.thick_steps} (-detector_thick, -detector_abs, -detector_thicksteps)")
    if not response_is_given(replay):
        assert experiment.response is not None
        yield f"response = {sensor.model or 'ideal'}: {terms_of(experiment.response)} (--response)"
    for default in DEFAULTS[kind]:
        if default.setting.startswith("background.") and replay.get("run.background"):
            continue
        in_force = replay.get(default.setting) is not None and replay.provenance.get(default.setting) == ORIGIN
        if in_force and not (default.setting in _OF_FLUX and not replay.get("beam.flux")):
            value = default.value if isinstance(default.value, tuple) else (default.value,)
            text = " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
            yield f"{default.setting} = {text} {default.unit}".rstrip() + f" ({default.flag})"


#: Settings without effect without a flux.
_OF_FLUX = ("beam.exposure_s", "beam.beamsize_mm")
