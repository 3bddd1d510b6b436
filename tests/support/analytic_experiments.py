"""Experiments of the method analytic: a Gaussian block on 100 x 90 pixels, and what changes it."""

from __future__ import annotations

import numpy as np

from cubragg import Beam, Channel, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors


def factors() -> StructureFactors:
    """100 electrons everywhere but at 0 0 0, which the method leaves out."""
    grid = np.full((3, 3, 3), 100.0)
    grid[1, 1, 1] = 0.0
    return StructureFactors(100.0, grid, (-1, -1, -1))


def experiment(**sections) -> Experiment:
    """A Gaussian block of 20 x 18 x 15 cells with 0.3 deg mosaicity on 100 x 90 pixels; sections are changed."""
    base = {
        "crystal": {"cell": (50.0, 60.0, 70.0, 90.0, 95.0, 90.0), "misset_deg": (12.0, 34.0, 56.0),
                    "cells": (20, 18, 15), "shape": "gauss", "mosaicity_deg": 0.3},
        "beam": {"wavelength_A": 1.0, "fluence": 1e24, "kahn_factor": 0.9},
        "detector": {"distance_mm": 80.0, "pixel_size_mm": 0.2, "fast_pixels": 100, "slow_pixels": 90},
        "goniometer": {"phi_deg": 0.0, "osc_deg": 0.5},
        "sampling": {},
    }
    for name, values in sections.items():
        base[name] = {**base[name], **values}
    return Experiment(Crystal(**base["crystal"]), factors(), Beam(**base["beam"]), Detector(**base["detector"]),
                      Goniometer(**base["goniometer"]), Sampling(**base["sampling"]), "physical")


STILL = {"goniometer": {"osc_deg": None}}
VARIANTS = {
    "rotation": {}, "still": STILL,
    "large block": {"crystal": {"cells": (200, 150, 100), "mosaicity_deg": 0.05}},
    "wide": {"goniometer": {"osc_deg": 3.0}, "crystal": {"mosaicity_deg": (0.2, 1.0, 0.5)}},
    "narrow": {"goniometer": {"osc_deg": 0.002}},
    "beam": {"beam": {"divergence_mrad": (1.0, 3.0), "bandwidth": 0.004}, **STILL},
    "spectrum": {"beam": {"spectrum": (Channel(0.98, 2.0, 0.003), Channel(1.02, 1.0, 0.0))}},
    "sensor": {"detector": {"thickness_um": 450.0, "attenuation_um": 300.0, "thick_steps": 3, "rotx_deg": 20.0}},
    "plain factors": {"beam": {"polarized": False}, "detector": {"point_pixel": True}},
    "curved": {"detector": {"curved": True}},
    "whole crystal": {"crystal": {"size_mm": 0.1, "offset_mm": (0.02, -0.01, 0.03), "strain": 0.001}},
}
