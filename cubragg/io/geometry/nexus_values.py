"""Numbers of NeXus files with their units, and steps of chains of transformations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.bounds import LARGEST, SMALLEST
from cubragg.errors import FormatError
from cubragg.experiment.panel import MAX_PIXELS
from cubragg.io.files.hdf5_source import read_values
from cubragg.io.geometry.plausible import plausible

_SCALES = {
    "mm": {"m": 1e3, "metre": 1e3, "meter": 1e3, "mm": 1.0, "cm": 10.0, "um": 1e-3, "micron": 1e-3, "µm": 1e-3,
           "microns": 1e-3, "nm": 1e-6},
    "A": {"angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "m": 1e10, "pm": 0.01},
    "deg": {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0, "rad": 180.0 / math.pi, "radian": 180.0 / math.pi,
            "radians": 180.0 / math.pi, "mrad": 0.18 / math.pi},
    "s": {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6},
    "eV": {"ev": 1.0, "kev": 1e3, "j": 1.0 / 1.602176634e-19, "joule": 1.0 / 1.602176634e-19},
}
_PLAIN = {"mm": "m", "A": "angstrom", "deg": "deg", "s": "s", "eV": "eV"}


class Step(NamedTuple):
    """One transformation: its axis, values (one for each image) and offset."""

    node: Any
    rotates: bool
    vector: np.ndarray
    values: np.ndarray
    offset_mm: np.ndarray

    def rotation(self, value: float) -> np.ndarray:
        """Return the rotation matrix float64 [3, 3] of a value."""
        return _rotation(self.vector, math.radians(value)) if self.rotates else np.eye(3)

    def moved(self, position_mm: np.ndarray) -> np.ndarray:
        """Return a position in the frame that this step depends on."""
        if self.rotates:
            return self.rotation(self.values[0]) @ position_mm + self.offset_mm
        return position_mm + self.vector * self.values[0] + self.offset_mm


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis
    across = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * across + (1.0 - math.cos(angle)) * (across @ across)


class NexusValues:
    """Numbers of one file, whose path begins the messages; ``warnings`` collects what was assumed."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._unitless: dict[str, list[str]] = {}

    def error(self, node: Any, what: str) -> FormatError:
        return FormatError(f"{self.path}: {node.name}: {what}")

    def unit_warnings(self) -> list[str]:
        """Return a warning for each unit that was assumed, with the numbers that have none."""
        return [f"{self.path}: {', '.join(names)} {'have' if len(names) > 1 else 'has'} no unit; {unit_} is assumed"
                for unit_, names in self._unitless.items() if names]

    def read(self, node: Any) -> np.ndarray:
        """Return all values of a dataset."""
        return read_values(self.path, node)

    def first(self, node: Any) -> float:
        """Return the first value of a dataset, without its unit; it may be infinite."""
        return float(np.ravel(self.read(node))[0])

    def whole(self, node: Any) -> list[int]:
        """Return the values of a dataset, which must be whole numbers."""
        numbers = np.asarray(self.read(node), dtype=np.float64).ravel()
        if not (np.abs(numbers) <= MAX_PIXELS).all() or (numbers != np.rint(numbers)).any():
            raise self.error(node, f"got {' '.join(f'{number:g}' for number in numbers[:3])}; whole numbers of pixels "
                             f"are accepted, at most {MAX_PIXELS}")
        return [int(number) for number in numbers]

    def values(self, node: Any, unit_: str) -> np.ndarray:
        values = np.atleast_1d(np.asarray(self.read(node), dtype=np.float64)).ravel()
        if values.size == 0 or not (np.abs(values) <= LARGEST).all():
            raise self.error(node, f"got no numbers, NaN, inf or a magnitude above {LARGEST:g}; finite numbers are "
                             "accepted")
        return values * self.scale_of(node, "units", unit_)

    def scale_of(self, node: Any, attribute: str, unit_: str) -> float:
        name = text_of_node(node.attrs.get(attribute, node.attrs.get("units", "")))
        if not name:
            name = _PLAIN[unit_]
            if node.name not in self._unitless.setdefault(name, []):
                self._unitless[name].append(node.name)
        factor = _SCALES[unit_].get(name.strip().lower())
        if factor is None:
            raise self.error(node, f"got the unit {name!r}; accepted are {', '.join(_SCALES[unit_])}")
        return factor

    def scalar(self, node: Any, unit_: str, kind: str = "") -> float:
        """Return the first number [``unit_``]; a length of a ``kind`` (`plausible`) is checked for a wrong unit."""
        value = float(self.values(node, unit_)[0])
        has_unit = bool(text_of_node(node.attrs.get("units", "")))
        if not kind or value <= 0.0 or (has_unit and kind not in ("thickness", "wavelength")):
            return value
        checked = plausible(f"{self.path}: {node.name}", kind, value, unit_, self.warnings)
        if checked != value:  # one warning is enough
            for names in self._unitless.values():
                names[:] = [name for name in names if name != node.name]
        return checked

    def vector(self, node: Any, attribute: str) -> np.ndarray:
        vector = np.asarray(node.attrs.get(attribute, ()), dtype=np.float64).ravel()
        if vector.shape != (3,) or not (np.abs(vector) <= LARGEST).all() or not (np.abs(vector) > SMALLEST).any():
            raise self.error(node, f"got no {attribute} of three numbers; a transformation needs one that is not zero")
        return vector


def text_of_node(value: Any) -> str:
    """Return the text of an attribute or dataset; that of the first entry of an array."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
