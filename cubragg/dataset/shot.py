"""A shot of a data set: image, counts, reflections and parameters, rendered when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cubragg import checks
from cubragg.dataset.parameters import CrystalShot
from cubragg.detect.quantize import quantize
from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Backend, Method, Precision, Selection, select_backend
from cubragg.errors import ConfigError
from cubragg.experiment.background_settings import Background
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.plan.image_series import ImageSeries
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.reflections.image_sums import MIN_SUMMED, SumRequest
from cubragg.reflections.pixel_labels import Labels, labels_of
from cubragg.reflections.predict import empty_table, reflection_table
from cubragg.run.banded_rendering import bands_of, counts_as_rendered, counts_in_bands
from cubragg.run.detection import counts_of
from cubragg.run.render import simulate, with_background
from cubragg.run.simulated_image import SimulatedImage

if TYPE_CHECKING:
    import pandas as pd

    from cubragg.reflections.reflection_table import ReflectionTable

#: An experiment and its plan.
Planned = tuple[Experiment, Plan]
#: Method of sweeps and stills where none is given.
METHOD: Method = "analytic"
#: Resolution per dose at which intensities are halved, 10 MGy/A (M. R. Howells et al., J. Electron Spectrosc. 170, 4,
#: 2009).
HOWELLS_MGY_PER_A = 10.0


@dataclass(frozen=True)
class Rendering:
    """How shots are rendered: the keywords of `cubragg.simulate`, and the series that the images of a data set are."""

    backend: Backend = "auto"
    precision: Precision = "auto"
    device: int = 0
    threads: int | None = None
    method: Method = METHOD
    cull: float | None = 0.0
    progress: Progress | None = field(default=None, compare=False, repr=False)
    series: ImageSeries = field(default_factory=ImageSeries, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """The keywords without ``progress``: workers that write shots do not call it."""
        return {**vars(self), "progress": None}

    def planned(self, crystal: CrystalShot) -> Planned:
        """The experiment of one crystal without the background, and its plan."""
        experiment = crystal.experiment
        if crystal.dose_MGy > 0.0:
            experiment = replace(experiment, structure_factors=damaged(experiment, crystal.dose_MGy))
        plan = make_plan(experiment, self.method, self.series)
        return replace(experiment, background=Background()), with_decay(plan, crystal.decay)

    def crystal_image(self, planned: Planned, sums: SumRequest | None = None) -> SimulatedImage:
        """Render one crystal, without the background, with sums by reflection if they are asked for."""
        return simulate(planned[0], backend=self.backend, precision=self.precision, device=self.device,
                        threads=self.threads, method=self.method, cull=self.cull, progress=self.progress,
                        plan=planned[1], reflections=sums or False)

    def selected(self, plan: Plan) -> Selection:
        """Select the engine of a plan."""
        return select_backend(plan, self.backend, self.precision, self.device, self.cull)


def with_decay(plan: Plan, factor: float) -> Plan:
    """The plan with the photons of the crystal multiplied by a factor."""
    if factor == 1.0:
        return plan
    illumination = plan.illumination
    return replace(plan, illumination=illumination._replace(blocks=illumination.blocks * factor))


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
    blank
        Of a shot without a crystal one table without reflections, which has the columns.
    """

    tables: tuple[ReflectionTable, ...]
    blank: tuple[ReflectionTable, ...] = ()

    def __len__(self) -> int:
        return sum(len(one) for one in self.tables)

    def __repr__(self) -> str:
        crystals = f"{len(self.tables)} crystal{'' if len(self.tables) == 1 else 's'}"
        return f"<cubragg reflections of a shot: {len(self)} of {crystals}, {self.photons.sum():.4g} photons>"

    def _column(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in self.tables or self.blank])

    @property
    def crystal(self) -> np.ndarray:
        """Number of the crystal of each reflection, int64 [n]."""
        return np.repeat(np.arange(len(self.tables)), [len(one) for one in self.tables])

    @property
    def hkl(self) -> np.ndarray:
        """Indices, int64 [n, 3]."""
        return self._column("hkl")

    @property
    def photons(self) -> np.ndarray:
        """Expected photons, float64 [n]."""
        return self._column("photons")

    @property
    def image_px(self) -> tuple[np.ndarray, np.ndarray]:
        """Centroids in the image, fast and slow [pixel]."""
        fast, slow = zip(*(one.image_px for one in self.tables or self.blank), strict=True)
        return np.concatenate(fast), np.concatenate(slow)

    def as_dict(self) -> dict[str, np.ndarray]:
        """The columns of `ReflectionTable.as_dict`, and ``crystal``, [n] each; without a row in a blank shot."""
        parts = [one.as_dict() for one in self.tables or self.blank]
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
                 parameters: Mapping[str, Any], rendering: Rendering, coarse_background: bool) -> None:
        self.number, self.seed, self.crystals, self.parameters = number, seed, crystals, dict(parameters)
        self._base, self._rendering, self._coarse = base, rendering, coarse_background
        self._sums: SumRequest | None = None

    def __repr__(self) -> str:
        count = len(self.crystals)
        parameters = "".join(f", {name} {_shown(value)}" for name, value in self.parameters.items())
        return f"<cubragg shot {self.number}: {count} crystal{'' if count == 1 else 's'}{parameters}>"

    @cached_property
    def _planned(self) -> tuple[Planned, ...]:
        """The experiment of each crystal, without background, and its plan; of a blank shot one without photons."""
        crystals = self.crystals or (CrystalShot(self._base, 0.0, 0.0),)
        try:
            return tuple(self._rendering.planned(crystal) for crystal in crystals)
        except ConfigError as error:
            raise ConfigError(f"shot {self.number}, {error.where}", error.what) from None

    @cached_property
    def _crystal_images(self) -> tuple[SimulatedImage, ...]:
        """An image of each crystal, without background; of a blank shot one without photons."""
        sums = self._sums if self.crystals else None
        return tuple(self._rendering.crystal_image(planned, sums) for planned in self._planned)

    @property
    def plan(self) -> Plan:
        """The plan of the first crystal."""
        return self._planned[0][1]

    @property
    def experiment(self) -> Experiment:
        """The experiment of the first crystal, with the background of the shot."""
        return replace(self._planned[0][0], background=self._base.background)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plan of each crystal; none of a blank shot."""
        return tuple(plan for _, plan in self._planned) if self.crystals else ()

    def render(self, sums: SumRequest | None = None) -> None:
        """Render the crystals, if reflections or the image need their photons, with sums for reflections and labels."""
        if sums is not None:
            self._sums = sums
        _ = self._crystal_images

    @cached_property
    def image(self) -> SimulatedImage:
        """The image of expected photons, with the experiment of the first crystal."""
        first = self._crystal_images[0]
        photons = first.photons.copy()
        for other in self._crystal_images[1:]:
            photons += other.photons
        return replace(first, experiment=self.experiment, shot=self.number, photons=with_background(
            self.experiment, self.plan, photons, coarse=self._coarse))

    def photons_near(self, fast_px: np.ndarray, slow_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected photons [n] of the image, and of its background, in the pixels of positions in the image [pixel]."""
        total = self.image.on_host
        fast, slow = (np.clip(np.floor(places).astype(int), 0, edge - 1)
                      for places, edge in zip((fast_px, slow_px), total.shape[::-1], strict=True))
        crystals = sum((image.on_host[slow, fast].astype(np.float64) for image in self._crystal_images),
                       np.zeros(len(fast)))
        peak = total[slow, fast].astype(np.float64)
        return peak, np.maximum(peak - crystals, 0.0)

    def drawn_counts(self) -> np.ndarray:
        """Counts of the detector [slow, fast], int32, or float64 where they may exceed 2^31 - 1.

        Photons that have not been asked for are counted in bands of rows or by the kernels of a GPU, where that is
        possible, and not kept.
        """
        counts = None if "image" in vars(self) else self._counts_without_image()
        if counts is not None:
            return counts
        image = self.image
        return counts_of(image.photons, image.experiment, image.plan, seed=self.seed, shot=self.number,
                         threads=self._rendering.threads, backend="numpy" if image.backend == "numpy" else "auto")

    def _counts_without_image(self) -> np.ndarray | None:
        """Counts of the crystals' images, or as they are rendered; ``None`` where that is not possible."""
        threads = self._rendering.threads
        if "_crystal_images" not in vars(self) and len(self._planned) == 1:
            return counts_as_rendered(self.experiment, self.plan, self._rendering.selected(self.plan).engine,
                                      seed=self.seed, shot=self.number, threads=threads, coarse=self._coarse)
        if any(image.backend == "numpy" for image in self._crystal_images):
            return None
        bands = bands_of([image.photons for image in self._crystal_images])
        return counts_in_bands(self.experiment, self.plan, bands, seed=self.seed, shot=self.number, threads=threads,
                               coarse=self._coarse)

    @cached_property
    def counts(self) -> np.ndarray:
        """Photon counts, int32 [slow, fast]: `Image.counts` with the seed of the data set."""
        drawn = self.drawn_counts()
        return drawn if drawn.dtype == np.int32 else quantize(drawn, np.int32)

    @cached_property
    def reflections(self) -> ShotReflections:
        """The reflections with at least one expected photon."""
        return self.reflections_above(1.0)

    def labels(self, min_photons: float = 10.0) -> Labels:
        """The pixels of each of the `reflections`; those with fewer expected photons get none.

        Raises
        ------
        ConfigError
            For a number of photons below 0.
        """
        checks.number("min_photons", "the number of photons", min_photons, "photons", at_least=0.0)
        self._sums = self._sums or SumRequest(label_min=min_photons)
        return self.labels_of(self.reflections, min_photons)

    def labels_of(self, reflections: ShotReflections, min_photons: float) -> Labels:
        """The pixels of each of the reflections of this shot, as `labels`."""
        images = self._crystal_images if self.crystals else ()
        return labels_of(reflections.tables, self.plan.shape, min_photons, self._rendering.threads,
                         images[0].backend if images else "auto", [_all_terms(image) for image in images],
                         [image.sums for image in images])

    def reflections_above(self, min_photons: float) -> ShotReflections:
        """The reflections with at least ``min_photons`` expected photons."""
        self._sums = self._sums or SumRequest(min(MIN_SUMMED, min_photons))
        images = self._crystal_images if self.crystals else ()
        tables = tuple(reflection_table(
            image.plan, min_photons=min_photons, backend=image.backend, threads=self._rendering.threads,
            photons=_all_terms(image), sums=image.sums) for image in images)
        return ShotReflections(tables, () if tables else (empty_table(self.plan, min_photons),))


def _shown(value: Any) -> str:
    """A value of a parameter with a few digits; an array by its shape."""
    if isinstance(value, np.ndarray):
        return f"{' x '.join(map(str, value.shape))} numbers"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def _all_terms(image: SimulatedImage) -> np.ndarray | None:
    """The photons of an image; ``None`` if terms were left out."""
    return None if image.culling.tolerance else image.on_host
