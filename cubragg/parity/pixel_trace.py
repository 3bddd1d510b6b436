"""Computes one pixel sample by sample, for ``-printout_pixel`` and ``cubragg trace``.

It uses Python floats in the order of operations of the C program, independently of the
engines, and can thus be used to check them. Only nanobragg semantics are traced: for
physical semantics there is no C program to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.shapes.crystal_shape import FreshBuffers
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, rotate_axis, scale, unit
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.errors import ConfigError
from cubragg.parity.plan_steps import Step, panel_steps, plan_steps
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Largest number of samples of a pixel that is traced step by step.
MAX_SAMPLES = 50_000
#: Scales rounding to single precision (6e-8) to tolerances for double precision (1e-9).
_SINGLE = 128.0


@dataclass
class PixelTrace:
    """The last sample of a pixel (last layer, sub-pixel, source, phi, domain) and its sums.

    Attributes
    ----------
    fast, slow
        The pixel.
    position_m
        Position of its last sub-pixel relative to the crystal [m].
    stol_per_m
        sin(theta) / lambda of the last source [1/m].
    hkl, hkl0
        Fractional and nearest Miller indices.
    F_cell
        Structure factor of the last term that was not skipped, in this or an earlier pixel (NaN: there is none).
    F_latt
        Lattice amplitude.
    intensity, intensity_per_step
        The sum before and after division by the number of samples.
    polar, omega, capture_fraction
        Polarization, solid angle [sr] and absorbed fraction of the last sample.
    photons
        The pixel's value, single precision.
    cell_vectors_A
        a, b, c [A].
    wavelength_A
        Wavelength of the beam [A].
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


def trace_pixel(plan: Plan, fast: int, slow: int) -> PixelTrace:
    """Trace one pixel.

    Raises
    ------
    ConfigError
        If the pixel is outside the region, masked or between panels, or the semantics are physical.
    """
    return _follow(plan, _panel_of(plan, fast, slow), fast, slow, None)


def trace_steps(plan: Plan, fast: int, slow: int) -> tuple[PixelTrace, list[Step]]:
    """Trace one pixel and return every step in the order of computation, including those before the first pixel.

    Raises
    ------
    ConfigError
        As `trace_pixel`; or if the pixel has more than `MAX_SAMPLES` samples.
    """
    panel = _panel_of(plan, fast, slow)
    samples = panel.layers.count * plan.samples
    if samples > MAX_SAMPLES:
        raise ConfigError("trace", f"got {samples} samples in a pixel; at most {MAX_SAMPLES} are traced step by "
                          "step, --last prints only the last one")
    steps: list[Step] = []
    trace = _follow(plan, panel, fast, slow, steps)
    return trace, [*plan_steps(plan, panel), *panel_steps(plan, panel), *steps]


def _panel_of(plan: Plan, fast: int, slow: int) -> PanelPlan:
    """The panel of a pixel."""
    if plan.rules.per_sample:
        raise ConfigError("semantics", "got physical; pixels are traced in nanobragg semantics only: type --semantics "
                          "nanobragg")
    fast_min, fast_max, slow_min, slow_max = plan.roi
    if not (fast_min <= fast <= fast_max and slow_min <= slow <= slow_max):
        raise ConfigError("trace", f"got pixel {fast} {slow}; the region is {fast_min} to {fast_max} fast "
                          f"and {slow_min} to {slow_max} slow")
    if plan.mask is not None and not plan.mask[slow, fast]:
        why = "masked" if len(plan.detector_panels) == 1 else "masked or between panels"
        raise ConfigError("trace", f"got pixel {fast} {slow}, which is {why}; a pixel that is rendered is accepted")
    panel = plan.panel_at(fast, slow)
    assert panel is not None  # it is not masked
    return panel


def _follow(plan: Plan, panel: PanelPlan, fast: int, slow: int, steps: list[Step] | None) -> PixelTrace:
    fast_min, _, slow_min, _ = panel.roi
    column, row = fast - panel.window[1].start, slow - panel.window[0].start
    engine = NumpyEngine(plan)
    engine.set_panel(panel)
    index = (row - slow_min) * panel.width + column - fast_min
    first, stop = engine.order_dependent_pixels()
    tracer = _Tracer(plan, panel, interpolate=plan.interpolate and (stop is None or index <= stop),
                     first_pass=index == first, steps=steps)
    trace = tracer.run(column, row)
    if math.isnan(trace.F_cell):
        earlier = engine.last_contributing_before(index)
        if earlier is not None:
            trace.F_cell = trace_pixel(plan, *panel.in_image(*panel.pixel_at(earlier))).F_cell
    trace.fast, trace.slow = fast, slow
    return trace


class _Tracer:
    """The C program's loops over one pixel; computed quantities are appended to ``steps``."""

    def __init__(self, plan: Plan, panel: PanelPlan, *, interpolate: bool, first_pass: bool,
                 steps: list[Step] | None) -> None:
        self._plan, self._panel = plan, panel
        self._interpolate = interpolate
        self._first_pass = first_pass
        self._steps = steps
        self._stage = ""
        self._intensity_scale = 0.0

    def _note(self, stage: str, name: str, values: Sequence[float | str], unit: str = "", scale: float = 0.0) -> None:
        if self._steps is not None:
            self._steps.append(Step(stage, name, tuple(values), unit, scale if math.isfinite(scale) else 0.0))

    def run(self, fast: int, slow: int) -> PixelTrace:
        plan, layers, rules = self._plan, self._panel.layers, self._plan.rules
        trace = PixelTrace(fast, slow, wavelength_A=units.angstrom_from_m(plan.wavelength), intensity=plan.water,
                           polar=0.0 if plan.polarized else 1.0)
        for layer in range(layers.count):
            trace.capture_fraction = 0.0 if layers.thickness_m > 0.0 else 1.0
            for sub_slow in range(plan.oversample):
                for sub_fast in range(plan.oversample):
                    self._sub_pixel(trace, layer, sub_slow, sub_fast)
        trace.intensity_per_step = trace.intensity / plan.samples
        photons = units.THOMSON_CROSS_SECTION_M2 * plan.fluence * trace.intensity / plan.samples
        for running, factor in ((rules.running_thick, trace.capture_fraction),
                                (rules.running_polar, trace.polar), (rules.running_omega, trace.omega)):
            photons *= 1.0 if running else factor
        with np.errstate(over="ignore"):  # running factors above 1 can overflow, as in the C program
            trace.photons = float(np.float32(photons))
        self._note_pixel(trace, photons)
        return trace

    def _note_pixel(self, trace: PixelTrace, photons: float) -> None:
        plan = self._plan
        # The rounding error of the sum is relative to the magnitudes of its terms, some of which may be close to 0.
        ratio = self._intensity_scale / trace.intensity if trace.intensity else 1.0
        self._note("pixel", "I", (trace.intensity,), scale=self._intensity_scale)
        self._note("pixel", "I/steps", (trace.intensity_per_step,), scale=self._intensity_scale / plan.samples)
        self._note("pixel", "polarization", (trace.polar,))
        self._note("pixel", "solid angle", (trace.omega,), "sr")
        self._note("pixel", "capture fraction", (trace.capture_fraction,))
        self._note("pixel", "r_e^2 * fluence", (units.THOMSON_CROSS_SECTION_M2 * plan.fluence,))
        self._note("pixel", "photons before rounding", (photons,), scale=abs(ratio * photons))
        self._note("pixel", "photons", (trace.photons,), scale=(abs(ratio) + _SINGLE) * abs(trace.photons))

    def _sub_pixel(self, trace: PixelTrace, layer: int, sub_slow: int, sub_fast: int) -> None:
        plan, panel, rules = self._plan, self._panel, self._plan.rules
        stage = f"layer {layer}, sub-pixel {sub_slow} {sub_fast} (slow fast)"
        trace.position_m = self._position(trace.fast, trace.slow, layer, sub_slow, sub_fast)
        path = norm(trace.position_m)
        direction = unit(trace.position_m)
        if trace.omega == 0.0 or rules.running_omega:
            trace.omega = panel.area / path / path * panel.close_distance / path
            if plan.point_pixel:
                trace.omega = 1.0 / path / path
        if trace.capture_fraction == 0.0 or rules.running_thick:
            depth = panel.layers.step_m * panel.layers.mu_per_m / dot(direction, panel.normal)
            trace.capture_fraction = math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
        self._note(stage, "position", trace.position_m, "m")
        self._note(stage, "direction", direction)
        self._note(stage, "solid angle", (trace.omega,), "sr")
        self._note(stage, "capture fraction", (trace.capture_fraction,))
        for number, (row, wavelength) in enumerate(zip(plan.sources.incident.tolist(),
                                                       plan.sources.wavelength_m.tolist(), strict=True)):
            self._stage = f"{stage}, source {number}"
            q = ((direction[0] - row[0]) / wavelength, (direction[1] - row[1]) / wavelength,
                 (direction[2] - row[2]) / wavelength)
            trace.stol_per_m = 0.5 * norm(q)
            cut = plan.dmin > 0.0 and trace.stol_per_m > 0.0 and plan.dmin > 0.5 / trace.stol_per_m
            self._note(self._stage, "wavelength", (wavelength,), "m")
            self._note(self._stage, "incident", row)
            self._note(self._stage, "scattering vector", q, "1/m", 1.0 / wavelength)
            self._note(self._stage, "stol", (trace.stol_per_m,), "1/m", 1.0 / wavelength)
            self._note(self._stage, "resolution", ("cut by dmin" if cut else "kept",))
            if cut:
                continue
            if trace.polar == 0.0 or rules.running_polar:
                direction = unit(direction)
                trace.polar = self._polarization(unit(tuple(row)), direction)
            self._note(self._stage, "polarization", (trace.polar,))
            axes = plan.cell_axes
            if self._first_pass and plan.first_cell_axes is not None:
                axes = plan.first_cell_axes
            self._first_pass = False
            for i, (a, b, c) in enumerate(axes.reshape(-1, 3, 3).tolist()):
                phi, domain = divmod(i, axes.shape[1])
                self._stage = f"{stage}, source {number}, phi {phi}, domain {domain}"
                self._term(trace, q, (tuple(a), tuple(b), tuple(c)))

    def _position(self, fast: int, slow: int, layer: int, sub_slow: int, sub_fast: int) -> Vector:
        panel, n = self._panel, self._plan.oversample
        first_fast, first_slow = panel.first_pixel
        f, s = (edge * (pixel * n + sub_pixel) + edge / 2.0 for edge, pixel, sub_pixel in (
            (panel.edges[0] / n, fast + first_fast, sub_fast), (panel.edges[1] / n, slow + first_slow, sub_slow)))
        position = combine((f, panel.fast), (s, panel.slow), (layer * panel.layers.step_m, panel.normal),
                           (1.0, panel.origin))
        if self._plan.curved:
            start = scale(self._plan.geometry.beam, panel.distance)
            rotated = rotate_axis(start, panel.slow, position[1] / panel.distance)
            position = rotate_axis(rotated, panel.fast, position[2] / panel.distance)
        return position

    def _polarization(self, incident: Vector, direction: Vector) -> float:
        kahn = self._plan.kahn_factor
        cosine_sqr = dot(incident, direction) * dot(incident, direction)
        magnetic = unit(cross(self._plan.geometry.polar, incident))
        electric = unit(cross(incident, magnetic))
        psi = -math.atan2(dot(direction, magnetic), dot(direction, electric)) if kahn != 0.0 else 0.0
        return 0.5 * (1.0 + cosine_sqr - kahn * math.cos(2.0 * psi) * (1.0 - cosine_sqr))

    def _term(self, trace: PixelTrace, q: Vector, cell: tuple[Vector, Vector, Vector]) -> None:
        plan, rules = self._plan, self._plan.rules
        trace.cell_vectors_A = tuple(scale(axis, 1.0 / units.ANGSTROM_M) for axis in cell)  # type: ignore[assignment]
        trace.hkl = tuple(dot(axis, q) for axis in cell)  # type: ignore[assignment]
        trace.hkl0 = tuple(math.ceil(index - 0.5) for index in trace.hkl)  # type: ignore[assignment]
        for name, axis in zip("abc", trace.cell_vectors_A, strict=True):
            self._note(self._stage, name, axis, "A")
        self._note(self._stage, "hkl", trace.hkl, scale=max(1.0, *map(abs, trace.hkl)))
        self._note(self._stage, "hkl0", trace.hkl0)
        trace.F_latt = self._lattice_factor(trace.hkl, trace.hkl0)
        size = plan.cells[0] * plan.cells[1] * plan.cells[2]
        self._note(self._stage, "F_latt", (trace.F_latt,), scale=size)
        if trace.F_latt == 0.0 and plan.water == 0.0:
            self._note(self._stage, "F_cell", ("not looked up",))
            return
        trace.F_cell = self._structure_factor(trace.hkl, trace.hkl0)
        term = trace.F_cell * trace.F_cell * trace.F_latt * trace.F_latt
        trace.intensity += term
        scale_of_term = trace.F_cell * trace.F_cell * abs(trace.F_latt) * size
        self._intensity_scale += scale_of_term
        self._note(self._stage, "F_cell", (trace.F_cell,), "electrons")
        self._note(self._stage, "term", (term,), scale=scale_of_term)
        for running, factor in ((rules.running_thick, trace.capture_fraction),
                                (rules.running_polar, trace.polar), (rules.running_omega, trace.omega)):
            if running:
                trace.intensity *= factor
                self._intensity_scale *= factor
        self._note(self._stage, "I", (trace.intensity,), scale=self._intensity_scale)

    def _lattice_factor(self, hkl: Vector, hkl0: tuple[int, int, int]) -> float:
        shape, block = SHAPES[self._plan.crystal_shape], self._plan.block
        factors = shape.factors_along(hkl, block)
        for name, factor, n in zip("abc", factors, block.cells, strict=bool(factors)):
            self._note(self._stage, f"F_latt along {name}", (factor,), scale=n)
        if factors:
            return math.prod(factors)
        index, whole = np.array(hkl)[:, None], np.array(hkl0, dtype=float)[:, None]
        return float(shape.amplitude(index, whole, block, FreshBuffers())[0])

    def _structure_factor(self, hkl: Vector, hkl0: tuple[int, int, int]) -> float:
        factors = self._plan.factors
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
        index = tuple(whole - low for whole, low in zip(hkl0, factors.origin, strict=True))
        return float(factors.grid[index]) if inside else factors.default_F


def _lagrange(values: list[float], x: float) -> float:
    """Value at ``x`` of the cubic through ``values`` at 0, 1, 2, 3."""
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
    """The text that the C program prints for a pixel."""
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
