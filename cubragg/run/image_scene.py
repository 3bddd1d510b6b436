"""Collects the metadata of image files from an experiment and its plan."""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.experiment.experiment import Experiment
from cubragg.io.files.timestamp import timestamp
from cubragg.io.images.image_panels import trusted_of
from cubragg.io.images.scene import Scene
from cubragg.plan.plan import Plan


def scene_of(experiment: Experiment, plan: Plan, counts_per_photon: float = 1.0) -> Scene:
    """Metadata of an image, or of the first image of a series, with the current time."""
    beam = experiment.beam
    cutoff = experiment.detector_response().count_cutoff
    live = np.ones(plan.shape, dtype=bool) if plan.mask is None else plan.mask
    return Scene(
        plan.detector_panels, plan.geometry, live, beam.wavelength_A, experiment.goniometer.phi_deg,
        units.deg_from_rad(plan.phi.width), beam.exposure_s, timestamp(), flux=beam.flux or None,
        beamsize_m=units.m_from_mm(beam.beamsize_mm) if beam.flux else None,
        kahn_factor=plan.kahn_factor if beam.polarized else None, counts_per_photon=counts_per_photon,
        trusted=trusted_of(plan.detector_panels) or (None if cutoff is None else (0.0, float(cutoff))),
        curved=experiment.detector.curved, axes=experiment.goniometer.axes, scan_axis=experiment.goniometer.scan_axis,
        channels=beam.channels())
