"""Sums of an image by reflection that are made as it is rendered, for its reflection table and its labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from cubragg.engine.select import Engine
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.reflections.host_sums import HostSums
from cubragg.reflections.negligible_terms import negligible_in_pixel
from cubragg.reflections.panel_sums import (
    ImageSums,
    PanelSums,
    ReflectionCodes,
    ReflectionSums,
    add_up,
    all_of,
)
from cubragg.reflections.pixel_labels import FRACTION
from cubragg.reflections.reflection_sums import NumpySums

#: Photons of a reflection below which a table takes a pass of its own, where nothing else is asked for.
MIN_SUMMED = 1e-6


@dataclass(frozen=True)
class SumRequest:
    """What is summed by reflection as an image is rendered.

    Attributes
    ----------
    min_photons
        Photons of the faintest reflections that tables have.
    label_min
        Photons of the faintest reflections that labels have; ``None``: there are no labels.
    """

    min_photons: float = MIN_SUMMED
    label_min: float | None = None

    def engine(self, plan: Plan, backend: str, precision: str, cull: float | None) -> Engine | None:
        """Return an engine that renders and sums; ``None`` if sums need a pass of their own.

        They are computed in double precision and have all terms, and none of running products; `select.EngineMaker`.

        Raises
        ------
        BackendUnavailable, KernelBuildError
            As `PanelEngine`.
        """
        if precision != "double" or cull or plan.rules.running:
            return None
        least = None if self.label_min is None else self._least
        if backend == "numpy":
            return NumpySums(plan, least, self.min_photons)
        return HostSums(plan, cull, self.min_photons, least)

    def taken(self, engine: Engine) -> ImageSums | None:
        """Return the sums of the image that an engine has rendered; ``None`` if it makes none."""
        if not isinstance(engine, HostSums | NumpySums):
            return None
        parts: dict[int, list[PanelSums]] = defaultdict(list)
        for part in engine.take_sums():
            parts[part.number].append(part)
        return ImageSums(self.min_photons, {number: _added(found) for number, found in parts.items()})

    def _least(self, panel: PanelPlan) -> float:
        assert self.label_min is not None
        return negligible_in_pixel(panel, self.label_min, FRACTION)


def _added(parts: list[PanelSums]) -> PanelSums:
    """Return the sums of a panel over all parts of a plan, which have numberings of their own."""
    if len(parts) == 1:
        return parts[0]
    codes = ReflectionCodes(np.max([part.codes.reach for part in parts], axis=0))

    def renumbered(part: PanelSums, code: np.ndarray) -> np.ndarray:
        if np.array_equal(part.codes.reach, codes.reach):
            return code
        hkl, entering = part.codes.unpack(code)
        return codes.pack(np.ascontiguousarray(hkl.T), entering).astype(np.int64)

    kept = [part.kept._replace(code=renumbered(part, part.kept.code)) for part in parts]
    sums = [ReflectionSums(renumbered(part, part.sums.code), part.sums.values) for part in parts]
    return PanelSums(parts[0].number, codes, add_up(sums), max(part.least for part in parts), all_of(kept))
