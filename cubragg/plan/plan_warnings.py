"""Warnings about settings that make the image differ from what the user may expect."""

from __future__ import annotations

import math

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.experiment.beam import DEFAULT_FLUENCE
from cubragg.experiment.catalog import find
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import overlaps_in_space
from cubragg.experiment.sensor import Sensor, attenuation_um, sensor_of
from cubragg.nanobragg.phi_zero import carried_rotations
from cubragg.plan.analytic_warnings import analytic_warnings
from cubragg.plan.plan import Plan

#: Error of a cell angle above which there is a warning.
_ANGLE_ERROR_DEG = 1e-3
#: Crystals with fewer coherent blocks are said to be smaller than one.
_PART_OF_A_BLOCK = 0.9
#: Deviates of dark pixels reach this many standard deviations in every image.
_SEEN_SIGMAS = 4.0
#: Relative error of the photons of a sensor above which there is a warning.
_SENSOR_ERROR = 0.01


def plan_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Return the warnings about an image, a sentence each."""
    found = []
    if plan.oversample < (_least_oversample(experiment, plan) if plan.rules.per_sample
                          else plan.recommended_oversample):
        found.append(f"oversample {plan.oversample} is too coarse for this crystal: the intensity varies within "
                     "a sub-pixel and photons may be wrong; "
                     f"-oversample {plan.recommended_oversample} resolves it")
    if plan.mosaic.defaulted and not plan.rules.per_sample:
        found.append(f"mosaic spread without a number of domains: {len(plan.mosaic.rotations)} domains are used; "
                     "-mosaic_domains sets their number")
    if plan.mosaic.collapsed and not any(plan.spreads.mosaicity):
        found.append(f"{experiment.crystal.mosaic_domains} mosaic domains without a spread: one domain is used; "
                     "-mosaic_spread sets the spread")
    depths_um = {1e6 / sensor.mu_per_m for sensor in _sensors(plan) if sensor.depth_defaulted}
    found += [f"sensor thickness without an attenuation depth: a depth of {depth:g} um, the thickness, is used; "
              "-detector_abs sets the depth"
              for depth in sorted(depths_um)]
    if plan.rules.per_sample and tuple(plan.cells) == (1, 1, 1):
        found.append("a coherent block of one unit cell, as without its size, has no Bragg spots; --block-size 1 (um, "
                     "of sweep and stills) or -N sets it")
    found += _overlap_warnings(plan)
    found += _beam_warnings(experiment, plan)
    found += _illumination_warnings(experiment, plan)
    found += _response_warnings(experiment)
    if plan.method == "analytic":
        return found + analytic_warnings(experiment.crystal, plan)
    found += filter(None, [SHAPES[plan.crystal_shape].warning(plan.block)])
    return found + ([] if plan.rules.per_sample else _nanobragg_warnings(experiment, plan))


def _least_oversample(experiment: Experiment, plan: Plan) -> int:
    """Return the number of sub-pixels below which spot sums are wrong: each a fringe wide."""
    if plan.method != "sampled":
        return 1
    return experiment.sampling.recommended_oversample(plan.lattice, plan.cells, plan.coarsest, plan.wavelength, 1.0)


def _sensors(plan: Plan) -> set[Sensor]:
    return {sensor_of(panel.thickness_um or 0.0, panel.attenuation_um) for panel in plan.detector_panels}


def _overlap_warnings(plan: Plan) -> list[str]:
    """Return a warning about placed panels that overlap: each is rendered as if the others were not there."""
    if any(panel.made_by is not None for panel in plan.detector_panels):
        return []
    overlaps = overlaps_in_space(plan.detector_panels)
    if not overlaps:
        return []
    largest = overlaps[0]
    others = f" (the largest overlap of {len(overlaps)} pairs)" if len(overlaps) > 1 else ""
    return [f"panels {largest.one} and {largest.other} overlap in space by {largest.pixels:.3g} pixels{others}: both "
            "record the same photons there"]


def _illumination_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Return the warnings about a crystal that is not in the beam, or smaller than its coherent block."""
    crystal, illumination = experiment.crystal, plan.illumination
    if crystal.size_mm is None:
        return []
    if not illumination.volume > 0.0:
        return ["no part of the crystal is in the beam; a smaller --crystal-offset or a larger beam (--beam-size, "
                "-beamsize) illuminates it"]
    if illumination.crystal_volume < _PART_OF_A_BLOCK * illumination.block_volume:
        part = illumination.crystal_volume / illumination.block_volume
        return [f"the crystal is {part:.3g} of a coherent block: its spots are as sharp as those of a whole block; a "
                "smaller --block-size avoids that"]
    return []


def _beam_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Return the warnings about settings of divergence and dispersion that have no effect or are defaulted."""
    beam, sources = experiment.beam, plan.sources
    found: list[str] = []
    if sources.from_list:
        return found
    for name, axis, sweep in (("horizontal", "hdiv", sources.horizontal), ("vertical", "vdiv", sources.vertical)):
        range_mrad, step = getattr(beam, f"{axis}_range_mrad"), getattr(beam, f"{axis}_step_mrad")
        steps = getattr(beam, f"{axis}_steps") or 0
        if (steps > 1 or range_mrad or step) and sweep.count == 1:
            found.append(f"{name} divergence has no effect: it needs a range, a step > 0 and at least two points")
        if steps > 0 and range_mrad is None and not step:
            found.append(f"{name} divergence has steps but no range: a range of 1 rad is used; -{axis}range sets it")
    if (beam.dispersion_steps or 0) > 1 and plan.sources.dispersion.count == 1:
        found.append("dispersion steps without a dispersion: one wavelength is used; -dispersion sets it")
    return found


def _response_warnings(experiment: Experiment) -> list[str]:
    """Return a warning about noise around a pedestal that is too low for it."""
    response = experiment.detector_response()
    readout = response.gain_stages[0][1] if response.gain_stages else response.readout_sigma
    noise = math.hypot(readout, response.pedestal_sigma) * response.gain
    if _SEEN_SIGMAS * noise <= response.pedestal + 0.5:
        return []
    return [f"noise of {noise:.3g} counts around a pedestal of {response.pedestal:g}: files store counts below 0 as 0, "
            f"which raises the mean of dark pixels; --response pedestal={math.ceil(_SEEN_SIGMAS * noise):d} keeps them"]


def _sensor_warnings(plan: Plan) -> list[str]:
    """Return the warnings about sensors whose layers each count with the absorption of the last one."""
    factors = {}
    for panel in plan.panels:
        layers = panel.layers
        absorbed = -math.expm1(-layers.thickness_m * layers.mu_per_m)
        if layers.thickness_m > 0.0 and absorbed > 0.0:
            front, back = ((layers.count - 1 + edge) * layers.step_m * layers.mu_per_m for edge in (0, 1))
            factors[layers] = layers.count * (math.exp(-front) - math.exp(-back)) / absorbed
    return [f"a sensor of {layers.thickness_m * 1e6:g} um in {layers.count} layers, each with the absorption of the "
            f"last one: photons are {factor:.3g} times those that it absorbs; --semantics physical weights each layer "
            "by its absorption" for layers, factor in factors.items() if abs(factor - 1.0) > _SENSOR_ERROR]


def _named_sensor_warnings(experiment: Experiment) -> list[str]:
    """Return a warning about the sensor of a named detector, which only settings of the sensor model."""
    detector = experiment.detector
    module = find("detector.model", detector.model).module if detector.model else None
    if module is None or module.sensor_um is None or detector.thickness_um > 0.0:
        return []
    depth = attenuation_um(module.material, experiment.beam.wavelength_A)
    if depth is None or not math.isfinite(depth):
        return []
    factor = -1.0 / math.expm1(-module.sensor_um / depth)
    return [f"the sensor of {detector.model}, {module.sensor_um:g} um of {module.material}, is not modelled: photons "
            f"are {factor:.3g} times those that it absorbs; --semantics physical -detector_thick {module.sensor_um:g} "
            f"-detector_abs {depth:.4g} models it"]


def _nanobragg_warnings(experiment: Experiment, plan: Plan) -> list[str]:
    """Return the warnings about deviations of nanoBragg.c from the textbook that affect this image."""
    crystal, detector, sampling = experiment.crystal, experiment.detector, experiment.sampling
    found = []
    if crystal.cell is not None and crystal.a_matrix is None:
        error = crystal.angle_error_deg(plan.lattice)
        if error > _ANGLE_ERROR_DEG:
            found.append(f"the cell has three oblique angles, which nanoBragg's formula changes by up to "
                         f"{error:.3g} deg; --semantics physical keeps them")
    if detector.pivot not in (None, plan.geometry.pivot):
        found.append(f"pivot {detector.pivot} has no effect: the {detector.convention} convention "
                     f"always pivots about the {plan.geometry.pivot}")
    if detector.pix0_m is not None:
        found.append("pix0_vector only selects the custom convention and does not place the detector; with "
                     "--semantics physical it does")
    if detector.curved and abs(plan.geometry.beam[0]) < 0.5:
        found.append("the curved detector assumes a beam along x: with this convention the image lies "
                     "near two-theta 57 deg")
    if plan.first_cell_axes is not None or any(
            used != angle for used, angle in zip(carried_rotations(plan.phi_angles)[0], plan.phi_angles, strict=True)):
        found.append("the phi step at exactly 0 deg is rendered with the rotation of the previous step (the last "
                     "one, for the first step); -phi 1e-9 or --semantics physical avoids that")
    weights = plan.sources.weight
    if plan.sources.from_list and not np.all(weights == weights[0]):
        # Floats of Python: a quotient beyond the largest of them is infinite, without a warning of NumPy.
        weakest, strongest = (float(weight / weights.mean()) for weight in (weights.min(), weights.max()))
        found.append("source weights are ignored and all sources weigh the same: the photons of a source are off by "
                     f"factors of {1.0 / strongest:.3g} to {1.0 / weakest if weakest > 0.0 else math.inf:.3g}; "
                     "--semantics physical uses the weights")
    if sampling.water_um > 0.0:
        too_much = units.THOMSON_CROSS_SECTION_M2 * plan.fluence / plan.samples
        found.append("the water background is multiplied by r_e^2 * fluence twice"
                     + (" (a factor of 1 at the default fluence)" if plan.fluence == DEFAULT_FLUENCE else "")
                     + f" and divided by the number of samples, {plan.samples}: it is {too_much:.3g} times that of "
                     "the water; --semantics physical scales it correctly")
    sensors = _sensors(plan)
    found += _sensor_warnings(plan) + _named_sensor_warnings(experiment)
    if sampling.oversample_thick and any(sensor.thickness_m == 0.0 for sensor in sensors):
        found.append("oversample_thick without a sensor thickness multiplies by 0: the image will be zero")
    if sampling.oversample_polar and not experiment.beam.polarized:
        found.append("oversample_polar switches the polarization correction back on")
    if any(sensor.thickness_m > 0.0 and sensor.mu_per_m == 0.0 for sensor in sensors):
        found.append("a sensor thickness with an infinite attenuation depth absorbs nothing: the image will be zero")
    return found
