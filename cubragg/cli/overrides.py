"""Apply flags of the detector position to panels from a file: they move the panels or are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cubragg.cli.settings_builder import Replay
from cubragg.crystallography.orientations import misset_angles
from cubragg.crystallography.vectors import rotate_axis, rotate_xyz, scale, unit
from cubragg.errors import ConfigError
from cubragg.experiment.conventions import CONVENTIONS, Directions, laboratory_of
from cubragg.experiment.experiment import panels_of
from cubragg.experiment.panel import Panel, panel_in_beam
from cubragg.units import rad_from_deg

_CENTRE = ("xbeam_mm", "ybeam_mm")
_TILTS = ("rotx_deg", "roty_deg", "rotz_deg")
_SIZES = ("pixel_size_mm", "fast_pixels", "slow_pixels", "fast_size_mm", "slow_size_mm")
#: Settings that cannot move panels.
_REFUSED = ("xclose_mm", "yclose_mm", "orgx", "orgy", "fast_axis", "slow_axis", "normal_axis", "pix0_m", "model")


def move_panels(replay: Replay, source: str) -> None:
    """Convert flags of the detector position to motions of the panels of ``source``.

    Raises
    ------
    ConfigError
        For a flag that cannot move panels.
    """
    given = [name for name in (*_CENTRE, *_TILTS, "twotheta_deg", *_SIZES, *_REFUSED, "twotheta_axis")
             if f"detector.{name}" in replay.flagged and replay.get(f"detector.{name}") is not None]
    if not given:
        return
    for name in given:
        if name in _REFUSED:
            shown = _shown(replay.get(f"detector.{name}"))
            raise ConfigError(replay.provenance[f"detector.{name}"], f"got {shown}, but the panels of {source} have "
                              "positions of their own; -distance, -close_distance, -Xbeam, -Ybeam, -detector_rotx, "
                              "_roty, _rotz and -twotheta move them")
    with replay.naming():
        panels = panels_of("detector.panels", replay.get("detector.panels"))
    if any(name in _SIZES for name in given):
        panels = (_resized(replay, source, panels),)
        replay.set("detector.panels", panels, replay.provenance["detector.panels"])
    if any(name in _CENTRE for name in given):
        _take_centre(replay, panels)
    if any(name in _TILTS or name == "twotheta_deg" for name in given):
        _take_tilts(replay)
    for name in (*given, "twotheta_axis"):
        replay.sections["detector"].pop(name, None)


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _resized(replay: Replay, source: str, panels: Sequence[Panel]) -> Panel:
    """Return the single panel with another pixel size or number of pixels; its corner stays."""
    names = [name for name in _SIZES if f"detector.{name}" in replay.flagged]
    panel = panels[0]
    pixel = replay.get("detector.pixel_size_mm")
    if pixel is not None and len(panels) == 1 and pixel > 0.0:
        panel = replace(panel, fast_mm=scale(panel.fast, pixel), slow_mm=scale(panel.slow, pixel))
    before, counts = (panel.fast_pixels, panel.slow_pixels), []
    for axis, edge, now in zip(("fast", "slow"), panel.pixel_mm, before, strict=True):
        size, count = replay.get(f"detector.{axis}_size_mm"), replay.get(f"detector.{axis}_pixels")
        count = math.ceil(size / edge - 0.5) if count is None and size is not None else count
        counts.append(now if count is None else count)
    changed = tuple(counts) != before
    if len(panels) > 1 or (changed and panel.mask is not None):
        flags = ", ".join(dict.fromkeys(replay.provenance[f"detector.{name}"] for name in names))
        raise ConfigError(flags, f"got another pixel or size than the panels of {source} have; leave it out")
    return replace(panel, fast_pixels=counts[0], slow_pixels=counts[1])


def _take_centre(replay: Replay, panels: Sequence[Panel]) -> None:
    """Set the beam centre along fast and slow; a coordinate that is not given stays."""
    beam = laboratory_of("custom", Directions(replay.get("beam.direction"), replay.get("beam.polarization_axis"),
                                              replay.get("goniometer.axis"))).beam
    panel = panel_in_beam(panels, beam)
    spot = panel.spot(beam)
    here = (0.0, 0.0) if spot is None else (spot.fast_px * panel.pixel_mm[0], spot.slow_px * panel.pixel_mm[1])
    centre = tuple(start if replay.get(f"detector.{name}") is None else replay.get(f"detector.{name}")
                   for name, start in zip(_CENTRE, here, strict=True))
    flags = [replay.provenance[f"detector.{name}"] for name in _CENTRE if f"detector.{name}" in replay.flagged]
    replay.set("detector.beam_centre_mm", centre, ", ".join(flags))


def _take_tilts(replay: Replay) -> None:
    """Set the rotations about x, y, z and then about the two-theta axis, as one about x, y and z."""
    names = (*_TILTS, "twotheta_deg")
    angles = [replay.get(f"detector.{name}", 0.0) for name in names]
    flags = ", ".join(dict.fromkeys(replay.provenance[f"detector.{name}"] for name in names
                                    if f"detector.{name}" in replay.flagged))
    rotation = tuple(angles[:3])
    if angles[3] != 0.0:
        tilts = tuple(rad_from_deg(angle) for angle in rotation)
        axis = unit(replay.get("detector.twotheta_axis") or CONVENTIONS["custom"].twotheta)
        columns = [rotate_axis(rotate_xyz(column, tilts), axis, rad_from_deg(angles[3]))  # type: ignore[arg-type]
                   for column in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
        rotation, = misset_angles(np.array([columns]).transpose(0, 2, 1))
    replay.set("detector.rotation_deg", rotation, flags)
