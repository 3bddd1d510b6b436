"""Reader of DIALS experiment lists (``.expt``): JSON with beam, detector, goniometer, scan and crystal.

Source: the files that dxtbx 3.12 and later write and read.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.cell import dual_axes
from cubragg.crystallography.vectors import (
    Matrix,
    Vector,
    apply_matrix,
    combine,
    cross,
    dot,
    norm,
    rotate_axis,
    scale,
    unit,
)
from cubragg.documents import json_document
from cubragg.errors import FormatError
from cubragg.experiment.goniometer_axes import GoniometerAxis, fixed_axes, spindle_of
from cubragg.experiment.panel import Panel
from cubragg.io.files.text import read_text
from cubragg.io.geometry.experiment_models import (
    BeamModel,
    CrystalModel,
    ExperimentModels,
    ProfileModel,
    ScanModel,
    check_pixels,
)
from cubragg.io.geometry.json_node import JsonNode, listed
from cubragg.io.geometry.plausible import plausible

Frame = tuple[Vector, Vector, Vector, Vector]  #: fast, slow, normal, origin [mm]
_LABORATORY: Frame = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
_UNTURNED: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_PARALLAX = "ParallaxCorrectedPxMmStrategy"
#: Largest standard deviation of a profile.
_MOST_SIGMA_DEG = 10.0
_OFFSET_PARALLAX = "OffsetParallaxCorrectedPxMmStrategy"


class _Goniometer(NamedTuple):
    """Spindle in the laboratory, and the axes of a goniometer of several with the name of the one that turns."""

    spindle: Vector | None
    axes: tuple[GoniometerAxis, ...] = ()
    scan_axis: str | None = None

    def reversed(self) -> _Goniometer:
        """The same with positive rotation in the opposite sense."""
        assert self.spindle is not None
        axes = tuple(dataclasses.replace(axis, direction=scale(axis.direction, -1.0)) if axis.name == self.scan_axis
                     else axis for axis in self.axes)
        return _Goniometer(scale(self.spindle, -1.0), axes, self.scan_axis)


def read_expt(path: Path | str, number: int | None = None, crystal: int | None = None) -> ExperimentModels:
    """Return the experiment models of one experiment of a list.

    It is experiment ``number``, counted from 0, or the first one of crystal ``crystal``, counted from 1, or else the
    first one. Fixed and setting rotation of the goniometer are applied to spindle and A matrix; its axes, where the
    file names them, are kept. If beam or crystal
    vary over the scan, their first models are used.

    Raises
    ------
    FormatError
        If the file is not an experiment list, is damaged, or has no such experiment, no beam or no detector.
    OSError
        If it cannot be read.
    """
    document, experiments = _listed_experiments(path)
    warnings = []
    if crystal is not None:
        number = _of_crystal(path, document, experiments, crystal)
    elif number is None and len(experiments) > 1:
        warnings.append(_first_of_several(path, document, experiments))
    if (number or 0) >= len(experiments):
        raise FormatError(f"{path}: got experiment {number}; the file has {len(experiments)}, counted from 0")
    selected = experiments[number or 0]

    def model(kind: str) -> JsonNode | None:
        return _model(selected, kind, document.nodes(kind)) if kind in selected else None

    beam, detector = model("beam"), model("detector")
    if beam is None or detector is None:
        raise FormatError(f"{path}: experiment {number or 0} has no {'detector' if beam else 'beam'}; "
                          "both beam and detector are needed")
    goniometer, rotations = _goniometer(model("goniometer"))
    scan, goniometer = _scan(model("scan"), goniometer)
    selected_crystal = model("crystal")
    found = ExperimentModels(_beam(beam, warnings), tuple(_panels(detector, warnings)), goniometer.spindle, scan,
                             None if selected_crystal is None else _crystal(selected_crystal, rotations, warnings),
                             axes=goniometer.axes, scan_axis=goniometer.scan_axis)
    return dataclasses.replace(found, profile=_profile(model("profile")), warnings=tuple(warnings))


def read_expt_crystals(path: Path | str) -> list[Matrix]:
    """Return the A matrices of the crystals of an experiment list, in the order in which its experiments have them.

    At scan angle 0, with fixed and setting rotation of the goniometer of their first experiment applied; rows x, y, z
    in the frame of DIALS, columns a*, b*, c* [1/A]. If one varies over the scan, it is the first one.

    Raises
    ------
    FormatError
        If the file is not an experiment list, or is damaged.
    OSError
        If it cannot be read.
    """
    document, experiments = _listed_experiments(path)
    crystals, goniometers = (document.nodes(kind) if kind in document else [] for kind in ("crystal", "goniometer"))
    found: dict[float, Matrix] = {}
    for experiment in experiments:
        if "crystal" not in experiment or experiment.number("crystal") in found:
            continue
        goniometer = _model(experiment, "goniometer", goniometers) if "goniometer" in experiment else None
        matrix = _crystal(_model(experiment, "crystal", crystals), _goniometer(goniometer)[1], []).a_matrix
        assert matrix is not None
        found[experiment.number("crystal")] = matrix
    return [*found.values()]


def _listed_experiments(path: Path | str) -> tuple[JsonNode, list[JsonNode]]:
    """Return the document, and its experiments, of which there is at least one."""
    try:
        document = JsonNode(str(path), json_document(read_text(path)))
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}:{error.lineno}: not JSON: {error.msg}; the file may be cut short") from None
    except ValueError as error:
        raise FormatError(f"{path}: not JSON: {error}") from None
    experiments = document.nodes("experiment")
    if not experiments:
        raise FormatError(f"{path}: there is no experiment in the list")
    return document, experiments


def _model(experiment: JsonNode, kind: str, models: Sequence[JsonNode]) -> JsonNode:
    """Return the model of a kind of an experiment."""
    index = experiment.number(kind)
    if index != int(index) or not 0 <= index < len(models):
        raise FormatError(f"{experiment.where}.{kind}: got index {index:g}; the list has {len(models)} entries")
    return models[int(index)]


def _profile(profile: JsonNode | None) -> ProfileModel | None:
    """Return the mean over the scan of a Gaussian profile model; ``None`` for another one."""
    if profile is None or profile.text("__id__") != "gaussian_rs":
        return None
    sigmas = []
    for name in ("sigma_b", "sigma_m"):
        values = profile.numbers(name) if isinstance(profile.get(name), list) else (profile.number(name),)
        mean = math.fsum(values) / max(len(values), 1)
        if not 0.0 <= mean < _MOST_SIGMA_DEG or min(values, default=0.0) < 0.0:
            raise FormatError(f"{profile.where}.{name}: got {mean:g} deg; it must be 0 to {_MOST_SIGMA_DEG:g} deg")
        sigmas.append(mean)
    return ProfileModel(*sigmas)


def _of_crystal(path: Path | str, document: JsonNode, experiments: Sequence[JsonNode], crystal: int) -> int:
    """Return the number of the first experiment of a crystal, counted from 1."""
    count = len(document.nodes("crystal")) if "crystal" in document else 0
    for number, experiment in enumerate(experiments):
        if "crystal" in experiment and experiment.number("crystal") == crystal - 1:
            return number
    raise FormatError(f"{path}: got crystal {crystal}; the file has {count}, counted from 1")


def _first_of_several(path: Path | str, document: JsonNode, experiments: Sequence[JsonNode]) -> str:
    """Return the warning that only the first of several experiments is used."""
    crystals = {experiment.number("crystal") for experiment in experiments if "crystal" in experiment}
    if len(crystals) > 1:
        return (f"{path} has {len(crystals)} crystals, of which the first is rendered; --crystal 2 selects the second, "
                "and the sum of the images of all is that of the sample")
    return f"{path} has {len(experiments)} experiments, of which the first is used; {path}#1 selects the second"


def _beam(beam: JsonNode, warnings: list[str]) -> BeamModel:
    if beam.text("__id__") == "polychromatic":
        raise FormatError(f"{beam.where}: got a polychromatic beam; a monochromatic one is accepted")
    if beam.text("probe") not in ("", "x-ray"):
        warnings.append(f"the beam consists of {beam.text('probe')}s; scattering and polarization are those of X-rays "
                       "of the same wavelength")
    wavelength, direction = beam.number("wavelength"), beam.vector("direction")
    for x, y, z in beam.rows("s0_at_scan_points", 3)[:1]:
        direction = (-x, -y, -z)
        wavelength = 1.0 / norm(direction) if norm(direction) else 0.0
    if not wavelength > 0.0 or not norm(direction) > 0.0:
        raise FormatError(f"{beam.where}: got a wavelength of {wavelength:g} A along {direction}; "
                          "the wavelength must be > 0 A and the direction not zero")
    wavelength = plausible(f"{beam.where}.wavelength", "wavelength", wavelength, "A", warnings)
    fraction = beam.number("polarization_fraction") if "polarization_fraction" in beam else None
    normal = beam.vector("polarization_normal") if "polarization_normal" in beam else None
    x, y, z = unit(direction)
    return BeamModel((0.0 - x, 0.0 - y, 0.0 - z), wavelength, fraction, unit(normal) if normal else None)


def _goniometer(goniometer: JsonNode | None) -> tuple[_Goniometer, list[tuple[float, ...]]]:
    """Return the goniometer, and the rotations of the crystal into the laboratory at scan angle 0."""
    if goniometer is None:
        return _Goniometer(None), []
    if "axes" not in goniometer:
        # Files of DIALS before 1.1 have no setting rotation.
        fixed = goniometer.numbers("fixed_rotation", 9)
        setting = goniometer.numbers("setting_rotation", 9) if "setting_rotation" in goniometer else _UNTURNED
        spindle = unit(apply_matrix(setting, goniometer.vector("rotation_axis")))  # type: ignore[arg-type]
        return _Goniometer(spindle), [fixed, setting]
    directions = goniometer.rows("axes", 3)
    angles = goniometer.numbers("angles", len(directions))
    scanned = int(goniometer.number("scan_axis"))
    if not 0 <= scanned < len(directions):
        raise FormatError(f"{goniometer.where}.scan_axis: got {scanned}; the goniometer has {len(directions)} axes")
    names = _names(goniometer, len(directions))
    axes = tuple(GoniometerAxis(name, direction, angle)  # type: ignore[arg-type]
                 for name, direction, angle in zip(names, directions, angles, strict=True))
    rotations = []
    for axis in fixed_axes(axes, names[scanned]):
        rotated = [rotate_axis(column, unit(axis.direction), units.rad_from_deg(axis.angle_deg))
                   for column in _LABORATORY[:3]]
        rotations.append(tuple(column[i] for i in range(3) for column in rotated))
    return _Goniometer(spindle_of(axes, names[scanned]), axes, names[scanned]), rotations


def _names(goniometer: JsonNode, count: int) -> list[str]:
    """The names of the axes, made different where they are not."""
    given = []
    if "names" in goniometer:
        given = [str(name) for name in listed(goniometer.where, "names", goniometer.get("names"))]
    if len(set(given)) == count:
        return given
    return [f"axis{number}" for number in range(count)]


def _scan(scan: JsonNode | None, goniometer: _Goniometer) -> tuple[ScanModel | None, _Goniometer]:
    """Return the scan and the goniometer; a negative width is replaced by a positive one about the opposite axis."""
    if scan is None:
        return None, goniometer
    start, width = _oscillation(scan)
    times = scan.node("properties") if "properties" in scan else scan
    exposure = times.numbers("exposure_time")[:1] if "exposure_time" in times else ()
    if width < 0.0 and goniometer.spindle is not None:
        start, width, goniometer = -start, -width, goniometer.reversed()
    first, last = scan.numbers("image_range", 2)
    return ScanModel(start, width, exposure[0] if exposure and exposure[0] > 0.0 else None,
                     max(int(last - first) + 1, 1)), goniometer


def _oscillation(scan: JsonNode) -> tuple[float, float]:
    if "properties" not in scan:
        start, width = scan.numbers("oscillation", 2)
        return start, width
    properties = scan.node("properties")
    if "oscillation" not in properties:
        return 0.0, 0.0
    starts = properties.numbers("oscillation")
    if "oscillation_width" in properties and properties.numbers("oscillation_width"):
        return starts[0], properties.numbers("oscillation_width")[0]
    return starts[0], starts[1] - starts[0] if len(starts) > 1 else 0.0


def _crystal(crystal: JsonNode, rotations: list[tuple[float, ...]], warnings: list[str]) -> CrystalModel:
    varying = crystal.rows("A_at_scan_points", 9)
    if varying:
        m = varying[0]
        columns = [(m[i], m[3 + i], m[6 + i]) for i in range(3)]
        warnings.append("the crystal orientation varies over the scan; the first one is used")
    else:
        a, b, c = (crystal.vector(f"real_space_{name}") for name in "abc")
        if dot(a, cross(b, c)) == 0.0:
            raise FormatError(f"{crystal.where}: got three real-space axes in one plane; they must span a volume")
        columns = [*dual_axes(a, b, c)]
    for rotation in rotations:
        columns = [apply_matrix(rotation, column) for column in columns]  # type: ignore[arg-type]
    return CrystalModel(tuple(column[i] for i in range(3) for column in columns))  # type: ignore[arg-type]


def _panels(detector: JsonNode, warnings: list[str]) -> list[Panel]:
    listed = detector.nodes("panels")
    if not listed:
        raise FormatError(f"{detector.where}: there is no panel; a detector needs at least one")
    frames = dict.fromkeys(range(len(listed)), _LABORATORY)
    if "hierarchy" in detector:
        frames.update(_hierarchy(detector.node("hierarchy"), _LABORATORY))
    panels = [_panel(node, frames[i]) for i, node in enumerate(listed)]
    if any(node.node("px_mm_strategy").text("type") == _OFFSET_PARALLAX for node in listed
           if "px_mm_strategy" in node):
        warnings.append("individual offsets of pixels are ignored: pixels form a regular grid")
    if len(panels) > 1 and not any(any(panel.offset) for panel in panels):
        warnings.append(f"the file does not specify where its {len(panels)} panels are in the image: they are stacked "
                       "along the slow axis")
        panels = stacked(panels)
    return panels


def stacked(panels: Sequence[Panel]) -> list[Panel]:
    """Return the panels stacked in the image along the slow axis."""
    tops = np.cumsum([0, *(panel.slow_pixels for panel in panels)]).tolist()
    return [dataclasses.replace(panel, offset=(0, top)) for panel, top in zip(panels, tops, strict=False)]


def _hierarchy(node: JsonNode, parent: Frame) -> Iterator[tuple[int, Frame]]:
    frame = _within(node, parent)
    for child in node.nodes("children") if "children" in node else ():
        if "panel" in child:
            yield int(child.number("panel")), frame
        else:
            yield from _hierarchy(child, frame)


def _within(node: JsonNode, parent: Frame) -> Frame:
    """Return the frame of a node, which the file gives relative to its parent."""
    *axes, corner = parent
    fast, slow = (combine(*zip(unit(node.vector(key)), axes, strict=True)) for key in ("fast_axis", "slow_axis"))
    return fast, slow, cross(fast, slow), combine((1.0, corner), *zip(node.vector("origin"), axes, strict=True))


def _panel(node: JsonNode, parent: Frame) -> Panel:
    fast, slow, _, origin = _within(node, parent)
    fast_pixels, slow_pixels = (int(count) for count in node.numbers("image_size", 2))
    pixel_fast, pixel_slow = node.numbers("pixel_size", 2)
    strategy = node.node("px_mm_strategy") if "px_mm_strategy" in node else JsonNode(node.where, {})
    # Early releases of DIALS stored these two in the strategy only.
    thickness, mu = (node.number(name, 0.0) or strategy.number(old, 0.0) for name, old in (("thickness", "t0"),
                                                                                           ("mu", "mu")))
    absorbing = strategy.text("type") in (_PARALLAX, _OFFSET_PARALLAX) and thickness > 0.0 and mu > 0.0
    offset = node.numbers("raw_image_offset", 2) if "raw_image_offset" in node else (0.0, 0.0)
    low, high = node.numbers("trusted_range", 2, math.inf) if "trusted_range" in node else (0.0, 0.0)
    panel = Panel(
        fast_pixels, slow_pixels, origin, scale(fast, pixel_fast), scale(slow, pixel_slow),
        (int(offset[0]), int(offset[1])),
        node.text("name"), 1000.0 * thickness if absorbing else None, 1000.0 / mu if absorbing else None,
        node.text("material"), trusted=(low, high) if high > low else None)
    masked = node.rows("mask", 4)
    if not masked:
        return panel
    check_pixels(fast_pixels, slow_pixels)
    mask = np.ones((slow_pixels, fast_pixels), dtype=bool)
    for rectangle in masked:
        f0, s0, f1, s1 = (max(int(edge), 0) for edge in rectangle)
        mask[s0:s1, f0:f1] = False
    return dataclasses.replace(panel, mask=mask)
