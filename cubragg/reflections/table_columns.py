"""Columns of a reflection table from the sums of reflections on one panel. `specs/truth.md`"""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace
from cubragg.reflections.reflection_table import Flags

_CUT_FRACTION = 0.01
_OVERLAP_FRACTION = 0.05


def empty_columns(analytic: bool) -> dict[str, np.ndarray]:
    """Return the columns of a table without reflections; of the method analytic with standard deviations."""
    numbers = ["fast_px", "slow_px", "fast_mm", "slow_mm", "pixel_fast", "pixel_slow", "phi_deg", "photons", "F",
               "partiality", "d_A", *(["fast_sigma_px", "slow_sigma_px", "phi_sigma_deg"] if analytic else [])]
    return {"hkl": np.zeros((0, 3), dtype=np.int64), "beam": np.zeros((0, 3)),
            **{name: np.zeros(0, dtype=np.int64) for name in ("panel", "flags")},
            **{name: np.zeros(0) for name in numbers}}


def panel_columns(plan: Plan, panel: PanelPlan, hkl: np.ndarray, entering: np.ndarray, values: np.ndarray
                  ) -> dict[str, np.ndarray]:
    """Return the columns of the reflections on one panel but the partiality, and their spindle angle ``phi_rad``.

    Parameters
    ----------
    hkl, entering
        int64 [n, 3], and bool [n].
    values
        float64 [n, SUMS], as in `ReflectionSums`; photons > 0.
    """
    photons = values[:, 0]
    fast, slow, phi, pixel_fast, pixel_slow, on_edge, foreign = (values[:, 1:] / photons[:, None]).T
    stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
    with np.errstate(divide="ignore"):
        spacing = 1.0 / np.linalg.norm(hkl @ stars, axis=1)
    flags = (Flags.OVERLAP * (foreign > _OVERLAP_FRACTION) + Flags.CUT * (on_edge > _CUT_FRACTION)
             + Flags.DIRECT_BEAM * ~hkl.any(axis=1) + Flags.ENTERING * entering).astype(np.int64)
    sub = SubPixels(plan, panel, fast - 0.5 / plan.oversample, slow - 0.5 / plan.oversample, 0, 0, 0,
                    Workspace(len(fast)))
    return {
        "hkl": hkl, "panel": np.full(len(hkl), panel.number), "fast_px": fast, "slow_px": slow,
        "fast_mm": fast * panel.edges[0] * 1000.0, "slow_mm": slow * panel.edges[1] * 1000.0,
        "pixel_fast": pixel_fast, "pixel_slow": pixel_slow, "phi_rad": phi,
        "phi_deg": np.array([units.deg_from_rad(angle) for angle in phi.tolist()]), "photons": photons,
        "F": plan.factors.at(hkl), "d_A": spacing, "flags": flags, "beam": sub.direction.T.copy(),
    }
