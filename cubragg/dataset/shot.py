"""A shot of a data set: image, counts, reflections and parameters, rendered when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cubragg.dataset.parameters import CrystalShot
from cubragg.engine.select import Backend, Method, Precision
from cubragg.experiment.background_settings import Background
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.plan.plan import Plan, make_plan
from cubragg.run.render import simulate
from cubragg.run.simulated_image import SimulatedImage

if TYPE_CHECKING:
    import pandas as pd

    from cubragg.reflections.reflection_table import ReflectionTable

#: Method of sweeps and stills where none is given.
METHOD: Method = "sampled"
#: Resolution per dose at which intensities are halved, 10 MGy/A (M. R. Howells et al., J. Electron Spectrosc. 170, 4,
#: 2009).
HOWELLS_MGY_PER_A = 10.0


@dataclass(frozen=True)
class Rendering:
    """How shots are rendered: the keywords of `cubragg.simulate`."""

    backend: Backend = "auto"
    precision: Precision = "auto"
    device: int = 0
    threads: int | None = None
    method: Method = METHOD
    cull: float | None = 0.0

    def image(self, crystal: CrystalShot) -> SimulatedImage:
        """Render one crystal."""
        experiment = crystal.experiment
        if crystal.dose_MGy > 0.0:
            experiment = replace(experiment, structure_factors=damaged(experiment, crystal.dose_MGy))
        plan = with_decay(make_plan(experiment), crystal.decay)
        return simulate(experiment, backend=self.backend, precision=self.precision, device=self.device,
                        threads=self.threads, method=self.method, cull=self.cull, plan=plan)


def with_decay(plan: Plan, factor: float) -> Plan:
    """The plan with the photons of the crystal multiplied by a factor."""
    if factor == 1.0:
        return plan
    lit = plan.illumination
    return replace(plan, illumination=lit._replace(blocks=lit.blocks * factor))


def damaged(experiment: Experiment, dose_MGy: float) -> StructureFactors:
    """Structure factors after a dose [MGy]: intensities times exp(-ln 2 dose / (10 MGy/A d)); `specs/data-sets.md`."""
    factors = experiment.structure_factors
    assert factors.grid is not None, "with_values refuses a dose without a list"
    lattice = experiment.crystal.lattice(experiment.semantics)
    stars = np.array((lattice.a_star, lattice.b_star, lattice.c_star))
    indices = [np.arange(start, start + count, dtype=np.float64)
               for start, count in zip(factors.origin, factors.grid.shape, strict=True)]
    h, k, l = np.meshgrid(*indices, indexing="ij", sparse=True)  # noqa: E741
    squared = sum((h * stars[0, axis] + k * stars[1, axis] + l * stars[2, axis]) ** 2 for axis in range(3))
    per_d = np.sqrt(squared)
    return replace(factors, grid=factors.grid * np.exp(-0.5 * np.log(2.0) * dose_MGy / HOWELLS_MGY_PER_A * per_d))


@dataclass(frozen=True, eq=False)
class ShotReflections:
    """The reflections of a shot, of one table for each crystal.

    Attributes
    ----------
    tables
        `ReflectionTable` of each crystal, brightest reflection first.
    """

    tables: tuple[ReflectionTable, ...]

    def __len__(self) -> int:
        return sum(len(one) for one in self.tables)

    def __repr__(self) -> str:
        return (f"<cubragg reflections of a shot: {len(self)} of {len(self.tables)} crystals, "
                f"{self.photons.sum():.4g} photons>")

    def _column(self, name: str, width: tuple[int, ...] = ()) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in self.tables]) if self.tables else np.zeros((0, *width))

    @property
    def crystal(self) -> np.ndarray:
        """Number of the crystal of each reflection, int64 [n]."""
        return np.repeat(np.arange(len(self.tables)), [len(one) for one in self.tables])

    @property
    def hkl(self) -> np.ndarray:
        """Indices, int64 [n, 3]."""
        return self._column("hkl", (3,)).astype(np.int64)

    @property
    def photons(self) -> np.ndarray:
        """Expected photons, float64 [n]."""
        return self._column("photons")

    @property
    def image_px(self) -> tuple[np.ndarray, np.ndarray]:
        """Centroids in the image, fast and slow [pixel]."""
        if not self.tables:
            return np.zeros(0), np.zeros(0)
        fast, slow = zip(*(one.image_px for one in self.tables), strict=True)
        return np.concatenate(fast), np.concatenate(slow)

    def as_dict(self) -> dict[str, np.ndarray]:
        """The columns of `ReflectionTable.as_dict`, and ``crystal``, [n] each; empty without a crystal."""
        parts = [one.as_dict() for one in self.tables]
        if not parts:
            return {"crystal": np.zeros(0, dtype=np.int64)}
        return {"crystal": self.crystal, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}}

    def to_pandas(self) -> pd.DataFrame:
        """The columns of `as_dict` as a data frame.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.as_dict())


class Shot:
    """A shot of a data set.

    Attributes
    ----------
    number
        Its number, from 0.
    parameters
        The parameters that vary: value by name; ``name#1`` is that of the second crystal, and ``crystals`` the number
        of crystals, if that varies.
    crystals
        The crystals; none in a blank shot.
    seed
        Seed of the data set.
    """

    def __init__(self, number: int, seed: int, base: Experiment, crystals: tuple[CrystalShot, ...],
                 parameters: Mapping[str, Any], rendering: Rendering) -> None:
        self.number, self.seed, self.crystals, self.parameters = number, seed, crystals, dict(parameters)
        self._base, self._rendering = base, rendering

    def __repr__(self) -> str:
        return f"<cubragg shot {self.number}: {len(self.crystals)} crystals, {self.parameters}>"

    @cached_property
    def _images(self) -> tuple[SimulatedImage, ...]:
        """An image for each crystal, each with the photons of all; one of the background for a blank shot."""
        if not self.crystals:
            return (replace(self._rendering.image(CrystalShot(self._base, 0.0, 0.0)), shot=self.number),)
        alone = [self._rendering.image(crystal if place == 0 else crystal._replace(
            experiment=replace(crystal.experiment, background=Background())))
            for place, crystal in enumerate(self.crystals)]
        photons = alone[0].photons
        for image in alone[1:]:
            photons += image.photons
        return tuple(replace(image, photons=photons, shot=self.number) for image in alone)

    @property
    def image(self) -> SimulatedImage:
        """The image of expected photons, with the experiment of the first crystal."""
        return self._images[0]

    @cached_property
    def counts(self) -> np.ndarray:
        """Photon counts, int32 [slow, fast]: `Image.counts` with the seed of the data set."""
        return self.image.counts(self.seed)

    @cached_property
    def reflections(self) -> ShotReflections:
        """The reflections with at least one expected photon."""
        return self.reflections_above(1.0)

    def reflections_above(self, min_photons: float) -> ShotReflections:
        """The reflections with at least ``min_photons`` expected photons."""
        images = self._images if self.crystals else ()
        return ShotReflections(tuple(image.reflections(min_photons) for image in images))
