"""One pixel followed sample by sample: what ``-printout_pixel`` and ``cubragg trace`` show.

Written on plain Python floats in the C program's order, so it is a second opinion on the
block renderer as well. It follows nanobragg semantics: with physical ones there is no C
program to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, rotate_axis, scale, unit
from cubragg.engine.panel_parts import PanelPart, part_at
from cubragg.engine.reference.numpy_engine import NumpyRenderer
from cubragg.errors import ConfigError
from cubragg.plan.plan import RenderPlan

#: More samples than this are not followed step by step.
MAX_SAMPLES = 50_000
#: Brings the rounding to single precision to the scale of double-precision tolerances of 1e-9.
_SINGLE = 128.0


class Step(NamedTuple):
    """One quantity at one place of the computation.

    Attributes
    ----------
    place
        ``experiment``, ``detector``, ..., then ``layer 0, sub-pixel 1 0 (slow fast), source 2, phi 0, domain 3``,
        and ``pixel``.
    name, unit
        The quantity; the unit is empty for pure numbers.
    values
        Numbers, one for a scalar and three for a vector, or words.
    scale
        Magnitude that rounding errors are to be measured by, at least; for a factor that passes through zero
        its own size says nothing.
    """

    place: str
    name: str
    values: tuple[float | str, ...]
    unit: str = ""
    scale: float = 0.0


@dataclass
class PixelTrace:
    """The last sample of a pixel (last layer, sub-pixel, source, phi, domain) and its sums.

    Attributes
    ----------
    fast, slow
        The pixel.
    position_m
        Its last sub-pixel from the crystal [m].
    stol_per_m
        sin(theta) / lambda of the last source [1/m].
    hkl, hkl0
        Fractional and nearest Miller indices.
    F_cell
        Structure factor of the last term that was not skipped, in whichever pixel (NaN: none was).
    F_latt
        Lattice amplitude.
    intensity, intensity_per_step
        The sum before and after division by the number of steps.
    polar, omega, capture_fraction
        Polarization, solid angle [sr], absorbed fraction as they stand at the end.
    photons
        The pixel's value, single precision.
    cell_vectors_A
        a, b, c [A].
    wavelength_A
        Of the beam [A].
    """

    fast: int
    slow: int
    position_m: Vector = (0.0, 0.0, 0.0)
    stol_per_m: float = 0.0
    hkl: Vector = (math.nan, math.nan, math.nan)
    hkl0: tuple[int, int, int] = (0, 0, 0)
    F_cell: float = math.nan
    F_latt: float = math.nan
    intensity: float = 0.0
    intensity_per_step: float = 0.0
    polar: float = 0.0
    omega: float = 0.0
    capture_fraction: float = 0.0
    photons: float = 0.0
    cell_vectors_A: tuple[Vector, Vector, Vector] = ((0.0, 0.0, 0.0),) * 3
    wavelength_A: float = 0.0


def trace_pixel(plan: RenderPlan, fast: int, slow: int) -> PixelTrace:
    """Follow one pixel.

    Raises
    ------
    ConfigError
        If the pixel is outside the region, masked or between panels, or the semantics are physical.
    """
    return _follow(_run_of(plan, fast, slow), fast, slow, None)


def trace_steps(plan: RenderPlan, fast: int, slow: int) -> tuple[PixelTrace, list[Step]]:
    """Follow one pixel and keep every step, in the order of computation, what comes before the pixel included.

    Raises
    ------
    ConfigError
        As `trace_pixel`; or if the pixel has more than `MAX_SAMPLES` samples.
    """
    part = _run_of(plan, fast, slow)
    samples = part.plan.layers.count * plan.steps
    if samples > MAX_SAMPLES:
        raise ConfigError("trace", f"got {samples} samples in a pixel; at most {MAX_SAMPLES} are followed step by "
                          "step, --last prints the last one")
    steps: list[Step] = []
    trace = _follow(part, fast, slow, steps)
    return trace, [*plan_steps(part.plan), *_panel_steps(plan, part), *steps]


def _run_of(plan: RenderPlan, fast: int, slow: int) -> PanelPart:
    """The run that renders the pixel."""
    if plan.physical:
        raise ConfigError("semantics", "got physical; a pixel is traced in nanobragg semantics only")
    fast_min, fast_max, slow_min, slow_max = plan.roi
    if not (fast_min <= fast <= fast_max and slow_min <= slow <= slow_max):
        raise ConfigError("trace", f"got pixel {fast} {slow}; the region is {fast_min} to {fast_max} fast "
                          f"and {slow_min} to {slow_max} slow")
    if plan.mask is not None and not plan.mask[slow, fast]:
        why = "masked" if plan.panels is None else "masked or between panels"
        raise ConfigError("trace", f"got pixel {fast} {slow}, which is {why}; give one that is rendered")
    part = part_at(plan, fast, slow)
    assert part is not None  # it is not masked
    return part


def _follow(part: PanelPart, fast: int, slow: int, steps: list[Step] | None) -> PixelTrace:
    plan = part.plan
    fast_min, fast_max, slow_min, _ = plan.roi
    column, row = fast - part.window[1].start, slow - part.window[0].start
    renderer = NumpyRenderer(plan)
    place = (row - slow_min) * (fast_max - fast_min + 1) + column - fast_min
    first, stop = renderer.lone_places()
    tracer = _Tracer(plan, interpolate=plan.interpolate and (stop is None or place <= stop), first_pass=place == first,
                     steps=steps)
    trace = tracer.run(column, row)
    if math.isnan(trace.F_cell):
        earlier = renderer.last_contributing_before(place)
        if earlier is not None:
            row, column = divmod(earlier, fast_max - fast_min + 1)
            trace.F_cell = trace_pixel(plan, column + fast_min, row + slow_min).F_cell
    trace.fast, trace.slow = fast, slow
    return trace


def plan_steps(plan: RenderPlan) -> Iterator[Step]:
    """What is known before the first pixel, in the order in which it is computed."""
    yield from _detector_steps(plan)
    yield from _crystal_steps(plan)
    table, phi = plan.sources, plan.phi
    yield Step("rotation", "phi steps", (phi.count,))
    for i, angle in enumerate(plan.phi_angles):
        yield Step("rotation", f"phi {i}", (units.deg_from_rad(angle),), "deg", 1.0)
    yield Step("beam", "sources", (len(table.wavelength_m),))
    for i, (incident, wavelength) in enumerate(zip(table.incident.tolist(), table.wavelength_m.tolist(), strict=True)):
        yield Step("beam", f"source {i} incident", tuple(incident))
        yield Step("beam", f"source {i} wavelength", (wavelength,), "m")
    beam, sampling = plan.experiment.beam, plan.experiment.sampling
    yield Step("beam", "fluence", (plan.fluence,), "photons/m^2")
    yield Step("beam", "Kahn factor", (beam.kahn_factor if beam.polarized else "off",))
    yield Step("sampling", "oversample", (plan.oversample,))
    running = [name for name in ("thick", "polar", "omega") if getattr(sampling, f"oversample_{name}")]
    yield Step("sampling", "at every sub-pixel", (" ".join(running) or "nothing",))
    yield Step("sampling", "dmin", (plan.dmin,), "m")
    yield Step("sampling", "interpolation", ("on" if plan.interpolate else "off",))
    yield Step("sampling", "steps", (plan.steps,))
    yield Step("sampling", "water", (plan.water,))


def _panel_steps(plan: RenderPlan, part: PanelPart) -> Iterator[Step]:
    """On which panel a pixel lies; nothing for a detector that is one panel itself."""
    if plan.panels is None:
        return
    rows, columns = part.window
    number = next(panel.number for panel in plan.panels if panel.window == part.window)
    name = plan.experiment.detector.panels[number].name
    yield Step("detector", "panel", (f"{number} {name}".rstrip(),))
    yield Step("detector", "panel's first pixel in the image", (columns.start, rows.start))
    yield Step("detector", "panel's first pixel on the plane of pix0", part.plan.first_pixel)


def _detector_steps(plan: RenderPlan) -> Iterator[Step]:
    geometry, layers, detector = plan.geometry, plan.layers, plan.experiment.detector
    yield Step("experiment", "wavelength", (units.m_from_angstrom(plan.experiment.beam.wavelength_A),), "m")
    yield Step("detector", "convention", (geometry.convention,))
    yield Step("detector", "pivot", (geometry.pivot,))
    yield Step("detector", "pixels", plan.shape[::-1])
    edges = (geometry.pixel_size, geometry.slow_pixel_size)
    yield Step("detector", "pixel size", edges[:1] if edges[0] == edges[1] else edges, "m")
    shape = [name for name, on in (("curved", detector.curved), ("no obliquity", detector.point_pixel)) if on]
    yield Step("detector", "shape", (", ".join(shape) or "flat",))
    for name, vector in (("beam direction", geometry.beam), ("E vector", geometry.polar), ("spindle", geometry.spindle),
                         ("fast axis", geometry.fast), ("slow axis", geometry.slow), ("normal", geometry.normal)):
        yield Step("detector", name, vector)
    yield Step("detector", "polarization plane normal", cross(geometry.beam, geometry.polar))
    yield Step("detector", "distance", (geometry.distance,), "m")
    yield Step("detector", "close distance", (geometry.close_distance,), "m")
    yield Step("detector", "pix0", geometry.pix0, "m")
    yield Step("detector", "DIALS origin", geometry.dials_origin_mm, "mm")
    yield Step("detector", "Fbeam Sbeam", (geometry.fbeam, geometry.sbeam), "m", geometry.pixel_size)
    yield Step("detector", "Fclose Sclose", (geometry.fclose, geometry.sclose), "m", geometry.pixel_size)
    yield Step("detector", "sensor thickness", (layers.thickness_m,), "m")
    yield Step("detector", "sensor layers", (layers.count,))
    yield Step("detector", "absorption", (layers.mu_per_m,), "1/m")


def _crystal_steps(plan: RenderPlan) -> Iterator[Step]:
    lattice, mosaic, crystal = plan.lattice, plan.mosaic, plan.experiment.crystal
    angles = ("none",) if lattice.misset_rad is None else tuple(map(units.deg_from_rad, lattice.misset_rad))
    yield Step("crystal", "misset", angles, "deg", 1.0)
    for name in "abc":
        yield Step("crystal", f"{name}*", getattr(lattice, f"{name}_star"), "1/A")
    yield Step("crystal", "cell volume", (lattice.volume,), "A^3")
    for name in "abc":
        yield Step("crystal", name, getattr(lattice, name), "A")
    yield Step("crystal", "cells", plan.cells)
    yield Step("crystal", "shape", (crystal.shape,))
    yield Step("crystal", "fudge", (crystal.fudge,))
    yield Step("crystal", "mosaic domains", (len(mosaic.rotations),))
    yield Step("crystal", "mosaic spread", (units.deg_from_rad(mosaic.spread_rad),), "deg")


class _Tracer:
    """The C program's loops over one pixel; ``steps`` takes down what they compute."""

    def __init__(self, plan: RenderPlan, *, interpolate: bool, first_pass: bool, steps: list[Step] | None) -> None:
        self._plan = plan
        self._interpolate = interpolate
        self._first_pass = first_pass
        self._steps = steps
        self._place = ""
        self._intensity_scale = 0.0

    def _note(self, place: str, name: str, values: Sequence[float | str], unit: str = "", scale: float = 0.0) -> None:
        if self._steps is not None:
            self._steps.append(Step(place, name, tuple(values), unit, scale if math.isfinite(scale) else 0.0))

    def run(self, fast: int, slow: int) -> PixelTrace:
        plan, sampling = self._plan, self._plan.experiment.sampling
        trace = PixelTrace(fast, slow, wavelength_A=plan.experiment.beam.wavelength_A, intensity=plan.water,
                           polar=0.0 if plan.experiment.beam.polarized else 1.0)
        for layer in range(plan.layers.count):
            trace.capture_fraction = 0.0 if plan.layers.thickness_m > 0.0 else 1.0
            for sub_slow in range(plan.oversample):
                for sub_fast in range(plan.oversample):
                    self._sub_pixel(trace, layer, sub_slow, sub_fast)
        trace.intensity_per_step = trace.intensity / plan.steps
        photons = units.THOMSON_CROSS_SECTION_M2 * plan.fluence * trace.intensity / plan.steps
        for running, factor in ((sampling.oversample_thick, trace.capture_fraction),
                                (sampling.oversample_polar, trace.polar), (sampling.oversample_omega, trace.omega)):
            photons *= 1.0 if running else factor
        with np.errstate(over="ignore"):  # running factors above 1 can pass the largest number, as in C
            trace.photons = float(np.float32(photons))
        self._note_pixel(trace, photons)
        return trace

    def _note_pixel(self, trace: PixelTrace, photons: float) -> None:
        plan = self._plan
        # A sum whose terms pass through zero is known as well as they are, relative to their sizes.
        share = self._intensity_scale / trace.intensity if trace.intensity else 1.0
        self._note("pixel", "I", (trace.intensity,), scale=self._intensity_scale)
        self._note("pixel", "I/steps", (trace.intensity_per_step,), scale=self._intensity_scale / plan.steps)
        self._note("pixel", "polarization", (trace.polar,))
        self._note("pixel", "solid angle", (trace.omega,), "sr")
        self._note("pixel", "capture fraction", (trace.capture_fraction,))
        self._note("pixel", "r_e^2 * fluence", (units.THOMSON_CROSS_SECTION_M2 * plan.fluence,))
        self._note("pixel", "photons before rounding", (photons,), scale=abs(share * photons))
        self._note("pixel", "photons", (trace.photons,), scale=(abs(share) + _SINGLE) * abs(trace.photons))

    def _sub_pixel(self, trace: PixelTrace, layer: int, sub_slow: int, sub_fast: int) -> None:
        plan, sampling, geometry = self._plan, self._plan.experiment.sampling, self._plan.geometry
        place = f"layer {layer}, sub-pixel {sub_slow} {sub_fast} (slow fast)"
        trace.position_m = self._position(trace.fast, trace.slow, layer, sub_slow, sub_fast)
        path = norm(trace.position_m)
        direction = unit(trace.position_m)
        if trace.omega == 0.0 or sampling.oversample_omega:
            trace.omega = geometry.pixel_size * geometry.slow_pixel_size / path / path * geometry.close_distance / path
            if plan.experiment.detector.point_pixel:
                trace.omega = 1.0 / path / path
        if trace.capture_fraction == 0.0 or sampling.oversample_thick:
            depth = plan.layers.step_m * plan.layers.mu_per_m / dot(direction, geometry.normal)
            trace.capture_fraction = math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
        self._note(place, "position", trace.position_m, "m")
        self._note(place, "direction", direction)
        self._note(place, "solid angle", (trace.omega,), "sr")
        self._note(place, "capture fraction", (trace.capture_fraction,))
        for number, (row, wavelength) in enumerate(zip(plan.sources.incident.tolist(),
                                                       plan.sources.wavelength_m.tolist(), strict=True)):
            self._place = f"{place}, source {number}"
            q = ((direction[0] - row[0]) / wavelength, (direction[1] - row[1]) / wavelength,
                 (direction[2] - row[2]) / wavelength)
            trace.stol_per_m = 0.5 * norm(q)
            cut = plan.dmin > 0.0 and trace.stol_per_m > 0.0 and plan.dmin > 0.5 / trace.stol_per_m
            self._note(self._place, "wavelength", (wavelength,), "m")
            self._note(self._place, "incident", row)
            self._note(self._place, "scattering vector", q, "1/m", 1.0 / wavelength)
            self._note(self._place, "stol", (trace.stol_per_m,), "1/m", 1.0 / wavelength)
            self._note(self._place, "resolution", ("cut by dmin" if cut else "kept",))
            if cut:
                continue
            if trace.polar == 0.0 or sampling.oversample_polar:
                direction = unit(direction)
                trace.polar = self._polarization(unit(tuple(row)), direction)
            self._note(self._place, "polarization", (trace.polar,))
            vectors = plan.cell_vectors
            if self._first_pass and plan.first_cell_vectors is not None:
                vectors = plan.first_cell_vectors
            self._first_pass = False
            for i, (a, b, c) in enumerate(vectors.reshape(-1, 3, 3).tolist()):
                phi, domain = divmod(i, vectors.shape[1])
                self._place = f"{place}, source {number}, phi {phi}, domain {domain}"
                self._term(trace, q, (tuple(a), tuple(b), tuple(c)))

    def _position(self, fast: int, slow: int, layer: int, sub_slow: int, sub_fast: int) -> Vector:
        geometry, n = self._plan.geometry, self._plan.oversample
        first_fast, first_slow = self._plan.first_pixel
        f, s = (edge * (pixel * n + sub_pixel) + edge / 2.0 for edge, pixel, sub_pixel in (
            (geometry.pixel_size / n, fast + first_fast, sub_fast),
            (geometry.slow_pixel_size / n, slow + first_slow, sub_slow)))
        position = combine((f, geometry.fast), (s, geometry.slow), (layer * self._plan.layers.step_m, geometry.normal),
                           (1.0, geometry.pix0))
        if self._plan.experiment.detector.curved:
            start = scale(geometry.beam, geometry.distance)
            turned = rotate_axis(start, geometry.slow, position[1] / geometry.distance)
            position = rotate_axis(turned, geometry.fast, position[2] / geometry.distance)
        return position

    def _polarization(self, incident: Vector, direction: Vector) -> float:
        kahn = self._plan.experiment.beam.kahn_factor
        cosine_sqr = dot(incident, direction) * dot(incident, direction)
        magnetic = unit(cross(self._plan.geometry.polar, incident))
        electric = unit(cross(incident, magnetic))
        psi = -math.atan2(dot(direction, magnetic), dot(direction, electric)) if kahn != 0.0 else 0.0
        return 0.5 * (1.0 + cosine_sqr - kahn * math.cos(2.0 * psi) * (1.0 - cosine_sqr))

    def _term(self, trace: PixelTrace, q: Vector, cell: tuple[Vector, Vector, Vector]) -> None:
        plan, sampling = self._plan, self._plan.experiment.sampling
        trace.cell_vectors_A = tuple(scale(axis, 1.0 / units.ANGSTROM_M) for axis in cell)  # type: ignore[assignment]
        trace.hkl = tuple(dot(axis, q) for axis in cell)  # type: ignore[assignment]
        trace.hkl0 = tuple(math.ceil(index - 0.5) for index in trace.hkl)  # type: ignore[assignment]
        for name, axis in zip("abc", trace.cell_vectors_A, strict=True):
            self._note(self._place, name, axis, "A")
        self._note(self._place, "hkl", trace.hkl, scale=max(1.0, *map(abs, trace.hkl)))
        self._note(self._place, "hkl0", trace.hkl0)
        trace.F_latt = self._lattice_factor(trace.hkl, trace.hkl0)
        size = plan.cells[0] * plan.cells[1] * plan.cells[2]
        self._note(self._place, "F_latt", (trace.F_latt,), scale=size)
        if trace.F_latt == 0.0 and plan.water == 0.0:
            self._note(self._place, "F_cell", ("not looked up",))
            return
        trace.F_cell = self._structure_factor(trace.hkl, trace.hkl0)
        term = trace.F_cell * trace.F_cell * trace.F_latt * trace.F_latt
        trace.intensity += term
        scale_of_term = trace.F_cell * trace.F_cell * abs(trace.F_latt) * size
        self._intensity_scale += scale_of_term
        self._note(self._place, "F_cell", (trace.F_cell,), "electrons")
        self._note(self._place, "term", (term,), scale=scale_of_term)
        for running, factor in ((sampling.oversample_thick, trace.capture_fraction),
                                (sampling.oversample_polar, trace.polar), (sampling.oversample_omega, trace.omega)):
            if running:
                trace.intensity *= factor
                self._intensity_scale *= factor
        self._note(self._place, "I", (trace.intensity,), scale=self._intensity_scale)

    def _lattice_factor(self, hkl: Vector, hkl0: tuple[int, int, int]) -> float:
        plan, crystal, cells = self._plan, self._plan.experiment.crystal, self._plan.cells
        if crystal.shape == "square":
            factor = 1.0
            for name, index, n in zip("abc", hkl, cells, strict=True):
                x = math.pi * index
                part = (math.sin(x * n) / math.sin(x) if x != 0.0 else n) if n > 1.0 else 1.0
                self._note(self._place, f"F_latt along {name}", (part,), scale=n)
                factor *= part
            return factor
        fraction = [index - whole for index, whole in zip(hkl, hkl0, strict=True)]
        volume = cells[0] * cells[1] * cells[2]
        if crystal.shape == "round":
            radius = sum(part * part * n * n for part, n in zip(fraction, cells, strict=True))
            x = math.pi * math.sqrt(radius * crystal.fudge)
            sinc3 = 3.0 * (math.sin(x) / x - math.cos(x)) / (x * x) if x != 0.0 else 1.0
            return volume * 0.723601254558268 * sinc3
        reciprocal = (plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star)
        star = norm(combine(*zip(fraction, reciprocal, strict=True)))
        radius = star * star * volume * volume
        if crystal.shape == "gauss":
            return volume * math.exp(-(radius / 0.63 * crystal.fudge))
        return volume * (radius * crystal.fudge < 0.3969)

    def _structure_factor(self, hkl: Vector, hkl0: tuple[int, int, int]) -> float:
        factors = self._plan.experiment.structure_factors
        if factors.grid is None:
            return factors.default_F
        offset = [index - low for index, low in zip(hkl, factors.origin, strict=True)]
        if self._interpolate:
            self._interpolate = all(x + 3.0 <= size and x >= 2.0
                                    for x, size in zip(offset, factors.grid.shape, strict=True))
        if self._interpolate:
            corner = [math.floor(x) - 1 for x in offset]
            h, k, l = (x - start for x, start in zip(offset, corner, strict=True))  # noqa: E741
            box = factors.grid[tuple(slice(start, start + 4) for start in corner)].tolist()
            return _lagrange([_lagrange([_lagrange(line, l) for line in sheet], k) for sheet in box], h)
        inside = all(0 <= whole - low < size
                     for whole, low, size in zip(hkl0, factors.origin, factors.grid.shape, strict=True))
        place = tuple(whole - low for whole, low in zip(hkl0, factors.origin, strict=True))
        return float(factors.grid[place]) if inside else factors.default_F


def _lagrange(values: list[float], x: float) -> float:
    """Cubic through ``values`` at 0, 1, 2, 3."""
    total = 0.0
    for i, value in enumerate(values):
        above = below = 1.0
        for j in range(4):
            if j != i:
                above *= x - j
                below *= i - j
        total += above * value / below
    return total


def format_trace(trace: PixelTrace) -> str:
    """The block of text that the C program prints for a pixel."""
    return "\n".join(_lines(trace)) + "\n"


def _lines(trace: PixelTrace) -> Iterator[str]:
    x, y, z = trace.position_m
    from_position = math.sin(math.atan2(math.sqrt(y * y + z * z), x) / 2.0) / trace.wavelength_A
    yield f"{trace.fast:4d} {trace.slow:4d} : stol = {trace.stol_per_m:g} or {from_position:g}"
    yield f"at {x:g} {y:g} {z:g}"
    yield "hkl= {:f} {:f} {:f}  hkl0= {:d} {:d} {:d}".format(*trace.hkl, *trace.hkl0)
    yield f" F_cell={trace.F_cell:g}  F_latt={trace.F_latt:g}   I = {trace.intensity:g}"
    for name, value in (("I/steps", trace.intensity_per_step), ("polar  ", trace.polar), ("omega  ", trace.omega),
                        ("capfrac", trace.capture_fraction), ("pixel  ", trace.photons)):
        yield f"{name} {value:15.10g}"
    yield "real-space cell vectors (Angstrom):"
    yield "     {:<10}  {:<10}  {:<10}".format("a", "b", "c")
    for i, name in enumerate("XYZ"):
        yield "{}: {:11.8f} {:11.8f} {:11.8f}".format(name, *(axis[i] for axis in trace.cell_vectors_A))
