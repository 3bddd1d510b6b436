"""Writer of CrystFEL geometry files (``.geom``) and unit cell files (``.cell``); see `crystfel` for the frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cubragg import units
from cubragg.crystallography.bravais import TRICLINIC, Bravais
from cubragg.crystallography.vectors import Vector, scale
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel, image_shape
from cubragg.io.geometry.crystfel import CELL_MAGIC
from cubragg.io.geometry.experiment_models import Cell, ExperimentModels, rectangles

#: Path of the images in NXmx files of cubragg.
NXMX_DATA = "/entry/data/data"


class InImages(NamedTuple):
    """What a geometry file refers to in HDF5 files, by their paths.

    Attributes
    ----------
    data
        The images.
    wavelength
        Wavelength of each image [A]; ``None``: that of the models.
    mask
        Mask of the image, 0 for good pixels; ``None``: the masks of the panels are bad regions.
    clen, shift_x, shift_y
        Camera length and shift of the detector of each image [m]; ``None``: those of the models.
    """

    data: str
    wavelength: str | None = None
    mask: str | None = None
    clen: str | None = None
    shift_x: str | None = None
    shift_y: str | None = None


def to_crystfel(vector: Vector) -> Vector:
    """Return a vector of the frame of DIALS in that of CrystFEL, and the reverse."""
    return (-vector[0] + 0.0, vector[1], -vector[2] + 0.0)


def camera_length_m(panels: Sequence[Panel]) -> float:
    """Return the camera length that `geom_text` writes of panels in the frame of DIALS: one for all of them, so that a
    user can change it in one line."""
    return -sum(_centre_mm(panel)[2] for panel in panels) / len(panels) / 1000.0


def geom_text(where: str, models: ExperimentModels, *, data: str | None, images: InImages | None = None,
              adu_per_photon: float = 1.0, bandwidth: float = 0.0) -> str:
    """Return the geometry file of models in the frame of DIALS (`frames.dials_rotation`).

    ``data`` is the path of the images in an HDF5 file; ``None``: the images are CBF files. ``images`` has more of such
    files. ``bandwidth`` is the standard deviation of the relative wavelength.

    Raises
    ------
    FormatError
        If the models have no detector or no wavelength; ``where`` begins the message.
    """
    beam = models.beam
    if beam is None or beam.wavelength_A is None or not models.panels:
        raise FormatError(f"{where}: got models without a wavelength or a detector; CrystFEL needs both")
    images = images or (None if data is None else InImages(data))
    clen_m = camera_length_m(models.panels)
    height, width = image_shape(models.panels)
    lines = [
        f"; {width} x {height} pixels, simulated",
        *_beam_lines(beam.wavelength_A, images, bandwidth),
        f"adu_per_photon = {adu_per_photon!r}",
        f"clen = {images.clen if images and images.clen else repr(clen_m)} m"]
    if images is not None:
        lines += [f"data = {images.data}", "dim0 = %", "dim1 = ss", "dim2 = fs"]
        lines += [f"detector_shift_{axis} = {path} m" for axis, path in zip("xy", images[-2:], strict=True) if path]
        lines += [f"mask = {images.mask}", "mask_good = 0x0", "mask_bad = 0xffff"] if images.mask else []
    for name, panel in zip(panel_names(models.panels), models.panels, strict=True):
        lines += ["", *_panel_lines(name, panel, clen_m, masked=images is None or images.mask is None)]
    return "\n".join([*lines, ""])


def _beam_lines(wavelength_A: float, images: InImages | None, bandwidth: float) -> Iterator[str]:
    if images is not None and images.wavelength is not None:
        yield f"wavelength = {images.wavelength} A"
    else:
        yield f"photon_energy = {units.HC_EV_ANGSTROM / wavelength_A!r} eV  ; {wavelength_A!r} A"
    if bandwidth > 0.0:
        yield f"bandwidth = {bandwidth!r}"


def panel_names(panels: Sequence[Panel]) -> list[str]:
    """Return the names of panels in a geometry file: their own ones where CrystFEL accepts them, which all differ."""
    plain = [re.sub(r"[^A-Za-z0-9_]", "_", panel.name) for panel in panels]
    if len(set(plain)) < len(plain):
        plain = [""] * len(plain)
    return [name if name and not name.startswith(("bad", "group", "rigid_group")) else f"p{number_}"
            for number_, name in enumerate(plain)]


def _centre_mm(panel: Panel) -> Vector:
    corners = panel.corners_mm
    return tuple(sum(corner[i] for corner in corners) / 4.0 for i in range(3))  # type: ignore[return-value]


def _panel_lines(name: str, panel: Panel, clen_m: float, masked: bool) -> Iterable[str]:
    x, y, z = panel.origin_mm
    pixel_mm, _ = panel.pixel_mm  # fs and ss are multiples of it, whatever their lengths and angle
    res = 1000.0 / pixel_mm
    last_f, last_s = panel.offset[0] + panel.fast_pixels - 1, panel.offset[1] + panel.slow_pixels - 1
    yield from (f"{name}/{key} = {value}" for key, value in (
        ("min_fs", panel.offset[0]), ("max_fs", last_f), ("min_ss", panel.offset[1]), ("max_ss", last_s),
        ("res", repr(res)), *((key, _written(scale(step_mm, 1.0 / pixel_mm))) for key, step_mm in (
            ("fs", panel.fast_mm), ("ss", panel.slow_mm))),
        ("corner_x", repr(-x / pixel_mm + 0.0)), ("corner_y", repr(y / pixel_mm)),
        ("coffset", repr(-z / 1000.0 - clen_m))))
    for count, (f0, f1, s0, s1) in enumerate(rectangles(~panel.mask) if masked and panel.mask is not None else []):
        region = {"panel": name, "min_fs": panel.offset[0] + f0, "max_fs": panel.offset[0] + f1 - 1,
                  "min_ss": panel.offset[1] + s0, "max_ss": panel.offset[1] + s1 - 1}
        yield from (f"bad_{name}_{count}/{key} = {value}" for key, value in region.items())


def _written(step: Vector) -> str:
    return " ".join(f"{size:+.17g}{axis}" for size, axis in zip(to_crystfel(step), "xyz", strict=True))


def cell_text(cell: Cell, lattice: Bravais = TRICLINIC) -> str:
    """Return the cell file of a cell [A, deg]; triclinic and primitive if its space group is not known."""
    unique = [] if lattice.unique_axis == "*" else [f"unique_axis = {lattice.unique_axis}"]
    lines = [f"{CELL_MAGIC} version 1.0", "", f"lattice_type = {lattice.system}", *unique,
             f"centering = {lattice.centring}", "",
             *(f"{name} = {value!r} {unit}" for name, value, unit
               in zip(("a", "b", "c", "al", "be", "ga"), cell, ("A",) * 3 + ("deg",) * 3, strict=True)), ""]
    return "\n".join(lines)
