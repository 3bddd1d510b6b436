"""Writes the reflection table of an image as CSV, HDF5 or a DIALS .refl file, by the suffix of the file name."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cubragg import units
from cubragg.errors import FormatError
from cubragg.io.files.atomic import atomic_path, write_bytes
from cubragg.io.reflections.refl import orientation_in_dials_frame, write_refl
from cubragg.reflections.reflection_table import ReflectionTable
from cubragg.version import version

#: Column -> unit.
UNITS: Mapping[str, str] = MappingProxyType({
    "h": "", "k": "", "l": "", "panel": "", "fast": "px", "slow": "px", "pixel_fast": "px", "pixel_slow": "px",
    "image_fast": "px", "image_slow": "px",
    "x": "mm", "y": "mm", "phi": "deg", "photons": "photons", "F": "electrons", "partiality": "", "d": "A",
    "overlap": "", "cut": "", "direct_beam": "", "entering": "",
    "fast_sigma": "px", "slow_sigma": "px", "phi_sigma": "deg"})


def ending_of(path: Path | str) -> str:
    """The format of a file by its suffix: ``csv``, ``hdf5`` or ``refl``.

    Raises
    ------
    FormatError
        For another suffix.
    """
    forms = {".csv": "csv", ".h5": "hdf5", ".hdf5": "hdf5", ".nxs": "hdf5", ".refl": "refl"}
    form = forms.get(Path(path).suffix.lower())
    if form is None:
        raise FormatError(f"got {str(path)!r}; a reflection table is written as .csv, .h5, .hdf5, .nxs or .refl")
    return form


def write_reflection_table(path: Path | str, table: ReflectionTable, image: int = 0) -> None:
    """Write a reflection table in the format of the file's suffix.

    Parameters
    ----------
    image
        Number of the image in its series, from 0.

    Raises
    ------
    FormatError
        For an unknown suffix.
    OSError
        If the file cannot be written.
    """
    writers: dict[str, Callable[[Path | str, ReflectionTable, int], None]] = {
        "csv": _write_csv, "hdf5": _write_hdf5, "refl": write_refl}
    writers[ending_of(path)](path, table, image)


def _settings(table: ReflectionTable, image: int) -> dict[str, tuple[object, str]]:
    """Settings of the experiment that the reflections refer to: name -> value and unit."""
    plan, orientation = table.plan, table.orientation
    dials = orientation_in_dials_frame(table)
    found: dict[str, tuple[object, str]] = {
        "program": (f"cubragg {version()}", ""),
        "wavelength": (units.angstrom_from_m(plan.wavelength), "A"),
        "image": (image + 1, ""),
        "phi_start": (units.deg_from_rad(plan.phi_start), "deg"),
        "osc": (units.deg_from_rad(plan.phi.width), "deg"),
        "phi_steps": (plan.phi.count, ""),
        "spindle": (np.array(plan.geometry.spindle), ""),
        "beam": (np.array(plan.geometry.beam), ""),
        "mosaic_domains": (plan.domain_count, ""),
        "sources": (len(plan.sources.wavelength_m), ""),
        "min_photons": (table.min_photons, "photons"),
        "cell": (np.array(orientation.cell), "A, deg"),
        "A": (orientation.A, "1/A"), "A_mid": (orientation.A_mid, "1/A"), "U": (orientation.U, ""),
        "B": (orientation.B, "1/A"), "A_dials": (dials["A"], "1/A"), "U_dials": (dials["U"], ""),
    }
    if orientation.misset_deg is not None:
        found["misset"] = (np.array(orientation.misset_deg), "deg")
    return found


def _plain(value: object) -> str:
    if isinstance(value, np.ndarray):
        return " ".join(repr(float(number)) for number in value.reshape(-1))
    return str(value)


def _write_csv(path: Path | str, table: ReflectionTable, image: int) -> None:
    """Write comment lines, a line of names with units, and a line for each reflection."""
    text = io.StringIO()
    for name, (value, unit) in _settings(table, image).items():
        text.write(f"# {name}{f' [{unit}]' * bool(unit)}: {_plain(value)}\n")
    for number, panel in enumerate(table.panels):
        if panel.name:
            text.write(f"# panel {number}: {panel.name}, at {panel.offset[0]} {panel.offset[1]} (fast slow) px\n")
    columns = table.as_dict()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f"{name} [{UNITS[name]}]" if UNITS[name] else name for name in columns])
    shown = []
    for column in columns.values():
        whole = column.dtype.kind in "ib"
        shown.append([str(int(value)) if whole else f"{value:.10g}" for value in column.tolist()])
    writer.writerows(zip(*shown, strict=True))
    write_bytes(path, text.getvalue().encode("utf-8"))


def _write_hdf5(path: Path | str, table: ReflectionTable, image: int) -> None:
    """Write ``/reflections`` (a data set for each column), ``/settings`` and ``/panels``, all with units."""
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        group = file.create_group("reflections")
        for name, column in table.as_dict().items():
            group.create_dataset(name, data=column).attrs["units"] = UNITS[name]
        settings = file.create_group("settings")
        for name, (value, unit) in _settings(table, image).items():
            settings.create_dataset(name, data=value).attrs["units"] = unit
        panels = file.create_group("panels")
        panels.create_dataset("name", data=[panel.name for panel in table.panels])
        panels.create_dataset("offset", data=[panel.offset for panel in table.panels]).attrs["units"] = "px"
        for name, attribute, unit in (("pix0", "origin_mm", "mm"), ("fast", "fast", ""), ("slow", "slow", "")):
            vectors = np.array([getattr(panel, attribute) for panel in table.panels])
            panels.create_dataset(name, data=vectors).attrs["units"] = unit
