"""Small experiments that tests render."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Panel, Sampling, Source, StructureFactors


def small_experiment(**sections) -> Experiment:
    """A 24 x 20 pixel experiment; keyword arguments replace settings section by section."""
    base = {
        "crystal": {"cell": (50.0, 60.0, 70.0, 90.0, 90.0, 90.0), "misset_deg": (12.0, 34.0, 56.0), "cells": (5, 4, 3)},
        "structure_factors": {"default_F": 100.0},
        "beam": {"wavelength_A": 1.5},
        "detector": {"pixel_size_mm": 0.5, "fast_pixels": 24, "slow_pixels": 20, "distance_mm": 60.0},
        "goniometer": {},
        "sampling": {"oversample": 1},
    }
    for name, values in sections.items():
        if name != "semantics":
            base[name] = {**base[name], **values}
    return Experiment(Crystal(**base["crystal"]), StructureFactors(**base["structure_factors"]), Beam(**base["beam"]),
                      Detector(**base["detector"]), Goniometer(**base["goniometer"]), Sampling(**base["sampling"]),
                      sections.get("semantics", "nanobragg"))


def large(**sections) -> Experiment:
    """150 x 70 pixels: tiles in both directions, those at the edges cut."""
    detector = {"fast_pixels": 150, "slow_pixels": 70, "pixel_size_mm": 0.2, **sections.pop("detector", {})}
    return small_experiment(detector=detector, **sections)


@dataclasses.dataclass(frozen=True, eq=False)
class Hung:
    """A panel as it hangs in a detector's frame: its corner [mm] from the frame's own corner, and the directions of its
    axes, along the frame's fast, slow and normal."""

    fast_pixels: int
    slow_pixels: int
    pixel_fast_mm: float
    pixel_slow_mm: float
    origin_mm: tuple = (0.0, 0.0, 0.0)
    fast: tuple = (1.0, 0.0, 0.0)
    slow: tuple = (0.0, 1.0, 0.0)
    offset: tuple = (0, 0)
    name: str = ""
    thickness_um: float | None = None
    attenuation_um: float | None = None
    material: str = ""
    mask: np.ndarray | None = None
    trusted: tuple | None = None

    @property
    def window(self):
        """Where it is in the image: slow, fast."""
        fast, slow = self.offset
        return slice(slow, slow + self.slow_pixels), slice(fast, fast + self.fast_pixels)

    def placed(self, frame) -> Panel:
        """The panel in the laboratory of a detector's frame."""
        across = np.cross(frame.fast, frame.slow)
        axes = np.array([frame.fast, frame.slow, across * np.sign(across @ np.array(frame.normal))])
        origin = 1000.0 * np.array(frame.pix0) + np.array(self.origin_mm) @ axes
        fast, slow = (edge * np.array(axis) / np.linalg.norm(axis) @ axes for edge, axis in (
            (self.pixel_fast_mm, self.fast), (self.pixel_slow_mm, self.slow)))
        return Panel(self.fast_pixels, self.slow_pixels, *(tuple(x.tolist()) for x in (origin, fast, slow)),
                     self.offset, self.name, self.thickness_um, self.attenuation_um, self.material, self.mask,
                     self.trusted)


def hung(detector: Detector, panels, semantics: str = "nanobragg", **changes) -> Detector:
    """A detector of panels that hang in the frame of another one, with what else is of that."""
    frame = detector.placed(semantics=semantics).frame
    kept = {name: getattr(detector, name) for name in ("convention", "point_pixel", "thickness_um", "attenuation_um",
                                                       "thick_steps")}
    return Detector(**{**kept, "panels": tuple(panel.placed(frame) for panel in panels), **changes})


def hang(experiment: Experiment, panels, **changes) -> Experiment:
    """The experiment with panels that hang in its detector's frame in place of the detector's pixels."""
    return dataclasses.replace(experiment, detector=hung(experiment.detector, panels, experiment.semantics, **changes))


def random_grid(rng: np.random.Generator, reach: int) -> StructureFactors:
    """Random amplitudes for all indices up to ``reach``."""
    side = 2 * reach + 1
    return StructureFactors(10.0, rng.uniform(0.0, 300.0, (side, side, side)), (-reach,) * 3)


def random_experiment(seed: int, semantics: str = "nanobragg") -> Experiment:
    """Anything that an experiment can be, small: all shapes, conventions, sweeps, sources, corrections."""
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    maybe = lambda value, chance=0.5: value if rng.random() < chance else None  # noqa: E731
    shape = rng.choice(["square", "square", "round", "gauss", "tophat"])
    if shape == "gauss" and semantics == "physical" and seed % 4 == 1:
        shape = "gauss_star"
    cell = (rng.uniform(20, 90), rng.uniform(20, 90), rng.uniform(20, 90),
            rng.uniform(75, 105), rng.uniform(75, 105), rng.uniform(75, 105))
    crystal = Crystal(
        cell=cell, misset_deg=tuple(rng.uniform(-180, 180) for _ in range(3)),
        cells=tuple(rng.choice([1, 2, 3, 5, 8]) for _ in range(3)), shape=shape, fudge=rng.choice([1.0, 0.6, 1.7]),
        mosaic_spread_deg=maybe(rng.uniform(0.1, 3.0)), mosaic_domains=rng.choice([1, 2, 4]),
        mosaic_seed=rng.randrange(1, 10**6))
    beam = Beam(
        wavelength_A=rng.uniform(0.8, 3.0), fluence=rng.choice([1e24, 1.2e29]), polarized=rng.random() < 0.8,
        kahn_factor=rng.choice([0.0, 0.9, -0.5]), hdiv_range_mrad=maybe(rng.uniform(0.1, 5.0), 0.3),
        vdiv_range_mrad=maybe(rng.uniform(0.1, 5.0), 0.3), hdiv_steps=maybe(3, 0.3), vdiv_steps=maybe(2, 0.3),
        round_divergence=rng.random() < 0.5, dispersion_percent=rng.choice([0.0, 0.0, 1.5]),
        dispersion_steps=maybe(3, 0.3),
        sources=rng.choice([(), (), (Source((-10.0, 0.01, 0.02), 2.0, None), Source((None, 0.03, None), 1.0, 1.1e-10)),
                            ]))
    thick = rng.random() < 0.3
    detector = Detector(
        convention=rng.choice(["mosflm", "denzo", "adxv", "xds", "dials", "custom"]),
        pixel_size_mm=rng.uniform(0.2, 2.0),
        fast_pixels=rng.randrange(3, 14), slow_pixels=rng.randrange(3, 14), distance_mm=rng.uniform(20.0, 200.0),
        rotx_deg=rng.choice([0.0, rng.uniform(-30, 30)]), roty_deg=rng.choice([0.0, rng.uniform(-30, 30)]),
        rotz_deg=rng.choice([0.0, rng.uniform(-30, 30)]), twotheta_deg=rng.choice([0.0, rng.uniform(-30, 30)]),
        curved=rng.random() < 0.15, point_pixel=rng.random() < 0.2, thickness_um=rng.uniform(50, 500) if thick else 0.0,
        attenuation_um=rng.uniform(50, 500) if thick else None, thick_steps=3 if thick else None)
    goniometer = Goniometer(rng.choice([0.0, -1.0, 12.5]), maybe(2.0), None, maybe(rng.choice([1, 2, 4])))
    mask = numbers.random((detector.slow_pixels, detector.fast_pixels)) < 0.8 if rng.random() < 0.2 else None
    sampling = Sampling(
        oversample=rng.choice([1, 1, 2, 3]), oversample_thick=thick and rng.random() < 0.2,
        oversample_polar=rng.random() < 0.1, oversample_omega=rng.random() < 0.1, mask=mask,
        roi=maybe((1, detector.fast_pixels - 1, 0, detector.slow_pixels - 2), 0.2),
        dmin_A=rng.choice([0.0, 0.0, rng.uniform(1.0, 8.0)]), interpolate=rng.choice([None, True, False]),
        water_um=rng.choice([0.0, 0.0, 0.5]))
    factors = random_grid(numbers, rng.choice([2, 6, 40])) if rng.random() < 0.5 else StructureFactors(100.0)
    return Experiment(crystal, factors, beam, detector, goniometer, sampling, semantics)
