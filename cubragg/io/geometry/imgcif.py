"""Experiment models from full imgCIF headers: detector elements and goniometer by their chains of axes.

The laboratory of imgCIF is the frame of DIALS: +x along the principal axis of the goniometer, +z to the source.
Source: the imgCIF dictionary, categories AXIS, ARRAY_STRUCTURE_LIST, ARRAY_STRUCTURE_LIST_AXIS, DIFFRN_SCAN_AXIS,
DIFFRN_SCAN_FRAME_AXIS, DIFFRN_RADIATION.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gemmi

from cubragg.crystallography.vectors import Vector, combine, norm, rotate_axis, scale, unit
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel
from cubragg.io.files.gemmi_errors import GEMMI_ERRORS
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels, ScanModel
from cubragg.io.geometry.expt import stacked
from cubragg.io.geometry.plausible import plausible
from cubragg.io.images.cbf_parts import CbfParts
from cubragg.units import rad_from_deg

_ORIGIN: Vector = (0.0, 0.0, 0.0)


class _Axis(NamedTuple):
    """An axis: whether it rotates, its equipment, the axis that it depends on, its direction and offset [mm]."""

    rotates: bool
    equipment: str
    depends_on: str
    vector: Vector
    offset_mm: Vector

    def moved(self, position_mm: Vector, setting: float) -> Vector:
        """Return a position in the frame that the axis depends on."""
        if self.rotates:
            return combine((1.0, self.turned(position_mm, setting)), (1.0, self.offset_mm))
        return combine((1.0, position_mm), (setting, self.vector), (1.0, self.offset_mm))

    def turned(self, direction: Vector, setting: float) -> Vector:
        """Return a direction in the frame that the axis depends on."""
        if not self.rotates or setting == 0.0:
            return direction
        return rotate_axis(direction, unit(self.vector), rad_from_deg(setting))


def is_imgcif(text: str) -> bool:
    """Return whether the CIF text of a CBF file describes axes, and not only a miniCBF header."""
    return "_axis.vector[1]" in text and ("_diffrn.id" in text or "_diffrn_source" in text)


def imgcif_models(path: Path | str, parts: CbfParts) -> ExperimentModels:
    """Return the experiment models of a full imgCIF header.

    Raises
    ------
    FormatError
        If it is not CIF, or a category that the geometry needs is missing or wrong.
    """
    return _Reader(path, parts).models()


class _Reader:
    """The tables of one file, whose path begins the messages."""

    def __init__(self, path: Path | str, parts: CbfParts) -> None:
        self.path = path
        text = parts.text.rstrip()
        # The binary section is the value of the last item, a text field.
        text = text.removesuffix(";").rstrip() + "\n?\n"
        try:
            self.block = gemmi.cif.read_string(text)[0]
        except GEMMI_ERRORS as error:
            raise FormatError(f"{path}: not CIF: {str(error).removeprefix('string:')}") from None
        self.axes = {row["id"]: self._axis(row) for row in self._rows("axis")}
        self.start, self.increment = self._settings()

    def _rows(self, category: str) -> list[dict[str, str]]:
        try:
            table = self.block.find_mmcif_category(f"_{category}.")
        except GEMMI_ERRORS as error:  # tags of several categories in one loop
            raise FormatError(f"{self.path}: not imgCIF: {error}") from None
        names = [tag.partition(".")[2].lower() for tag in table.tags]
        key = "id" if category == "axis" else "axis_id"
        if len(table) and category.endswith("axis") and key not in names:
            raise FormatError(f"{self.path}: _{category} has no {key} in the header; an imgCIF file has one")
        return [dict(zip(names, (gemmi.cif.as_string(cell) for cell in row), strict=True)) for row in table]

    def _number(self, row: Mapping[str, str], name: str, default: float | None = None) -> float:
        word = row.get(name, "")
        value = gemmi.cif.as_number(word) if word else math.nan
        if math.isnan(value) and word in ("", ".", "?") and default is not None:
            return default
        if not math.isfinite(value):
            raise FormatError(f"{self.path}: got {name} {word or 'missing'} in the header; it must be a number")
        return value

    def _vector(self, row: Mapping[str, str], name: str) -> Vector:
        x, y, z = (self._number(row, f"{name}[{i}]", 0.0) for i in (1, 2, 3))
        return x, y, z

    def _axis(self, row: Mapping[str, str]) -> _Axis:
        vector = self._vector(row, "vector")
        rotates = row.get("type", "").lower() == "rotation"
        if rotates and not norm(vector) > 0.0:
            raise FormatError(f"{self.path}: got a vector of length 0 for axis {row.get('id')}; a rotation needs one")
        return _Axis(rotates, row.get("equipment", "").lower(), row.get("depends_on", "."), vector,
                     self._vector(row, "offset"))

    def _settings(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return angle [deg] or displacement [mm] of each axis at the image, and its increment."""
        start, increment = {}, {}
        for row in self._rows("diffrn_scan_axis"):
            kind = "angle" if self._of(row).rotates else "displacement"
            start[row["axis_id"]] = self._number(row, f"{kind}_start", 0.0)
            increment[row["axis_id"]] = self._number(row, f"{kind}_increment", 0.0)
        for row in self._rows("diffrn_scan_frame_axis"):
            kind = "angle" if self._of(row).rotates else "displacement"
            name = row["axis_id"]
            start[name] = self._number(row, kind, start.get(name, 0.0))
            increment[name] = self._number(row, f"{kind}_increment", increment.get(name, 0.0))
        return start, increment

    def _of(self, row: Mapping[str, str]) -> _Axis:
        name = row.get("axis_id", "")
        if name not in self.axes:
            raise FormatError(f"{self.path}: got the axis {name!r}, which is not in the category axis")
        return self.axes[name]

    def _chain(self, name: str) -> list[str]:
        """Return the axes from ``name`` to the laboratory."""
        chain: list[str] = []
        while name not in ("", ".", "?"):
            if name not in self.axes or name in chain:
                raise FormatError(f"{self.path}: axis {name!r} is not in the file, or depends on itself")
            chain.append(name)
            name = self.axes[name].depends_on
        return chain

    def models(self) -> ExperimentModels:
        warnings: list[str] = []
        source = next((axis.vector for axis in self.axes.values() if axis.equipment == "source" and any(axis.vector)),
                      (0.0, 0.0, 1.0))
        wavelengths = [self._number(row, "wavelength", 0.0) for row in self._rows("diffrn_radiation_wavelength")]
        wavelength = wavelengths[0] if wavelengths and wavelengths[0] > 0.0 else None
        if wavelength is not None:
            wavelength = plausible(f"{self.path}: wavelength", "wavelength", wavelength, "A", warnings)
        fraction, normal = self._polarization()
        spindle, scan = self._goniometer(warnings)
        return ExperimentModels(BeamModel(scale(unit(source), -1.0), wavelength, fraction, normal),
                                tuple(self._panels()), spindle, scan, warnings=tuple(warnings),
                                missing_wavelength="" if wavelength else f"{self.path}: no diffrn_radiation_wavelength "
                                "in the header")

    def _polarization(self) -> tuple[float | None, Vector | None]:
        """Return polarized fraction and normal; the dictionary's ratio is (Ip - In) / (Ip + In), its angle from +y."""
        for row in self._rows("diffrn_radiation"):
            ratio = gemmi.cif.as_number(row.get("polarizn_source_ratio", "?"))
            if math.isfinite(ratio):
                angle = rad_from_deg(self._number(row, "polarizn_source_norm", 0.0))
                return (1.0 + ratio) / 2.0, (math.sin(angle), math.cos(angle), 0.0)
        return None, None

    def _goniometer(self, warnings: list[str]) -> tuple[Vector | None, ScanModel | None]:
        """Return the scanned axis in the laboratory, and the scan."""
        names = [name for name, axis in self.axes.items() if axis.equipment == "goniometer" and axis.rotates]
        if not names:
            return None, None
        inner = max(names, key=lambda name: len(self._chain(name)))
        chain = [name for name in self._chain(inner) if self.axes[name].rotates]
        scanned = next((i for i, name in enumerate(chain) if self.increment.get(name, 0.0) != 0.0), 0)
        spindle = unit(self.axes[chain[scanned]].vector)
        for name in chain[scanned + 1:]:
            spindle = self.axes[name].turned(spindle, self.start.get(name, 0.0))
        if any(self.start.get(name, 0.0) != 0.0 for name in chain[:scanned]):
            warnings.append(f"{self.path}: goniometer axes between crystal and spindle are not at 0 deg; a matrix "
                            "given by -mat must include their rotation")
        start, width = (table.get(chain[scanned], 0.0) for table in (self.start, self.increment))
        times = [self._number(row, "integration_time", 0.0) for row in self._rows("diffrn_scan_frame")]
        exposure = times[0] if times and times[0] > 0.0 else None
        sense = 1.0 if width >= 0.0 else -1.0
        return scale(spindle, sense), ScanModel(sense * start, abs(width), exposure)

    def _panels(self) -> list[Panel]:
        sets: dict[str, list[dict[str, str]]] = {}
        for row in self._rows("array_structure_list_axis"):
            sets.setdefault(row.get("axis_set_id", row.get("axis_id", "")), []).append(row)
        rows = self._rows("array_structure_list")
        divided = {row.get("array_id", "") for row in rows if _section(row)}
        arrays: dict[str, dict[int, dict[str, str]]] = {}
        for row in rows:
            # The dimensions of an array of several panels have no axes; those of its sections have.
            if _section(row) or row.get("array_id", "") not in divided:
                name = _section(row) or row.get("array_id", "")
                arrays.setdefault(name, {})[int(self._number(row, "precedence"))] = row
        panels = [self._panel(name, dimensions, sets) for name, dimensions in arrays.items()]
        if not panels:
            raise FormatError(f"{self.path}: there is no array_structure_list in the header, which places the detector")
        return panels if len(panels) == 1 else stacked(panels)

    def _panel(self, name: str, rows: dict[int, dict[str, str]], sets: Mapping[str, list[dict[str, str]]]) -> Panel:
        if not {1, 2} <= set(rows):
            raise FormatError(f"{self.path}: array {name} has no fast and slow dimension (precedence 1 and 2)")
        steps = [step for order in (1, 2) for step in sets.get(rows[order].get("axis_set_id", ""), [])]
        if len(steps) != 2:
            raise FormatError(f"{self.path}: array {name} has {len(steps)} axes of pixels; it needs 2, one for fast "
                              "and one for slow")
        inner = max((step["axis_id"] for step in steps), key=lambda axis: len(self._chain(axis)))

        def place(fast_px: float, slow_px: float) -> Vector:
            settings: dict[str, Any] = dict(self.start)
            for step, count in zip(steps, (fast_px, slow_px), strict=True):
                settings[step["axis_id"]] = (self._number(step, "displacement", 0.0)
                                             + count * self._number(step, "displacement_increment"))
            position = _ORIGIN
            for axis in self._chain(inner):
                position = self.axes[axis].moved(position, settings.get(axis, 0.0))
            return position

        origin = place(0.0, 0.0)
        fast, slow = (combine((1.0, place(*pixel)), (-1.0, origin)) for pixel in ((1.0, 0.0), (0.0, 1.0)))
        fast_pixels, slow_pixels = (int(self._number(rows[order], "dimension")) for order in (1, 2))
        return Panel(fast_pixels, slow_pixels, origin, fast, slow, name=name)


def _section(row: Mapping[str, str]) -> str:
    """Return the section of an array that a row of array_structure_list describes; empty for the whole array."""
    name = row.get("array_section_id", "")
    return "" if name in (".", "?") else name
