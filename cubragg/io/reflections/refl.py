"""Writes reflection tables of DIALS (``.refl``): columns of raw little-endian numbers in MessagePack.

Vectors are in the frame of DIALS: beam along -z, spindle towards +x. Source: the MessagePack adapter of
``dials::af::reflection_table``, DIALS 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cubragg import units
from cubragg.io.files.atomic import write_bytes
from cubragg.reflections.reflection_table import Flags, ReflectionTable

_IDENTIFIER, _VERSION = "dials::af::reflection_table", 1
#: Bits of the column ``flags``: predicted, observed, indexed, strong.
_DIALS_FLAGS = 1 | 2 | 4 | 32
#: Types of columns as DIALS names them, and as NumPy stores them.
_TYPES = {"int": "<i4", "std::size_t": "<u8", "double": "<f8", "vec3<double>": "<f8", "bool": "|u1",
          "cctbx::miller::index<>": "<i4"}


def orientation_in_dials_frame(truth: ReflectionTable) -> dict[str, np.ndarray]:
    """A [1/A] and U [3, 3] at phi = 0 in the frame of DIALS."""
    rotation = np.array(truth.plan.geometry.dials_rotation()).reshape(3, 3)
    return {"A": rotation @ truth.orientation.A, "U": rotation @ truth.orientation.U}


def write_refl(path: Path | str, truth: ReflectionTable, image: int = 0) -> None:
    """Write the reflections of an image, except 0 0 0, as image number ``image`` (from 0) of a scan.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    write_refl_tables(path, [(truth, image, 0, 0)])


def write_refl_tables(path: Path | str, tables: Sequence[tuple[ReflectionTable, int, int, int]]) -> None:
    """Write the reflections, except 0 0 0, of several images or crystals as one table.

    Parameters
    ----------
    tables
        Reflections, number of the image in its imageset (from 0), and numbers of the experiment and the imageset in
        the experiment list, each.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import msgpack

    parts = []
    for truth, image, experiment, imageset in tables:
        kept = (truth.flags & Flags.DIRECT_BEAM) == 0
        numbers = {"id": experiment, "imageset_id": imageset}
        columns = _columns(truth, image) | {name: ("int", np.full(len(truth), one)) for name, one in numbers.items()}
        parts.append({name: (kind, column[kept]) for name, (kind, column) in columns.items()})
    rows = sum(len(part["id"][1]) for part in parts)
    data = {name: [kind, [rows, b"".join(np.ascontiguousarray(part[name][1], dtype=_TYPES[kind]).tobytes()
                                         for part in parts)]]
            for name, (kind, _) in sorted(parts[0].items())} if parts else {}
    table = [_IDENTIFIER, _VERSION, {"identifiers": {}, "nrows": rows, "data": data}]
    write_bytes(path, msgpack.packb(table, use_bin_type=True))


def _columns(truth: ReflectionTable, image: int) -> dict[str, tuple[str, np.ndarray]]:
    """Column name -> type and values."""
    plan, count = truth.plan, len(truth)
    phi_rad = np.array([units.rad_from_deg(angle) for angle in truth.phi_deg.tolist()])
    frames = np.full(count, image + 0.5)
    if plan.rotates:
        frames = image + (phi_rad - plan.phi_start) / plan.phi.width
    edges = np.array([panel.pixel_mm for panel in truth.panels])
    counted = np.stack([truth.pixel_fast, truth.pixel_slow, frames], axis=1)
    rotation = np.array(plan.geometry.dials_rotation()).reshape(3, 3)
    exit_beam = truth.beam @ rotation.T / units.angstrom_from_m(plan.wavelength)
    return {
        "miller_index": ("cctbx::miller::index<>", truth.hkl),
        "id": ("int", np.zeros(count)), "imageset_id": ("int", np.zeros(count)),
        "panel": ("std::size_t", truth.panel),
        "flags": ("std::size_t", np.full(count, _DIALS_FLAGS)),
        "entering": ("bool", (truth.flags & Flags.ENTERING) != 0),
        "s1": ("vec3<double>", exit_beam),
        "xyzcal.px": ("vec3<double>", np.stack([truth.fast_px, truth.slow_px, frames], axis=1)),
        "xyzcal.mm": ("vec3<double>", np.stack([truth.fast_mm, truth.slow_mm, phi_rad], axis=1)),
        "xyzobs.px.value": ("vec3<double>", counted),
        "xyzobs.mm.value": ("vec3<double>", np.column_stack([counted[:, :2] * edges[truth.panel], phi_rad])),
        "intensity.sum.value": ("double", truth.photons), "intensity.sum.variance": ("double", truth.photons),
        "partiality": ("double", truth.partiality), "d": ("double", truth.d_A),
    }
