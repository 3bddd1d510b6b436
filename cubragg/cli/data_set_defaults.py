"""What ``sweep`` and ``stills`` use where neither flags nor files give a setting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cubragg.cli.settings_builder import Replay

#: Origin of a default, in messages.
ORIGIN = "default"


class Default(NamedTuple):
    """A setting with a default: its name, value and unit, and the flag that gives another one."""

    setting: str
    value: Any
    unit: str
    flag: str


#: The beam is larger than the crystal in every orientation.
_BOTH = (
    Default("beam.wavelength_A", 1.0, "A", "--wavelength"),
    Default("beam.flux", 1e12, "photons/s", "--flux"),
    Default("beam.exposure_s", 0.01, "s", "--exposure"),
    Default("crystal.block_size_um", 0.5, "um", "--block-size"),
    Default("crystal.mosaicity_deg", 0.05, "deg", "--mosaicity"),
    Default("crystal.shape", "gauss", "", "--crystal-shape"),
)
DEFAULTS: dict[str, tuple[Default, ...]] = {
    "sweep": (*_BOTH, Default("beam.beamsize_mm", 0.1, "mm", "--beamsize"),
              Default("crystal.size_mm", 0.05, "mm", "--crystal-size"),
              Default("background.water_um", 50.0, "um", "--background"),
              Default("background.air_mm", (10.0, 20.0), "mm", "--background")),
    "stills": (*_BOTH, Default("beam.beamsize_mm", 0.04, "mm", "--beamsize"),
               Default("crystal.size_mm", 0.02, "mm", "--crystal-size"),
               Default("background.water_um", 20.0, "um", "--background"),
               Default("background.air_mm", (5.0, 20.0), "mm", "--background")),
}


def defaults_of(kind: str) -> dict[str, tuple[Any, str]]:
    """Value and origin of the settings of a kind of data set."""
    return {default.setting: (default.value, ORIGIN) for default in DEFAULTS[kind]}


def used(kind: str, replay: Replay) -> Iterator[str]:
    """Describe each default that is in force, with the flag that gives another value."""
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
