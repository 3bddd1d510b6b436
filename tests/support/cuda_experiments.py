"""Experiments that use every rule that the host side of the CUDA engine has a part in."""

from __future__ import annotations

import dataclasses

import numpy as np

from cubragg import Experiment, Goniometer
from support.experiments import Hung, hung, random_grid, small_experiment


def tilted(mask: np.ndarray | None, gap: int = 2) -> tuple[Hung, ...]:
    """Three panels of different sizes, the first masked, and one that a region from row 2 on leaves out."""
    tilt = {"fast": (1.0, 0.05, 0.02), "slow": (-0.05, 1.0, 0.0)}
    return (Hung(16, 30, 1.0, 1.0, (0.3, 3.0, 1.0), offset=(0, 3), mask=None if mask is None else mask[20:50, :16],
                  **tilt), Hung(19 - gap, 50, 1.0, 0.5, (16.5 + gap, 3.0, 0.0), offset=(16 + gap, 3), name="b"),
            Hung(16, 20, 1.0, 1.0, (0.0, 33.0, 0.0), offset=(0, 33)),
            Hung(30, 2, 1.0, 1.0, (0.0, -3.0, 0.0), offset=(0, 0)))


def experiments() -> dict[str, Experiment]:
    """The experiments by name, of 37 x 53 pixels, the panels of 35 x 53."""
    rng = np.random.default_rng(3)
    detector = {"fast_pixels": 37, "slow_pixels": 53, "pixel_size_mm": 1.0}
    mask = rng.random((53, 37)) < 0.7
    mask[:9] = False
    zero_phi = Goniometer(0.0, 2.0, phi_steps=2)
    base = small_experiment(detector=detector)
    grid = dataclasses.replace(base, structure_factors=random_grid(rng, 3))
    return {
        "plain": base,
        "region": small_experiment(detector=detector, sampling={"roi": (5, 30, 11, 47)}),
        "mask and phi 0": dataclasses.replace(
            base, goniometer=zero_phi, sampling=dataclasses.replace(base.sampling, mask=mask)),
        "interpolation": dataclasses.replace(grid, goniometer=zero_phi, sampling=dataclasses.replace(
            base.sampling, interpolate=True)),
        "panels": dataclasses.replace(
            grid, goniometer=zero_phi, detector=hung(base.detector, tilted(mask)),
            sampling=dataclasses.replace(base.sampling, interpolate=True, roi=(0, 34, 2, 52))),
        "panels without a mask": dataclasses.replace(
            base, detector=hung(base.detector, tilted(None, gap=0))),
        "nearest": dataclasses.replace(grid, sampling=dataclasses.replace(base.sampling, interpolate=False)),
    }
