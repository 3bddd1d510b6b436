"""Warnings about what the method analytic replaces by Gaussians. `specs/analytic.md`, section 1."""

from __future__ import annotations

import math

from cubragg import units
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.experiment import Experiment
from cubragg.plan.illumination import path_m
from cubragg.plan.plan import Plan
from cubragg.plan.spreads import CAP_SIGMA

#: Standard deviation of a flat range relative to its width, and of an ellipse relative to its width along an axis.
RANGE_SIGMA, ELLIPSE_SIGMA = 1.0 / math.sqrt(12.0), 0.25
#: Motion of the crystal within an image above which there is a warning [pixel].
_MOVED_PX = 0.5
#: Shapes whose squared amplitude has fringes.
_FRINGED = ("square", "round")


def divergence_sigmas(plan: Plan) -> tuple[float, float]:
    """Return the standard deviations of nanoBragg's ranges of divergence, along the polarization and across [rad]."""
    sources = plan.sources
    widths = sources.horizontal.width, sources.vertical.width
    per_width = ELLIPSE_SIGMA if sources.elliptical and all(widths) else RANGE_SIGMA
    return widths[0] * per_width, widths[1] * per_width


def analytic_warnings(crystal: Crystal, plan: Plan) -> list[str]:
    """Return the warnings, a sentence each."""
    found = []
    pixel = min(min(panel.pixel_mm) for panel in plan.detector_panels)
    moved = path_m(crystal, plan.phi.width) / units.m_from_mm(pixel)
    if moved > _MOVED_PX:
        found.append(f"the centre of the crystal moves by up to {moved:.2g} pixels within the image, and is rendered "
                     "where it is in the middle of the rotation range; narrower images or --method sampled follow it")
    if plan.crystal_shape in _FRINGED:
        found.append(f"the fringes of {plan.crystal_shape} blocks are left out: a spot is the Gaussian with their "
                     "height and integral; --crystal-shape gauss is a Gaussian itself")
    if plan.mosaic.spread_rad > 0.0:
        sigma = units.deg_from_rad(CAP_SIGMA * plan.mosaic.spread_rad)
        found.append("the mosaic spread, a cap, is rendered as a Gaussian with its second moments; --mosaicity "
                     f"{sigma:.4g} is the same")
    sources = plan.sources
    if sources.from_list:
        if len(sources.weight) > 1:
            found.append(f"the {len(sources.weight)} sources are rendered as a Gaussian with their mean and covariance")
        return found
    if any(divergence_sigmas(plan)):
        mrad = " ".join(f"{1000.0 * sigma:.4g}" for sigma in divergence_sigmas(plan))
        found.append("the range of divergence is rendered as a Gaussian with its second moments; --beam-divergence "
                     f"{mrad} is the same")
    if sources.dispersion.width > 0.0:
        found.append("the range of wavelengths is rendered as a Gaussian with its second moments; --bandwidth "
                     f"{RANGE_SIGMA * sources.dispersion.width:.4g} is the same")
    return found


def settings_without_effect(experiment: Experiment) -> list[str]:
    """Return the settings of an experiment that the method analytic ignores, because it does not sample."""
    goniometer, crystal, beam, sampling = (experiment.goniometer, experiment.crystal, experiment.beam,
                                           experiment.sampling)
    given = {
        "spindle steps": goniometer.phi_steps is not None or goniometer.phi_step_deg is not None,
        "mosaic domains": crystal.mosaic_domains is not None,
        "steps of divergence": any((beam.hdiv_steps, beam.vdiv_steps, beam.hdiv_step_mrad, beam.vdiv_step_mrad)),
        "steps of dispersion": bool(beam.dispersion_steps),
        "interpolation of structure factors": bool(sampling.interpolate),
    }
    return [name for name, is_given in given.items() if is_given]
