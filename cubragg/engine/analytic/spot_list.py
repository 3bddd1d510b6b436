"""The spots of a whole image, from NumPy or from host-compiled kernels. `specs/analytic.md`, section 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from cubragg.engine.analytic.compiled_spots import spots_by_kernels
from cubragg.engine.analytic.model_of_plan import model_of
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.passing import Passing, passing_of
from cubragg.engine.analytic.spots import spots_by_numpy
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.plan.plan import Plan


@dataclass(eq=False)
class _Found:
    """What is known of a plan: its segments by channel, and its spots by whether they are NumPy's."""

    passing: list[Passing] = field(default_factory=list)
    panels: dict[bool, list[PanelSpots]] = field(default_factory=dict)


#: Segments and spots by plan, for as long as the plan exists: an image and its reflection table have the same.
_FOUND: WeakKeyDictionary[Plan, _Found] = WeakKeyDictionary()


class SpotList:
    """The spots of a plan, computed when they are first used.

    Parameters
    ----------
    plan
        From `make_plan`.
    backend
        ``numpy``, or another one: the host kernels, or NumPy without a compiler.

    Attributes
    ----------
    plan, model
        The plan, and its distributions.

    Raises
    ------
    ConfigError
        As `model_of`.
    """

    def __init__(self, plan: Plan, backend: str = "auto") -> None:
        self.plan, self.model = plan, model_of(plan)
        self._by_numpy = backend == "numpy"

    @property
    def passing(self) -> list[Passing]:
        """The segments that each channel of the beam lights."""
        found = _FOUND.setdefault(self.plan, _Found())
        if not found.passing:
            found.passing = [passing_of(self.plan, self.model, channel) for channel in self.model.channels]
        return found.passing

    @property
    def panels(self) -> list[PanelSpots]:
        """The spots on each panel of the plan, computed on one thread."""
        return self.on_panels(1)

    def on_panels(self, threads: int) -> list[PanelSpots]:
        """Return the spots on each panel of the plan; ``threads`` compute them."""
        passing = self.passing
        panels = _FOUND[self.plan].panels
        if self._by_numpy not in panels:
            panels[self._by_numpy] = self._computed(passing, threads)
        return panels[self._by_numpy]

    def _computed(self, passing: list[Passing], threads: int) -> list[PanelSpots]:
        if not self._by_numpy:
            try:
                return spots_by_kernels(self.plan, self.model, passing, threads)
            except (BackendUnavailable, KernelBuildError):
                pass  # NumPy computes the same spots, more slowly
        return spots_by_numpy(self.plan, self.model, passing)
