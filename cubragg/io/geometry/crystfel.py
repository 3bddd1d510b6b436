"""Reader of CrystFEL geometry files (``.geom``) and unit cell files (``.cell``).

The laboratory of CrystFEL has z along the beam and y up; models are in the frame of DIALS, rotated by 180 deg about y.
Source: the manual pages crystfel_geometry(5) and crystfel_unitcell(5) of CrystFEL 0.11.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, scale
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel
from cubragg.io.files.text import number, read_text
from cubragg.io.geometry.experiment_models import (
    BeamModel,
    CrystalModel,
    ExperimentModels,
    check_pixels,
)
from cubragg.io.geometry.plausible import plausible

#: Rows of pixels whose coordinates are compared with a bad region at once.
_BAND_ROWS = 256
CELL_MAGIC = "CrystFEL unit cell file"
_PIXELS = ("min_fs", "max_fs", "min_ss", "max_ss")
_NEEDED = (*_PIXELS, "fs", "ss", "corner_x", "corner_y", "res")
_TERM = re.compile(r"([+-]?)\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|)\s*\*?\s*([xyz])")
_LENGTHS_M = {"m": 1.0, "mm": 1e-3}
_WAVELENGTHS_A = {"m": 1e10, "A": 1.0}
_ENERGIES_EV = {"ev": 1.0, "kev": 1e3, "mev": 1e6}
#: Nominal distance of the front panel if the file has no camera length [m].
_NOMINAL_M = 0.1
#: A smaller photon energy without a unit is one in keV [eV].
_LEAST_ENERGY_EV = 100.0


@dataclass
class _Section:
    """Settings of a panel or bad region, with their line numbers; those before its first line are its defaults."""

    values: dict[str, tuple[int, str]] = field(default_factory=dict)


def read_geom(path: Path | str) -> ExperimentModels:
    """Return panels with masks of bad regions, wavelength and direction of the beam.

    Groups are ignored. A wavelength or camera length that refers to a data file is left unspecified, and a detector
    shift that does so is taken as 0.

    Raises
    ------
    FormatError
        If a panel has no position or size, or a value is not valid.
    OSError
        If it cannot be read.
    """
    common, panels, bad = _sections(path)
    if not panels:
        raise FormatError(f"{path}: there is no panel; a line of a panel is 'name/{_PIXELS[0]} = value'")
    used = {name: section for name, section in panels.items()
            if _text(section, "no_index", "0").lower() in ("0", "false")}
    warnings = list(_shifts_left_out(path, used))
    clens, missing_distance = _camera_lengths(path, used, warnings)
    found = [_panel(path, name, section, clens[name]) for name, section in used.items()]
    pixels_mm = {name: _pixel_mm(path, section) for name, section in used.items()}
    if not found:
        raise FormatError(f"{path}: no_index excludes all {len(panels)} panels; at least one must remain")
    for name, section in bad.items():
        found = _masked(path, name, section, pixels_mm, found)
    wavelength, missing_wavelength = _wavelength(path, common, warnings)
    return ExperimentModels(BeamModel((0.0, 0.0, -1.0), wavelength), tuple(_in_one_image(panels, found)),
                            warnings=tuple(dict.fromkeys(warnings)), missing_wavelength=missing_wavelength,
                            missing_distance=missing_distance)


def _sections(path: Path | str) -> tuple[_Section, dict[str, _Section], dict[str, _Section]]:
    """Return settings without a panel, panels, and bad regions. Defaults apply to panels that begin after them."""
    common, panels, bad = _Section(), dict[str, _Section](), dict[str, _Section]()
    for line_number, line in enumerate(io.StringIO(read_text(path, others="latin-1")), start=1):
        statement = line.split(";", 1)[0].strip()
        if not statement:
            continue
        left, equals, value = statement.partition("=")
        if not equals:
            raise FormatError(f"{path}:{line_number}: got {statement!r}; a line is 'name = value'")
        owner, slash, name = left.strip().rpartition("/")
        if not slash:
            common.values[name] = (line_number, value.strip())
        elif owner.startswith("bad"):
            bad.setdefault(owner, _Section()).values[name.strip()] = (line_number, value.strip())
        else:
            panel = panels.setdefault(owner, _Section(dict(common.values)))
            panel.values[name.strip()] = (line_number, value.strip())
    return common, panels, bad


def _text(section: _Section, name: str, default: str = "") -> str:
    return section.values.get(name, (0, default))[1]


def _number(path: Path | str, section: _Section, name: str) -> float:
    line, text = section.values[name]
    return number(f"{path}:{line}", name, text)


def _is_reference(text: str) -> bool:
    """Return whether a value is a path in a data file instead of a number."""
    return bool(text) and not re.match(r"[-+.\d]", text)


def _quantity(path: Path | str, section: _Section, name: str, scales: dict[str, float], default: str) -> float:
    """Return a number with a unit, converted by ``scales``."""
    line, text = section.values[name]
    words = text.split()
    unit = words[1] if len(words) == 2 else default
    factor = scales.get(unit, scales.get(unit.lower()))
    if len(words) not in (1, 2) or factor is None:
        raise FormatError(f"{path}:{line}: got {name} = {text}; a number with {' or '.join(scales)} is accepted")
    return number(f"{path}:{line}", name, words[0]) * factor


def _direction(path: Path | str, section: _Section, name: str) -> Vector:
    """Return a direction such as ``-0.001x +0.999y`` in the frame of DIALS, not normalized: a step in pixels."""
    line, text = section.values[name]
    parts = {"x": 0.0, "y": 0.0, "z": 0.0}
    for sign, size, axis in _TERM.findall(text):
        parts[axis] += number(f"{path}:{line}", name, f"{sign}{size or 1}")
    if _TERM.sub("", text).strip() or not any(parts.values()):
        raise FormatError(f"{path}:{line}: got {name} = {text}; a direction such as -0.01x +0.99y is accepted")
    return (-parts["x"] + 0.0, parts["y"], -parts["z"] + 0.0)


def _camera_lengths(path: Path | str, sections: dict[str, _Section], warnings: list[str]
                    ) -> tuple[dict[str, float], str]:
    """Return the camera length of each panel [m], or a nominal one and the reason why it is not known."""
    known, unknown = {}, ""
    for name, section in sections.items():
        line, text = section.values.get("clen", (0, ""))
        if not text:
            unknown = f"{path}: panel {name} has no clen"
        elif _is_reference(text):
            unknown = f"{path}:{line}: clen = {text} refers to a data file"
        else:
            known[name] = _quantity(path, section, "clen", _LENGTHS_M, "m")
            if known[name] > 0.0 and len(text.split()) == 1:
                length_mm = plausible(f"{path}:{line}: clen", "distance", 1000.0 * known[name], "mm", warnings)
                known[name] = length_mm / 1000.0 if length_mm != 1000.0 * known[name] else known[name]
    if not unknown:
        return known, ""
    if known:
        raise FormatError(f"{unknown}, but other panels have one; all panels or none must have a clen")
    front = min(_offset_m(path, section) for section in sections.values())
    return dict.fromkeys(sections, _NOMINAL_M - front), unknown


def _offset_m(path: Path | str, section: _Section) -> float:
    return _number(path, section, "coffset") if "coffset" in section.values else 0.0


def _panel(path: Path | str, name: str, section: _Section, clen_m: float) -> Panel:
    for needed in _NEEDED:
        if needed not in section.values:
            raise FormatError(f"{path}: panel {name} has no {needed}, which every panel needs")
    pixel_mm = _pixel_mm(path, section)
    x, y = (_number(path, section, key) * pixel_mm + 1000.0 * _shift(path, section, key[-1])
            for key in ("corner_x", "corner_y"))
    first_f, last_f, first_s, last_s = (round(_number(path, section, key)) for key in _PIXELS)
    if not (0 <= first_f <= last_f and 0 <= first_s <= last_s):
        raise FormatError(f"{path}:{section.values['max_fs'][0]}: got panel {name} with pixels {first_f} to {last_f} "
                          f"fast and {first_s} to {last_s} slow; ranges of pixels begin at 0 or more and ascend")
    pixels = (last_s - first_s + 1, last_f - first_f + 1)
    check_pixels(*reversed(pixels))
    mask = None
    rim = round(_number(path, section, "mask_edge_pixels")) if "mask_edge_pixels" in section.values else 0
    if rim > 0:
        mask = np.zeros(pixels, dtype=bool)
        mask[rim:-rim, rim:-rim] = True
    fast, slow = (scale(_direction(path, section, key), pixel_mm) for key in ("fs", "ss"))
    return Panel(pixels[1], pixels[0], (-x, y, -1000.0 * (clen_m + _offset_m(path, section))), fast, slow,
                 (first_f, first_s), name, mask=mask)


def _pixel_mm(path: Path | str, section: _Section) -> float:
    """Return the unit of fs, ss and corners [mm]."""
    res = _number(path, section, "res")
    if not res > 0.0:
        raise FormatError(f"{path}:{section.values['res'][0]}: got res = {res:g}; it must be > 0 pixels/m")
    return 1000.0 / res


def _shift(path: Path | str, section: _Section, axis: str) -> float:
    """Return the shift of the whole detector [m]; 0 if it refers to a data file."""
    name = f"detector_shift_{axis}"
    if name not in section.values or _is_reference(_text(section, name)):
        return 0.0
    return _quantity(path, section, name, _LENGTHS_M, "m")


def _shifts_left_out(path: Path | str, sections: dict[str, _Section]) -> tuple[str, ...]:
    """Return the warning about a detector shift that refers to a data file."""
    paths = sorted({_text(section, name) for section in sections.values()
                    for name in ("detector_shift_x", "detector_shift_y") if _is_reference(_text(section, name))})
    return (f"{path}: the detector shift refers to a data file ({' and '.join(paths)}) and is taken as 0; -Xbeam and "
            "-Ybeam move the detector",) * bool(paths)


def _in_one_image(sections: dict[str, _Section], panels: Sequence[Panel]) -> list[Panel]:
    """Return the panels with those of different slabs of a data block (``dim1 = 3``) stacked along slow."""
    def slab(panel: Panel) -> tuple[int, ...]:
        dims = sorted((key, text) for key, (_, text) in sections[panel.name].values.items()
                      if re.fullmatch(r"dim\d+", key))
        return tuple(int(text) for _, text in dims if re.fullmatch("[0-9]{1,9}", text))

    height = max(panel.window[0].stop for panel in panels)
    # In C order: the last fixed dimension varies fastest. Slabs without panels are skipped.
    used = sorted({slab(panel) for panel in panels})
    stacked = []
    for panel in panels:
        fast, slow = panel.offset
        stacked.append(replace(panel, offset=(fast, slow + height * used.index(slab(panel)))))
    return stacked


def _masked(path: Path | str, name: str, section: _Section, pixels_mm: dict[str, float], panels: list[Panel]
            ) -> list[Panel]:
    """Return the panels with a bad region masked: pixels of the image, ends included, or a range of x and y [pixel]."""
    only = _text(section, "panel")
    if only and only not in pixels_mm:
        line, _ = section.values["panel"]
        raise FormatError(f"{path}:{line}: got panel {only} in {name}; there is no panel of that name")
    keys = [key for key in section.values if key.startswith(("min_", "max_"))]
    kinds = {key[4:] for key in keys}
    if len(keys) != 4 or kinds not in ({"fs", "ss"}, {"x", "y"}):
        raise FormatError(f"{path}: bad region {name} needs min and max of fs and ss, or of x and y")
    low_f, high_f, low_s, high_s = (_number(path, section, f"{end}_{axis}")
                                    for axis in sorted(kinds) for end in ("min", "max"))
    masked = []
    for panel in panels:
        if only not in ("", panel.name):
            masked.append(panel)
            continue
        inside = np.empty((panel.slow_pixels, panel.fast_pixels), dtype=bool)
        for first in range(0, panel.slow_pixels, _BAND_ROWS):
            u, v = _coordinates(panel, first, pixels_mm[panel.name] if "x" in kinds else None)
            inside[first:first + _BAND_ROWS] = (low_f <= u) & (u <= high_f) & (low_s <= v) & (v <= high_s)
        known = True if panel.mask is None else panel.mask
        masked.append(replace(panel, mask=known & ~inside) if inside.any() else panel)
    return masked


def _coordinates(panel: Panel, first: int, pixel_mm: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return fast and slow of the pixels in `_BAND_ROWS` rows from ``first`` on, in the image or, with the edge of a
    pixel [mm], in the laboratory of CrystFEL [pixel]."""
    rows = np.arange(first, min(first + _BAND_ROWS, panel.slow_pixels))
    fast, slow = np.arange(panel.fast_pixels)[None, :], rows[:, None]
    if pixel_mm is None:
        return fast + panel.offset[0], slow + panel.offset[1]
    x, y = ((panel.origin_mm[axis] + (fast + 0.5) * panel.fast_mm[axis] + (slow + 0.5) * panel.slow_mm[axis]) / pixel_mm
            for axis in (0, 1))
    return -x, y


def _wavelength(path: Path | str, common: _Section, warnings: list[str]) -> tuple[float | None, str]:
    """Return the wavelength [A], or ``None`` and the reason why there is none."""
    scales: dict[str, float]
    for name in ("wavelength", "photon_energy", "electron_voltage"):
        line, text = common.values.get(name, (0, ""))
        if not text:
            continue
        where = f"{path}:{line}"
        if name == "electron_voltage":
            raise FormatError(f"{where}: got {name}; only X-rays are simulated; give wavelength or photon_energy")
        if _is_reference(text):
            return None, f"{where}: {name} = {text} refers to a data file"
        scales, default = (_WAVELENGTHS_A, "A") if name == "wavelength" else (_ENERGIES_EV, "eV")
        value = _quantity(path, common, name, scales, default)
        if not value > 0.0:
            raise FormatError(f"{where}: got {name} = {text}; it must be > 0")
        if name == "photon_energy" and value < _LEAST_ENERGY_EV and len(text.split()) == 1:
            warnings.append(f"{where}: a photon energy of {value:g} eV is implausible, its unit seems to be missing; "
                            f"{value:g} keV is assumed")
            value *= 1000.0
        if name == "photon_energy":
            return units.angstrom_from_ev(value), ""
        return plausible(f"{where}: wavelength", "wavelength", value, "A", warnings), ""
    return None, f"{path}: there is no wavelength or photon_energy"


def read_cell(path: Path | str) -> ExperimentModels:
    """Return the unit cell of a CrystFEL cell file, which has no orientation.

    Raises
    ------
    FormatError
        If one of the six numbers is missing or wrong.
    OSError
        If it cannot be read.
    """
    section = _Section()
    for line_number, line in enumerate(io.StringIO(read_text(path, others="latin-1")), start=1):
        left, equals, value = line.split(";", 1)[0].partition("=")
        if equals:
            section.values[left.strip()] = (line_number, value.strip())
    numbers = []
    for name, scales in (*((name, {"A": 1.0, "nm": 10.0}) for name in "abc"),
                         *((name, {"deg": 1.0, "rad": 180.0 / math.pi}) for name in ("al", "be", "ga"))):
        if name not in section.values:
            raise FormatError(f"{path}: there is no {name}; a cell has a, b, c, al, be and ga")
        length = _quantity(path, section, name, scales, next(iter(scales)))
        if not length > 0.0:
            raise FormatError(f"{path}:{section.values[name][0]}: got {name} = {length:g}; it must be > 0")
        numbers.append(length)
    return ExperimentModels(crystal=CrystalModel(cell=tuple(numbers)))  # type: ignore[arg-type]
