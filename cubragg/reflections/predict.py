"""Predicted reflections of an image: position, photons and partiality of each, computed from the plan.

`specs/truth.md` defines each number.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from cubragg import checks, units
from cubragg.crystallography.cell import cell_of_axes
from cubragg.crystallography.vectors import rotate_axis
from cubragg.engine.panel_loop import Progress, counted_on
from cubragg.engine.part_sum import first_part, of_part
from cubragg.errors import BackendUnavailable, ConfigError, KernelBuildError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.reflections.analytic_table import analytic_columns
from cubragg.reflections.host_sums import HostSums
from cubragg.reflections.negligible_terms import counting_pixels, negligible_fraction
from cubragg.reflections.panel_sums import ImageSums, ReflectionCodes, ReflectionSums, add_up
from cubragg.reflections.partiality import partiality
from cubragg.reflections.reflection_sums import NumpySums, index_reach
from cubragg.reflections.reflection_table import Orientation, ReflectionTable
from cubragg.reflections.table_columns import empty_columns, panel_columns

#: Photons that a reflection needs to be listed.
MIN_PHOTONS = 1.0


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
            progress: Progress | None = None, photons: np.ndarray | None = None, sums: ImageSums | None = None
            ) -> ReflectionTable:
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
    photons
        The image of the plan without background, float32 [slow, fast], if it is known: the method analytic renders it
        otherwise, the method sampled evaluates all pixels.
    sums
        Of the method sampled, those of the image, if it was rendered with them; they take the place of another pass for
        ``min_photons`` that they are complete for.

    Raises
    ------
    ConfigError
        As `require_reflection_sums`, and for a number of photons below 0.
    """
    checks.number("min_photons", "the number of photons", min_photons, "photons", at_least=0.0)
    if plan.method == "analytic":
        parts = analytic_columns(plan, photons, min_photons, threads, backend)
    elif sums is not None and sums.min_photons <= min_photons:
        parts = [_columns(plan, panel, *sums.panels[panel.number].by_code, min_photons) for panel in plan.panels]
    else:
        parts = _sampled_columns(plan, photons, min_photons, threads, backend, progress)
    if not parts:  # no pixel is rendered
        return empty_table(plan, min_photons)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(-columns["photons"], kind="stable")
    return _table(plan, {name: column[order] for name, column in columns.items()}, min_photons)


def empty_table(plan: Plan, min_photons: float = MIN_PHOTONS) -> ReflectionTable:
    """Return the reflection table of an image without reflections."""
    return _table(plan, empty_columns(plan.method == "analytic"), min_photons)


def _table(plan: Plan, columns: dict[str, np.ndarray], min_photons: float) -> ReflectionTable:
    """Return the reflection table of these columns."""
    return ReflectionTable(**columns, panels=plan.detector_panels, orientation=orientation(plan), plan=plan,
                           min_photons=min_photons)


def _sampled_columns(plan: Plan, photons: np.ndarray | None, min_photons: float, threads: int | None, backend: str,
                     progress: Progress | None) -> list[dict[str, np.ndarray]]:
    """Return the columns of the reflections on each panel, for the method sampled."""
    require_reflection_sums(plan)
    engine = summing_engine(plan, backend, min_photons)
    parts: list[dict[str, np.ndarray]] = []
    before, total = 0, sum(panel.pixel_count for panel in plan.panels)
    for number, panel in enumerate(plan.panels):
        counting = counting_pixels(plan, panel, photons, min_photons)
        sums = panel_sums(engine, plan, number, counting, threads, counted_on(progress, before, total))
        before += panel.pixel_count
        parts.append(_columns(plan, panel, engine.codes, sums, min_photons))
    return parts


def summing_engine(plan: Plan, backend: str, min_photons: float) -> HostSums | NumpySums:
    """Return the engine that sums photons by reflection: the host kernels, or NumPy if they are not available.

    Terms may be left out that change no reflection of ``min_photons``.
    """
    if backend != "numpy":
        with suppress(BackendUnavailable, KernelBuildError):  # NumPy computes the same sums, more slowly
            return HostSums(first_part(plan), negligible_fraction(plan, min_photons), min_photons)
    return NumpySums(first_part(plan), min_photons=min_photons)


def panel_sums(engine: HostSums | NumpySums, plan: Plan, number: int, counting: np.ndarray | None,
               threads: int | None, progress: Progress | None) -> ReflectionSums:
    """Return the sums of the ``counting`` pixels of panel ``number`` of a plan over all of its parts."""
    parts = plan.parts or (plan,)
    reach = np.max([index_reach(part) for part in parts], axis=0)
    found = []
    for index, part in enumerate(parts):
        if plan.parts:
            engine.set_plan(part)
        engine.set_panel(part.panels[number], reach, counting)
        found.append(engine.panel_sums(threads, of_part(progress, index, len(parts))))
    return add_up(found)


def _columns(plan: Plan, panel: PanelPlan, codes: ReflectionCodes, sums: ReflectionSums, min_photons: float
             ) -> dict[str, np.ndarray]:
    """Return the columns of the reflections on one panel."""
    bright = (sums.values[:, 0] >= min_photons) & (sums.values[:, 0] > 0.0)
    hkl, entering = codes.unpack(sums.code[bright])
    columns = panel_columns(plan, panel, hkl, entering, sums.values[bright])
    columns["partiality"] = partiality(plan, panel, hkl, columns["F"], columns.pop("phi_rad"), columns["fast_px"],
                                       columns["slow_px"], columns["photons"])
    return columns


def orientation(plan: Plan) -> Orientation:
    """Return the orientation of the crystal of a plan."""
    lattice = plan.lattice
    axes, stars = (np.array(rows) for rows in ((lattice.a, lattice.b, lattice.c),
                                               (lattice.a_star, lattice.b_star, lattice.c_star)))
    middle = plan.phi_start + (plan.phi.width / 2.0 if plan.rotates else 0.0)
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
