"""The distributions of a plan as Gaussians, and what the analytic method refuses. `specs/analytic.md`, section 1."""

from __future__ import annotations

import math

import numpy as np

from cubragg import units
from cubragg.engine.analytic.spot_model import (
    LEAST_CELLS,
    Channel,
    SpotModel,
    channel_of,
    gaussian_block,
    mosaic_covariance,
    spread_channel,
)
from cubragg.errors import ConfigError
from cubragg.plan.analytic_warnings import RANGE_SIGMA, divergence_sigmas
from cubragg.plan.plan import Plan

#: Largest standard deviation of the relative wavelength of a channel for which the method holds its limits.
MOST_BANDWIDTH = 0.02
#: Least area in y and z of the square between the axes of a curved detector.
_LEAST_AREA = 0.01
#: Shapes with a Gaussian of their height and integral.
_SHAPES = ("gauss", "gauss_star", "square", "round")


def require_analytic(plan: Plan) -> None:
    """Check that the analytic method can render a plan.

    Raises
    ------
    ConfigError
        For nanobragg semantics, a shape without a Gaussian, too few cells, and a curved detector with its pixels on a
        line.
    """
    if not plan.rules.per_sample:
        raise ConfigError("method", "got analytic in nanobragg semantics; --method analytic needs --semantics physical")
    if plan.crystal_shape not in _SHAPES:
        raise ConfigError("crystal.shape", f"got {plan.crystal_shape} with the method analytic, which needs spots that "
                          f"fall off as a Gaussian; give {', '.join(_SHAPES)}, or --method sampled")
    if min(plan.cells) < LEAST_CELLS:
        cells = " x ".join(f"{count:g}" for count in plan.cells)
        raise ConfigError("crystal.cells", f"got {cells} cells with the method analytic, which needs at least "
                          f"{LEAST_CELLS} along each axis, because neighbouring spots overlap; give --block-size in um "
                          "or more cells (-N), or --method sampled")
    if plan.curved and any(abs(panel.fast[1] * panel.slow[2] - panel.fast[2] * panel.slow[1]) < _LEAST_AREA
                           for panel in plan.panels):
        raise ConfigError("detector.curved", "got a curved detector with a beam that is not along x, whose pixels are "
                          "on a line; the method analytic needs an area; give -mosflm, or flat panels")


def model_of(plan: Plan) -> SpotModel:
    """Return the distributions of a plan.

    Raises
    ------
    ConfigError
        As `require_analytic`, and for a channel of more than `MOST_BANDWIDTH`.
    """
    require_analytic(plan)
    block, integral = gaussian_block(plan.crystal_shape, plan.block)
    stars = plan.block.stars
    channels = channels_of(plan)
    for channel in channels:
        bandwidth = math.sqrt(channel.covariance[0, 0])
        if bandwidth > MOST_BANDWIDTH * (1.0 + 1e-9):
            raise ConfigError("beam.dispersion_percent", f"got wavelengths with a relative standard deviation of "
                              f"{100.0 * bandwidth:.3g} %, where the method analytic renders at most "
                              f"{100.0 * MOST_BANDWIDTH:g} % in a channel; give several channels "
                              "(--spectrum), or --method sampled")
    centre = plan.illumination
    return SpotModel(stars=stars, block=block, integral=integral,
                     mosaicity=mosaic_covariance(plan.spreads.mosaicity, plan.spreads.frame),
                     strain=plan.spreads.strain,
                     centre=np.array(centre.position), position=centre.covariance, channels=channels,
                     spindle=np.array(plan.geometry.spindle), start=plan.phi_start, width=plan.phi.width)


def channels_of(plan: Plan) -> tuple[Channel, ...]:
    """Return the channels of the beam: nanoBragg's ranges and lists of sources by their second moments."""
    sources, spreads = plan.sources, plan.spreads
    if sources.from_list:
        return (channel_of(sources.incident, sources.wavelength_m / units.ANGSTROM_M, sources.weight),)
    axes = np.array(plan.geometry.polar), np.array(plan.geometry.vert)
    divergence = tuple((math.hypot(of_range, sigma), axis) for of_range, sigma, axis in zip(
        divergence_sigmas(plan), spreads.divergence, axes, strict=True))
    dispersion = RANGE_SIGMA * sources.dispersion.width
    incident = np.array(plan.geometry.beam)
    return tuple(spread_channel(incident, line.wavelength / units.ANGSTROM_M, line.fraction,
                                math.hypot(dispersion, line.bandwidth), divergence) for line in spreads.channels)
