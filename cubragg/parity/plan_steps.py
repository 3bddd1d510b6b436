"""Steps of a pixel's computation, and those before the first pixel: detector, crystal, beam and sampling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.vectors import cross
from cubragg.experiment.conventions import frame_of
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


class Step(NamedTuple):
    """A quantity at one stage of the computation.

    Attributes
    ----------
    stage
        The stage: ``experiment``, ``detector``, ..., then ``layer 0, sub-pixel 1 0 (slow fast), source 2, phi 0,
        domain 3``, and ``pixel``.
    name, unit
        The quantity; the unit is empty for pure numbers.
    values
        Numbers, one for a scalar and three for a vector, or words.
    scale
        Smallest magnitude that rounding errors are compared with, needed for a factor that can be close to zero.
    """

    stage: str
    name: str
    values: tuple[float | str, ...]
    unit: str = ""
    scale: float = 0.0


def plan_steps(plan: Plan, panel: PanelPlan) -> Iterator[Step]:
    """Steps before the first pixel, in the order of computation."""
    yield from _detector_steps(plan, panel)
    yield from _crystal_steps(plan)
    table, phi = plan.sources, plan.phi
    yield Step("rotation", "phi steps", (phi.count,))
    for i, angle in enumerate(plan.phi_angles):
        yield Step("rotation", f"phi {i}", (units.deg_from_rad(angle),), "deg", 1.0)
    yield Step("beam", "sources", (len(table.wavelength_m),))
    for i, (incident, wavelength) in enumerate(zip(table.incident.tolist(), table.wavelength_m.tolist(), strict=True)):
        yield Step("beam", f"source {i} incident", tuple(incident))
        yield Step("beam", f"source {i} wavelength", (wavelength,), "m")
    yield Step("beam", "fluence", (plan.fluence,), "photons/m^2")
    yield Step("beam", "Kahn factor", (plan.kahn_factor if plan.polarized else "off",))
    yield Step("sampling", "oversample", (plan.oversample,))
    running = [name for name in ("thick", "polar", "omega") if getattr(plan.rules, f"running_{name}")]
    yield Step("sampling", "at every sub-pixel", (" ".join(running) or "nothing",))
    yield Step("sampling", "dmin", (plan.dmin,), "m")
    yield Step("sampling", "interpolation", ("on" if plan.interpolate else "off",))
    yield Step("sampling", "steps", (plan.samples,))
    yield Step("sampling", "water", (plan.water,))


def panel_steps(plan: Plan, panel: PanelPlan) -> Iterator[Step]:
    """Steps about the panel of a pixel; none for a detector with a single panel."""
    if len(plan.detector_panels) == 1:
        return
    rows, columns = panel.window
    yield Step("detector", "panel", (f"{panel.number} {panel.name}".rstrip(),))
    yield Step("detector", "panel's first pixel in the image", (columns.start, rows.start))
    yield Step("detector", "panel's first pixel on the plane of pix0", panel.first_pixel)


def _detector_steps(plan: Plan, panel: PanelPlan) -> Iterator[Step]:
    geometry = frame_of(plan.detector_panels[panel.number], plan.geometry.laboratory)
    layers = panel.layers
    yield Step("experiment", "wavelength", (plan.wavelength,), "m")
    yield Step("detector", "convention", (geometry.convention,))
    yield Step("detector", "pivot", (geometry.pivot,))
    yield Step("detector", "pixels", panel.shape[::-1])
    yield Step("detector", "pixel size", panel.edges[:1] if panel.edges[0] == panel.edges[1] else panel.edges, "m")
    shape = [name for name, on in (("curved", plan.curved), ("no obliquity", plan.point_pixel)) if on]
    yield Step("detector", "shape", (", ".join(shape) or "flat",))
    for name, vector in (("beam direction", geometry.beam), ("E vector", geometry.polar), ("spindle", geometry.spindle),
                         ("fast axis", panel.fast), ("slow axis", panel.slow), ("normal", panel.normal)):
        yield Step("detector", name, vector)
    yield Step("detector", "polarization plane normal", cross(geometry.beam, geometry.polar))
    yield Step("detector", "distance", (panel.distance,), "m")
    yield Step("detector", "close distance", (panel.close_distance,), "m")
    yield Step("detector", "pix0", panel.origin, "m")
    yield Step("detector", "DIALS origin", geometry.dials_origin_mm, "mm")
    yield Step("detector", "Fbeam Sbeam", (geometry.fbeam, geometry.sbeam), "m", panel.edges[0])
    yield Step("detector", "Fclose Sclose", (geometry.fclose, geometry.sclose), "m", panel.edges[0])
    yield Step("detector", "sensor thickness", (layers.thickness_m,), "m")
    yield Step("detector", "sensor layers", (layers.count,))
    yield Step("detector", "absorption", (layers.mu_per_m,), "1/m")


def _crystal_steps(plan: Plan) -> Iterator[Step]:
    lattice, mosaic = plan.lattice, plan.mosaic
    angles = ("none",) if lattice.misset_rad is None else tuple(map(units.deg_from_rad, lattice.misset_rad))
    yield Step("crystal", "misset", angles, "deg", 1.0)
    for name in "abc":
        yield Step("crystal", f"{name}*", getattr(lattice, f"{name}_star"), "1/A")
    yield Step("crystal", "cell volume", (lattice.volume,), "A^3")
    for name in "abc":
        yield Step("crystal", name, getattr(lattice, name), "A")
    yield Step("crystal", "cells", plan.cells)
    yield Step("crystal", "shape", (SHAPES[plan.crystal_shape].setting,))
    yield Step("crystal", "fudge", (plan.fudge,))
    yield Step("crystal", "mosaic domains", (len(mosaic.rotations),))
    yield Step("crystal", "mosaic spread", (units.deg_from_rad(mosaic.spread_rad),), "deg")
