"""From an experiment and its plan to what image files hold besides pixels."""

from __future__ import annotations

from datetime import datetime

from cubragg import units
from cubragg.experiment.experiment import Experiment
from cubragg.io.images import image_panels
from cubragg.io.images.scene import Scene
from cubragg.plan.plan import Plan


def scene_of(experiment: Experiment, plan: Plan, counts_per_photon: float = 1.0) -> Scene:
    """The scene of an image, or of the first one of a series, made now."""
    beam, detector = experiment.beam, experiment.detector
    return Scene(
        image_panels.tiles_of(detector, plan.geometry), plan.geometry, image_panels.live(detector, plan.mask),
        beam.wavelength_A, experiment.goniometer.phi_deg,
        units.deg_from_rad(plan.phi.span), beam.exposure_s, datetime.now(), flux=beam.flux or None,
        beamsize_m=units.m_from_mm(beam.beamsize_mm) if beam.flux else None,
        kahn_factor=beam.kahn_factor if beam.polarized else None, counts_per_photon=counts_per_photon,
        trusted=image_panels.trusted_of(detector), curved=detector.curved)
