"""Stills: data sets whose shots are independent of one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from cubragg.dataset.distribution_functions import uniform
from cubragg.dataset.distribution_tables import distribution_of
from cubragg.dataset.distributions import Constant, Distribution
from cubragg.dataset.parameters import ORIENTATION, named_distributions
from cubragg.dataset.shot import METHOD, Rendering
from cubragg.dataset.stored_set import StoredDataSet
from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Backend, Method, Precision
from cubragg.experiment.experiment import Experiment

if TYPE_CHECKING:
    from cubragg.dataset.specification import Document


class Stills(StoredDataSet):
    """Stills of crystals, in random orientations unless the orientation varies otherwise.

    Parameters
    ----------
    experiment
        The experiment, in physical semantics.
    n
        Number of shots.
    seed
        Seed of everything that is random, 0 to 2^64 - 1.
    vary
        Distributions of parameters by name: fields of the experiment (``beam.wavelength_A``), or ``orientation``,
        ``cell``, ``distance_mm``, ``beam_centre_mm``, ``decay`` (a factor on the photons of the crystal), ``dose_MGy``.
    crystals
        Crystals in a shot: a number, or its distribution. Each has its own parameters of ``crystal``.
    blank
        Fraction of shots without a crystal.
    backend, precision, device, threads, method, cull, progress
        As for `cubragg.simulate`; ``progress`` of shots that are rendered one by one, not of those that are written.

    Raises
    ------
    ConfigError
        If the specification cannot be rendered, in whichever shot.
    """

    kind = "stills"

    def __init__(self, experiment: Experiment, n: int, *, seed: int = 0,
                 vary: Mapping[str, Distribution] | None = None, crystals: int | Distribution = 1, blank: float = 0.0,
                 backend: Backend = "auto", precision: Precision = "auto", device: int = 0, threads: int | None = None,
                 method: Method = METHOD, cull: float | None = 0.0, progress: Progress | None = None) -> None:
        vary = named_distributions(vary)
        if not {ORIENTATION, "orientation"} & set(vary) and not any(name.startswith("crystal.misset_deg")
                                                                    for name in vary):
            vary[ORIENTATION] = uniform()
        super().__init__(experiment, n, seed, vary, crystals, blank,
                         Rendering(backend, precision, device, threads, method, cull, progress))

    def own_settings(self) -> dict[str, Any]:
        """The crystals in a shot."""
        count = self.crystals.value if isinstance(self.crystals, Constant) else self.crystals.to_dict()
        return {"crystals": {"count": count, "blank": self.blank}}

    @classmethod
    def of_document(cls, document: Document) -> Self:
        """The stills of a specification."""
        crystals = document.section("crystals", ("count", "blank"))
        count = crystals.get("count", 1)
        return cls(document.experiment(), document.tables["shots"], blank=crystals.get("blank", 0.0),
                   crystals=count if isinstance(count, int) else distribution_of("crystals.count", count),
                   **document.keywords())
