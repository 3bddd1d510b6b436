"""``--detector``: detectors by name on a command line, and what may not stand beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cubragg.cli.parser import Given
from cubragg.cli.settings_builder import Replay
from cubragg.errors import ConfigError
from cubragg.experiment import Panel
from cubragg.experiment.catalog import MODELS, Model, find

LIST = "list"
#: SMV headers give sizes to 6 digits.
_SAME = 1e-4
_FRAME = ("pixel_size_mm", "fast_pixels", "slow_pixels", "fast_size_mm", "slow_size_mm")


def wants_list(line: Sequence[Given]) -> bool:
    """Whether the table of detectors is asked for."""
    return any("run.detector" in given.flag.fields and given.values == (LIST,) for given in line)


def table() -> str:
    """The detectors known by name; binned ones stand with the unbinned."""
    rows: list[tuple[str, ...]] = [("name", "detector", "pixels", "mm", "panels", "sensor", "binned: name and")]
    rows += [_row(model, [name.removeprefix(model.name) for name, other in MODELS.items()
                          if other.unbinned == model.name]) for model in MODELS.values() if not model.unbinned]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)


def _row(model: Model, binnings: Sequence[str]) -> tuple[str, ...]:
    module, (slow, fast) = model.module, model.shape
    sensor = module.material if module.sensor_um is None else f"{module.material} {module.sensor_um:g} um"
    return (model.name, model.title, f"{fast} x {slow}", f"{module.pixel_mm:g}",
            str(len(model.places) if model.separate else 1), sensor, " ".join(binnings))


def settle_model(replay: Replay) -> tuple[Panel, ...]:
    """Fill in what the detector named fixes, and its panels, none if none is named.

    Raises
    ------
    ConfigError
        If there is no such detector, or a flag, file or header gives another pixel or size.
    """
    name = replay.get("run.detector")
    if name is None:
        _tell_idle(replay)
        return ()
    origin = replay.origins["run.detector"]
    model = find(origin, str(name))
    settings = model.settings()
    panels: tuple[Panel, ...] = settings.pop("panels")
    for axis in ("fast", "slow"):
        settings[f"{axis}_size_mm"] = settings[f"{axis}_pixels"] * settings["pixel_size_mm"]
    for field in _FRAME:
        given = replay.get(f"detector.{field}")
        if given is not None and not math.isclose(given, settings[field], rel_tol=_SAME):
            unit = " mm" if field.endswith("_mm") else ""
            raise ConfigError(replay.origins[f"detector.{field}"], f"got {given:g}{unit}; {origin} {name} has "
                              f"{settings[field]:g}{unit}, give one of the two")
    for field in _FRAME:
        replay.set(f"detector.{field}", settings[field], origin)
    replay.sections["detector"].pop("panels", None)
    replay.origins["detector.panels"] = origin
    return panels


def _tell_idle(replay: Replay) -> None:
    """Flags for the size do not reach the panels of a file."""
    idle = dict.fromkeys(replay.origins[f"detector.{field}"] for field in _FRAME
                         if f"detector.{field}" in replay.flagged)
    if idle and replay.get("detector.panels"):
        file = replay.origins["detector.panels"].partition(": ")[0]
        replay.notices.append(f"{', '.join(idle)} without effect on the panels of {file}: only the beam centre follows")
