"""Predicted reflections of an image: position, photons and partiality of each, computed from the plan.

`specs/truth.md` defines each number.
"""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.crystallography.cell import cell_of_axes
from cubragg.crystallography.vectors import rotate_axis
from cubragg.engine.panel_loop import Progress, counted_on
from cubragg.engine.select import require_sampled
from cubragg.errors import BackendUnavailable, ConfigError, KernelBuildError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace
from cubragg.reflections.host_sums import HostSums
from cubragg.reflections.partiality import partiality
from cubragg.reflections.reflection_sums import NumpySums, ReflectionCodes, ReflectionSums, is_rotation
from cubragg.reflections.reflection_table import Flags, Orientation, ReflectionTable

#: Photons that a reflection needs to be listed.
MIN_PHOTONS = 1.0
_CUT_FRACTION = 0.01
_OVERLAP_FRACTION = 0.05


def require_reflection_sums(plan: Plan) -> None:
    """Raise if the photons of an image cannot be summed by reflection.

    Raises
    ------
    ConfigError
        For running products: they multiply preceding terms too, so that photons cannot be assigned to reflections.
    """
    for name in ("thick", "polar", "omega"):
        if getattr(plan.rules, f"running_{name}"):
            raise ConfigError(f"sampling.oversample_{name}", "a factor on the running sum of a pixel leaves photons "
                              "that cannot be assigned to reflections; omit it, or give --semantics physical")


def reflection_table(plan: Plan, *, min_photons: float = MIN_PHOTONS, threads: int | None = None, backend: str = "auto",
            progress: Progress | None = None) -> ReflectionTable:
    """Return the reflection table of an image.

    Parameters
    ----------
    plan
        From `make_plan`.
    min_photons
        Leave out reflections with fewer photons on their panel.
    threads
        CPU threads; all cores if ``None``.
    backend
        ``numpy``: NumPy. Otherwise the kernels compiled for the host, or NumPy without a C++ compiler.
    progress
        Called repeatedly with (finished pixels, all pixels).

    Raises
    ------
    ConfigError
        As `require_reflection_sums`.
    """
    require_reflection_sums(plan)
    require_sampled(plan)
    engine = _summing_engine(plan, backend)
    parts: list[dict[str, np.ndarray]] = []
    before, total = 0, sum(panel.pixel_count for panel in plan.panels)
    for panel in plan.panels:
        engine.set_panel(panel)
        sums = engine.panel_sums(threads, counted_on(progress, before, total))
        before += panel.pixel_count
        parts.append(_columns(plan, panel, engine.codes, sums, min_photons))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    order = np.argsort(-columns["photons"], kind="stable")
    return ReflectionTable(**{name: column[order] for name, column in columns.items()}, panels=plan.detector_panels,
                 orientation=orientation(plan), plan=plan, min_photons=min_photons)


def _summing_engine(plan: Plan, backend: str) -> HostSums | NumpySums:
    """Return the engine that sums photons by reflection: the host kernels, or NumPy if they are not available."""
    if backend != "numpy":
        try:
            return HostSums(plan)
        except (BackendUnavailable, KernelBuildError):
            pass  # NumPy computes the same sums, more slowly
    return NumpySums(plan)


def _columns(plan: Plan, panel: PanelPlan, codes: ReflectionCodes, sums: ReflectionSums, min_photons: float
             ) -> dict[str, np.ndarray]:
    """Return the columns of the reflections on one panel."""
    bright = (sums.values[:, 0] >= min_photons) & (sums.values[:, 0] > 0.0)
    code, values = sums.code[bright], sums.values[bright]
    photons = values[:, 0]
    fast, slow, phi, pixel_fast, pixel_slow, on_edge, foreign = (values[:, 1:] / photons[:, None]).T
    hkl, entering = codes.unpack(code)
    F = structure_factors(plan, hkl)
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
        "pixel_fast": pixel_fast, "pixel_slow": pixel_slow,
        "phi_deg": np.array([units.deg_from_rad(angle) for angle in phi.tolist()]), "photons": photons, "F": F,
        "partiality": partiality(plan, panel, hkl, F, phi, fast, slow, photons), "d_A": spacing, "flags": flags,
        "beam": sub.direction.T.copy(),
    }


def structure_factors(plan: Plan, hkl: np.ndarray) -> np.ndarray:
    """Return F [n] of integer indices [n, 3]."""
    factors = plan.factors
    F = np.full(len(hkl), factors.default_F)
    if factors.grid is not None:
        point = hkl - np.array(factors.origin)
        inside = np.all((point >= 0) & (point < factors.grid.shape), axis=1)
        F[inside] = factors.grid[tuple(point[inside].T)]
    return F


def orientation(plan: Plan) -> Orientation:
    """Return the orientation of the crystal of a plan."""
    lattice = plan.lattice
    axes, stars = (np.array(rows) for rows in ((lattice.a, lattice.b, lattice.c),
                                               (lattice.a_star, lattice.b_star, lattice.c_star)))
    angles = plan.phi_angles
    middle = angles[0] + (plan.phi.width / 2.0 if is_rotation(plan) else 0.0)
    mid = np.array([rotate_axis(tuple(row), plan.geometry.spindle, middle) for row in stars.tolist()])
    # In the standard setting the rows a, b, c are lower triangular, so that QR of the rotated axes gives U.
    q, r = np.linalg.qr(axes.T)
    signs = np.sign(np.diag(r))
    U, standard = q * signs, (r.T * signs)
    misset = lattice.misset_rad
    return Orientation(
        A=stars.T, A_mid=mid.T, U=U, B=np.linalg.inv(standard),
        cell=cell_of_axes(lattice.a, lattice.b, lattice.c),
        misset_deg=None if misset is None else tuple(units.deg_from_rad(angle) for angle in misset))
