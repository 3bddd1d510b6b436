"""Warnings about the image of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cubragg.crystallography.shapes import SHAPES
from cubragg.experiment.beam import DEFAULT_FLUENCE
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import overlaps_in_space
from cubragg.experiment.sensor import Sensor, sensor_of
from cubragg.nanobragg.phi_zero import carried_rotations

if TYPE_CHECKING:
    from cubragg.plan.plan import Plan

#: Cell angles further off than this are worth a warning.
_ANGLE_ERROR_DEG = 1e-3


def plan_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Sentences about what may surprise the user in the image of a plan."""
    found = []
    if plan.oversample < plan.recommended_oversample:
        found.append(f"oversample {plan.oversample} is too coarse for this crystal: intensity may vary across a "
                     f"sub-pixel; -oversample {plan.recommended_oversample} resolves it")
    if plan.mosaic.defaulted:
        found.append(f"mosaic spread without a number of domains: {len(plan.mosaic.rotations)} domains are used")
    if plan.mosaic.collapsed:
        found.append(f"{experiment.crystal.mosaic_domains} mosaic domains without a spread: one domain is used")
    depths_um = {1e6 / sensor.mu_per_m for sensor in _sensors(plan) if sensor.depth_defaulted}
    found += [f"sensor thickness without an attenuation depth: a depth of {depth:g} um is used"
              for depth in sorted(depths_um)]
    found += _overlaps(plan)
    found += _beam_warnings(experiment, plan)
    found += filter(None, [SHAPES[plan.crystal_shape].warning(plan.block)])
    return found + ([] if plan.rules.per_sample else _nanobragg_warnings(experiment, plan))


def _sensors(plan: Plan) -> set[Sensor]:
    return {sensor_of(panel.thickness_um or 0.0, panel.attenuation_um) for panel in plan.detector_panels}


def _overlaps(plan: Plan) -> Iterator[str]:
    """Placed panels that reach into one another: pixels are rendered as if each panel stood alone."""
    if any(panel.made_by is not None for panel in plan.detector_panels):
        return
    overlaps = overlaps_in_space(plan.detector_panels)
    if overlaps:
        others = f" ({len(overlaps)} pairs of panels in all, the worst named)" if len(overlaps) > 1 else ""
        yield (f"panels {overlaps[0].one} and {overlaps[0].other} overlap in space by {overlaps[0].pixels:.3g} pixels"
               f"{others}: their pixels there record the same photons")


def _beam_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Divergence and dispersion that come out otherwise than their settings suggest."""
    beam, sources = experiment.beam, plan.sources
    found: list[str] = []
    if sources.from_list:
        return found
    for name, axis, sweep in (("horizontal", "hdiv", sources.horizontal), ("vertical", "vdiv", sources.vertical)):
        span, step = getattr(beam, f"{axis}_range_mrad"), getattr(beam, f"{axis}_step_mrad")
        steps = getattr(beam, f"{axis}_steps") or 0
        if (steps > 1 or span or step) and sweep.count == 1:
            found.append(f"{name} divergence comes to nothing: a range, a step > 0 and two points at least are needed")
        if steps > 0 and span is None and not step:
            found.append(f"{name} divergence has steps but no range: 1 rad is used")
    if (beam.dispersion_steps or 0) > 1 and plan.sources.dispersion.count == 1:
        found.append("dispersion steps without a dispersion: one wavelength is used")
    return found


def _nanobragg_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Rules of nanoBragg.c that change the image and that physical semantics leaves out."""
    crystal, detector, sampling = experiment.crystal, experiment.detector, experiment.sampling
    found = []
    if crystal.cell is not None and crystal.a_matrix is None:
        error = crystal.angle_error_deg(plan.lattice)
        if error > _ANGLE_ERROR_DEG:
            found.append(f"nanoBragg makes cells with three oblique angles up to {error:.3g} deg off; "
                         "--semantics physical keeps the angles")
    if detector.pivot not in (None, plan.geometry.pivot):
        found.append(f"pivot {detector.pivot} is without effect: the {detector.convention} convention "
                     f"always pivots about the {plan.geometry.pivot}")
    if detector.pix0_m is not None:
        found.append("pix0_vector is without effect beyond selecting the custom convention; "
                     "--semantics physical places the detector by it")
    if detector.curved and abs(plan.geometry.beam[0]) < 0.5:
        found.append("the curved detector assumes a beam along x: with this convention the image lies "
                     "near two-theta 57 deg")
    if plan.first_cell_axes is not None or any(
            used != angle for used, angle in zip(carried_rotations(plan.phi_angles)[0], plan.phi_angles, strict=True)):
        found.append("the phi step at exactly 0 keeps the rotation of the step before it (the last one, for the first "
                     "step); a phi of 1e-9 deg or --semantics physical avoids that")
    weights = plan.sources.weight
    if plan.sources.from_list and not np.all(weights == weights[0]):
        found.append("source weights are ignored: every source counts the same; --semantics physical uses them")
    if sampling.water_um > 0.0:
        found.append("water is scaled by r_e^2 * fluence twice and divided by the number of steps"
                     + (f" (harmless at the default fluence but for the {plan.samples} steps)"
                        if plan.fluence == DEFAULT_FLUENCE else ""))
    sensors = _sensors(plan)
    if sampling.oversample_thick and any(sensor.thickness_m == 0.0 for sensor in sensors):
        found.append("oversample_thick without a sensor thickness multiplies by 0: the image will be zero")
    if sampling.oversample_polar and not experiment.beam.polarized:
        found.append("oversample_polar switches the polarization correction back on")
    if any(sensor.thickness_m > 0.0 and sensor.mu_per_m == 0.0 for sensor in sensors):
        found.append("a sensor thickness with an infinite attenuation depth absorbs nothing: the image will be zero")
    return found
