"""The samples of a plan in physical semantics: orientations of the crystal, rays of the beam, places in the crystal.

A plan with different rays or places consists of parts, plans themselves, whose images add up to its image.
`specs/sampling.md`
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, dot, rotate_axis, scale, unit
from cubragg.errors import ConfigError
from cubragg.experiment.beam import Beam, SourceTable
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.goniometer import Goniometer
from cubragg.plan.illumination import Illumination, illuminated_points, illumination_of, path_m
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.plan.sample_choice import choose_samples
from cubragg.plan.sample_points import Domains, draw_domains, uncorrelated, with_moments
from cubragg.plan.spreads import SpectralLine

#: Shift of the crystal during a part, in pixels, and rotation during a part of a crystal that is not bathed [rad].
_SHIFT_PX, _TURN = 0.1, math.radians(5.0)


def with_samples(crystal: Crystal, goniometer: Goniometer, beam: Beam, plan: Plan) -> Plan:
    """Return a plan in physical semantics with its orientations, and its parts if it has several rays or places.

    Raises
    ------
    ConfigError
        For a crystal off the spindle or with a size on a curved detector.
    """
    if goniometer.osc_deg is None and plan.phi.count == 1:
        plan = replace(plan, phi=replace(plan.phi, width=0.0))
    if beam.has_lines:  # sources, which are summed and not drawn
        line = SpectralLine(plan.wavelength, 1.0, 0.0)
        drawn = _with_drawn_samples(crystal, goniometer, beam, replace(plan, spreads=plan.spreads._replace(
            channels=(line,))))
        return replace(drawn, spreads=plan.spreads)
    return _with_drawn_samples(crystal, goniometer, beam, plan)


def _with_drawn_samples(crystal: Crystal, goniometer: Goniometer, beam: Beam, plan: Plan) -> Plan:
    count = choose_samples(crystal, goniometer, plan)
    chunks = _chunks(crystal, plan, count.phi_steps)
    domains = draw_domains(count.domains, count.parts, plan.spreads)
    if crystal.mosaic_domains and crystal.mosaic_spread_deg:
        domains = domains._replace(rotation=np.resize(_listed(crystal), (count.domains, 3)))
    plan = oriented(replace(
        plan, phi=replace(plan.phi, count=count.phi_steps, step=plan.phi.width / count.phi_steps), domains=domains,
        notes=count.notes, warnings=(*plan.warnings, *count.warnings),
        samples=count.phi_steps * count.domains * plan.oversample**2 * len(plan.sources.wavelength_m)))
    if count.parts == chunks == 1 and not any(plan.illumination.position):
        return plan
    if plan.curved:
        where = ("crystal.size_mm" if crystal.size_mm is not None else
                 "crystal.offset_mm" if any(crystal.offset_mm) else "crystal.wobble_mm")
        placed = any(plan.illumination.position) or chunks > 1 or plan.illumination.covariance.any()
        raise ConfigError(where if placed else "detector.curved", "got a curved detector together with a crystal of "
                          "several places or a beam of several rays; a curved detector renders one of each")
    return replace(plan, parts=tuple(_parts(crystal, beam, plan, count.parts, chunks)))


def _listed(crystal: Crystal) -> np.ndarray:
    """Return the rotation vectors of nanoBragg's list of domains, less their mean, float64 [domain, 3] [rad]."""
    matrices = np.array(crystal.mosaic().rotations).reshape(-1, 3, 3)
    skew = np.stack([matrices[:, 2, 1] - matrices[:, 1, 2], matrices[:, 0, 2] - matrices[:, 2, 0],
                     matrices[:, 1, 0] - matrices[:, 0, 1]], axis=1) / 2.0
    sine = np.linalg.norm(skew, axis=1)
    angle = np.arctan2(sine, (np.trace(matrices, axis1=1, axis2=2) - 1.0) / 2.0)
    vectors = skew * np.divide(angle, sine, out=np.ones_like(sine), where=sine > 0.0)[:, None]
    return vectors - vectors.mean(axis=0)


def oriented(plan: Plan) -> Plan:
    """Return a plan with the cell axes of its domains in the orientation of its lattice.

    Spindle angles are in the middle of their intervals; several domains have angles of their own around them.
    """
    assert plan.domains is not None
    step, spindle = plan.phi.step, plan.geometry.spindle
    middles = [plan.phi_start + step * (i + 0.5) for i in range(plan.phi.count)]
    axes = _domain_axes(plan, plan.domains)
    if len(axes) == 1:
        rotated = [[[rotate_axis(tuple(axis), spindle, angle) if angle != 0.0 else tuple(axis) for axis in axes[0]]]
                   for angle in middles]
        return replace(plan, phi_angles=middles, cell_axes=np.array(rotated), phi_offsets=np.zeros(1))
    offsets = (plan.domains.phase - 0.5) * step
    angle = np.array(middles)[:, None] + offsets
    return replace(plan, phi_angles=middles, phi_offsets=offsets, cell_axes=_turned(axes, spindle, angle))


def _domain_axes(plan: Plan, domains: Domains) -> np.ndarray:
    """Return the cell axes of the domains at phi = 0, float64 [domain, 3, 3] [m]."""
    lattice, frame = plan.lattice, plan.spreads.frame
    axes = np.array([scale(axis, units.ANGSTROM_M) for axis in (lattice.a, lattice.b, lattice.c)])
    if not domains.rotation.any() and not domains.strain.any():
        return np.repeat(axes[None], len(domains.phase), axis=0)
    return (1.0 + domains.strain)[:, None, None] * (axes @ _matrices(domains.rotation @ frame.T).transpose(0, 2, 1))


def _matrices(vectors: np.ndarray) -> np.ndarray:
    """Return the rotation matrices of rotation vectors [n, 3] [rad], float64 [n, 3, 3]."""
    angle = np.linalg.norm(vectors, axis=1)
    axis = np.divide(vectors, angle[:, None], out=np.zeros_like(vectors), where=angle[:, None] > 0.0)
    zero = np.zeros(len(vectors))
    cross = np.stack([zero, -axis[:, 2], axis[:, 1], axis[:, 2], zero, -axis[:, 0], -axis[:, 1], axis[:, 0], zero],
                     axis=1).reshape(-1, 3, 3)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1.0 - cosine) * (cross @ cross)


def _turned(axes: np.ndarray, spindle: Vector, angle: np.ndarray) -> np.ndarray:
    """Return cell axes [domain, 3, 3] turned about the spindle by angles [phi, domain], float64 [phi, domain, 3, 3]."""
    along = (axes @ np.array(spindle))[..., None] * np.array(spindle)
    sine, cosine = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return along + cosine * (axes - along) + sine * np.cross(np.array(spindle), axes)


def _chunks(crystal: Crystal, plan: Plan, phi_steps: int) -> int:
    """Return the number of parts of the rotation range, at each of which the crystal has one place."""
    edge = min(units.m_from_mm(min(panel.pixel_mm)) for panel in plan.detector_panels)
    wanted = path_m(crystal, plan.phi.width) / (_SHIFT_PX * edge)
    if plan.illumination.fraction < 1.0:
        wanted = max(wanted, plan.phi.width / _TURN)
    return next(number for number in range(min(max(math.ceil(wanted), 1), phi_steps), phi_steps + 1)
                if phi_steps % number == 0)


def _parts(crystal: Crystal, beam: Beam, plan: Plan, count: int, chunks: int) -> list[Plan]:
    """Return the parts: domains with a ray and a place of their own, of each part of the rotation range."""
    assert plan.domains is not None
    per_chunk = plan.phi.count // chunks
    tables = [_sources(plan, plan.domains, number) for number in range(count)]
    found = []
    for chunk in range(chunks):
        steps = slice(chunk * per_chunk, (chunk + 1) * per_chunk)
        angles = plan.phi_angles[steps]
        at = plan.illumination
        if chunks > 1:
            at = illumination_of(crystal, beam, plan.geometry, plan.spreads.frame, at.block_volume,
                                 (angles[0] + angles[-1]) / 2.0)
        for number, place in enumerate(_places(crystal, beam, plan, at, count, angles)):
            weight = 1.0 / (count * chunks)
            found.append(replace(
                plan, phi=replace(plan.phi, count=per_chunk), phi_angles=angles, sources=tables[number],
                phi_offsets=plan.phi_offsets[number::count], cell_axes=np.ascontiguousarray(
                    plan.cell_axes[steps, number::count]), illumination=at, fluence=plan.fluence * weight,
                water=plan.water * weight, panels=tuple(_moved(panel, place) for panel in plan.panels)))
    return found


def _places(crystal: Crystal, beam: Beam, plan: Plan, at: Illumination, count: int, angles: list[float]) -> np.ndarray:
    """Return a place in the illuminated crystal for each group of domains, float64 [count, 3] [m]."""
    mean = np.array(at.position)
    if not at.covariance.any():
        return np.repeat(mean[None], count, axis=0)
    points = illuminated_points(crystal, beam, plan.geometry, plan.spreads.frame, (angles[0] + angles[-1]) / 2.0, count)
    if len(points) < count:
        return np.repeat(mean[None], count, axis=0)
    domains = plan.domains
    assert domains is not None
    drawn = np.column_stack([domains.rotation, domains.strain, domains.phase]).reshape(-1, count, 5).mean(axis=0)
    rays = [domains.direction, domains.wavelength] if plan.spreads.of_beam else []
    others = np.column_stack([drawn, *(ray[:count] for ray in rays)])
    return with_moments(uncorrelated(points - points.mean(axis=0), others), mean, at.covariance)


def _sources(plan: Plan, domains: Domains, number: int) -> SourceTable:
    """Return the sources of a ray: those of the plan, turned and with other wavelengths as the ray is."""
    sources, geometry = plan.sources, plan.geometry
    if not plan.spreads.of_beam:
        return sources
    along, across = domains.direction[number].tolist()
    incident = [scale(unit(rotate_axis(rotate_axis(scale(tuple(direction), -1.0), geometry.polar, across),
                                       geometry.vert, along)), -1.0) for direction in sources.incident.tolist()]
    return sources._replace(incident=np.array(incident),
                            wavelength_m=sources.wavelength_m * (domains.wavelength[number] / plan.wavelength))


def _moved(panel: PanelPlan, place: np.ndarray) -> PanelPlan:
    """Return the panel as it is seen from a place [m]."""
    x, y, z = place.tolist()
    origin = panel.origin[0] - x, panel.origin[1] - y, panel.origin[2] - z
    return panel._replace(origin=origin, close_distance=panel.close_distance - dot((x, y, z), panel.normal))
