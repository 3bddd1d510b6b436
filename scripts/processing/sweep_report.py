"""What DIALS makes of a sweep, beside its truth."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import gemmi
import numpy as np

from cubragg.dataset.read_set import read_specification
from processing.dials_route import table_columns
from processing.tables import edges_of_equal_counts, table
from processing.truth import (
    Lattice,
    Passages,
    axes_of,
    compare_lattices,
    crystals_of,
    passage_numbers,
    passages_of,
    read_truth,
    true_indices,
)

#: Reflections are whole if DIALS's profile holds this part of them on the images, and are not along the spindle.
WHOLE, ZETA = 0.99, 0.05
#: Standard deviation of the index times the number of cells, of a Gaussian block (specs/analytic.md).
GAUSSIAN_BLOCK = 0.396863
#: Photons from which positions are compared, and I/sigma from which merged amplitudes are.
BRIGHT, STRONG = 1e4, 30.0


class Integrated(NamedTuple):
    """Whole reflections that DIALS integrated, with their truth; columns [n].

    ``counts`` and ``variance`` are those of ``method``, ``sum`` or ``prf``; ``observed``, ``predicted`` and ``true``
    are positions [n, 3] in pixels, pixels and images.
    """

    method: str
    counts: np.ndarray
    variance: np.ndarray
    photons: np.ndarray
    scale: float
    d: np.ndarray
    zeta: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    true: np.ndarray
    correlation: np.ndarray

    @property
    def deviations(self) -> np.ndarray:
        """(I - truth) / sigma [n]."""
        return (self.counts - self.scale * self.photons) / np.sqrt(self.variance)

    @property
    def chi2(self) -> float:
        """Mean square of the deviations."""
        return float(np.mean(np.square(self.deviations)))

    @property
    def r_of_f(self) -> float:
        """Sum of the differences of amplitudes over their sum; intensities below 0 are amplitudes of 0."""
        true = np.sqrt(self.scale * self.photons)
        return float(np.abs(np.sqrt(np.maximum(self.counts, 0.0)) - true).sum() / true.sum())

    def of(self, rows: np.ndarray) -> Integrated:
        """Some of the reflections, on the scale of all."""
        return self._replace(**{name: value[rows] for name, value in self._asdict().items()
                                if isinstance(value, np.ndarray)})


class Merged(NamedTuple):
    """Merged intensities with the true ones, on the scale of the strong ones; columns [n]."""

    intensity: np.ndarray
    sigma: np.ndarray
    true: np.ndarray
    d: np.ndarray

    @property
    def strong(self) -> np.ndarray:
        """Which have an I/sigma above `STRONG`."""
        found: np.ndarray = self.intensity > STRONG * self.sigma
        return found

    def r_of_f(self, rows: np.ndarray) -> float:
        """Sum of the differences of amplitudes of some reflections over their sum."""
        found, true = np.sqrt(np.maximum(self.intensity[rows], 0.0)), np.sqrt(self.true[rows])
        return float(np.abs(found - true).sum() / true.sum())


class SweepResult(NamedTuple):
    """What DIALS made of a sweep; ``profile`` has its sigma_b and sigma_m [deg], ``merged`` is None without scaling.

    ``sigma_m`` is the one of the experiment, see `true_sigma_m`. ``integrated`` is empty for a sweep without truth.
    """

    lattice: Lattice
    profile: dict[str, float]
    sigma_m: float
    integrated: dict[str, Integrated]
    merged: Merged | None
    missing: int


def sweep_result(folder: Path, processed: Path) -> SweepResult:
    """Compare what DIALS wrote to ``processed`` with the data set in ``folder``."""
    true = axes_of(crystals_of(folder / "models.expt")[0])
    lattice = compare_lattices(axes_of(crystals_of(processed / "integrated.expt")[0]), true)
    (profile,) = json.loads((processed / "integrated.expt").read_text())["profile"]
    alone = SweepResult(lattice, {name: profile[name] for name in ("sigma_b", "sigma_m")},
                        true_sigma_m(folder, processed), {}, None, 0)
    truth = read_truth(folder)
    if not truth:
        return alone
    passages = passages_of(truth)
    columns = table_columns(processed / "integrated.refl")
    hkl = true_indices(lattice.choice, columns["miller_index"])
    numbers = passage_numbers(passages, hkl, columns["xyzcal.px"][:, 2])
    found = {method: _integrated(method, columns, passages, numbers) for method in ("sum", "prf")}
    merged = _merged(processed, true, passages) if (processed / "merged.mtz").exists() else None
    return alone._replace(integrated=found, merged=merged, missing=int((numbers < 0).sum()))


def true_sigma_m(folder: Path, processed: Path) -> float:
    """The rocking width of the strong spots from which DIALS estimates its sigma_m [deg]: a mean square by photons.

    That of a spot is sqrt(eta^2 + divergence^2 + (bandwidth tan theta)^2 + (sigma_S lambda / sin 2 theta)^2), sigma_S
    the standard deviation of a Gaussian block in reciprocal space. Of several mosaicities, divergences or edges the
    mean.
    """
    experiment = read_specification(folder / "spec.toml")[0].experiment
    crystal, beam = experiment.crystal, experiment.beam
    mosaicity, divergence, block_um = (float(np.mean(value)) if value is not None else default for value, default in (
        (crystal.mosaicity_deg, 0.0), (beam.divergence_mrad, 0.0), (crystal.block_size_um, np.inf)))
    columns = table_columns(processed / "refined.refl")
    length = np.linalg.norm(columns["rlp"], axis=1)
    indexed = (length > 0.0) & columns["miller_index"].any(axis=1)
    photons, sine = columns["intensity.sum.value"][indexed], 0.5 * beam.wavelength_A * length[indexed]
    theta = np.arcsin(np.minimum(sine, 1.0))
    block = GAUSSIAN_BLOCK * beam.wavelength_A / (1e4 * block_um)
    variance = (np.radians(mosaicity) ** 2 + (1e-3 * divergence) ** 2
                + np.square((beam.bandwidth or 0.0) * np.tan(theta)) + np.square(block / np.sin(2.0 * theta)))
    return float(np.degrees(np.sqrt((photons * variance).sum() / photons.sum())))


def _integrated(method: str, columns: dict[str, np.ndarray], passages: Passages, numbers: np.ndarray
                ) -> Integrated:
    counts, variance = columns[f"intensity.{method}.value"], columns[f"intensity.{method}.variance"]
    photons = np.where(numbers >= 0, passages.photons[numbers], 0.0)
    rows = ((columns["partiality"] > WHOLE) & (np.abs(columns["zeta"]) > ZETA) & (photons > 1.0) & (variance > 0.0))
    at = numbers[rows]
    position = np.stack([passages.fast[at], passages.slow[at], passages.image[at]], axis=1)
    photons, counts, variance = photons[rows], counts[rows], variance[rows]
    scale = float((counts * photons / variance).sum() / (np.square(photons) / variance).sum())
    return Integrated(method, counts, variance, photons, scale, columns["d"][rows], columns["zeta"][rows],
                      columns["xyzobs.px.value"][rows], columns["xyzcal.px"][rows], position,
                      columns["profile.correlation"][rows])


def _merged(processed: Path, true: np.ndarray, passages: Passages) -> Merged:
    """The merged intensities of a file of DIALS beside the squared structure factors of the passages."""
    mtz = gemmi.read_mtz_file(str(processed / "merged.mtz"))
    columns = {name: np.array(mtz.column_with_label(name)) for name in ("H", "K", "L", "IMEAN", "SIGIMEAN")}
    lattice = compare_lattices(axes_of(crystals_of(processed / "scaled.expt")[0]), true)
    found = true_indices(lattice.choice, np.stack([columns[name] for name in "HKL"], axis=1))
    group = gemmi.SpaceGroup("P 1") if mtz.spacegroup is None else mtz.spacegroup
    operations = [np.array(operation.rot) // gemmi.Op.DEN for operation in group.operations().sym_ops]
    # Equivalent indices in the axes of DIALS, and so in the true ones: operations conjugated by the choice of axes.
    turn = lattice.choice
    intensities: dict[tuple[int, ...], list[float]] = {}
    for index, F in zip(map(tuple, passages.hkl.tolist()), passages.F.tolist(), strict=True):
        intensities.setdefault(index, []).append(F * F)
    square = np.zeros(len(found))
    for row, index in enumerate(found):
        equivalent = [np.rint(np.linalg.inv(turn) @ operation.T @ turn @ index).astype(int) for operation in operations]
        known = [value for one in equivalent for sign in (1, -1)
                 for value in intensities.get(tuple((sign * one).tolist()), ())[:1]]
        square[row] = np.mean(known) if known else 0.0
    rows = (square > 0.0) & np.isfinite(columns["IMEAN"]) & (columns["SIGIMEAN"] > 0.0)
    intensity, sigma, square = columns["IMEAN"][rows], columns["SIGIMEAN"][rows], square[rows]
    strong = intensity > STRONG * sigma
    scale = float((np.sqrt(intensity[strong] * square[strong])).sum() / square[strong].sum()) ** 2
    d = 1.0 / np.linalg.norm(found[rows] @ np.linalg.inv(true).T, axis=1)
    return Merged(intensity, sigma, scale * square, d)


def sweep_tables(result: SweepResult, shells: int) -> str:
    """The tables as Markdown."""
    lattice = result.lattice
    rows: list[tuple[str, Any]] = [
        ("same lattice", "yes" if lattice.same else "no"),
        ("errors of a, b, c", ", ".join(f"{100.0 * error:.4f}" for error in lattice.cell_errors) + " %"),
        ("errors of alpha, beta, gamma", ", ".join(f"{error:.4f}" for error in lattice.angle_errors_deg) + " deg"),
        ("error of the orientation", f"{lattice.orientation_deg:.4f} deg"),
        ("sigma_b, sigma_m", "{sigma_b:.4f}, {sigma_m:.4f} deg".format(**result.profile)),
        ("sigma_m of the strong spots' photons", f"{result.sigma_m:.4f} deg")]
    if not result.integrated:
        return table(("", ""), rows)
    summed, fitted = result.integrated["sum"], result.integrated["prf"]
    bright = summed.of(summed.photons > BRIGHT)
    rmsd = np.sqrt(np.square(bright.observed - bright.predicted).sum(axis=0) / max(len(bright.photons), 1))
    rows += [
        ("whole reflections", len(summed.photons)),
        (f"of more than {BRIGHT:g} photons", len(bright.photons)),
        ("their RMSD", f"{rmsd[0]:.4f}, {rmsd[1]:.4f} pixel, {rmsd[2]:.4f} image"),
        ("profile correlation: mean, of these", f"{np.mean(fitted.correlation):.4f}, "
         f"{np.mean(fitted.correlation[fitted.photons > BRIGHT]):.4f}")]
    for name, one in (("summation", summed), ("profile", fitted)):
        rows.append((f"{name}: scale, chi^2 / n, R(F)",
                     f"{one.scale:.4f}, {one.chi2:.3f}, {100.0 * one.r_of_f:.2f} %"))
    text = [table(("", ""), rows),
            *(_classes(method, "d [A]", -method.d, shells, lambda value: f"{-value:.2f}")
              for method in (summed, fitted)),
            _classes(summed, "photons", summed.photons, shells, lambda value: f"{value:.0f}")]
    if result.merged is not None:
        text.append(_merged_table(result.merged, shells))
    return "\n\n".join(text)


def _classes(one: Integrated, name: str, key: np.ndarray, count: int, written: Any) -> str:
    """A table of classes with equal numbers of reflections."""
    rows = []
    edges = edges_of_equal_counts(key, count)
    for low, high in itertools.pairwise(edges):
        part = one.of((key >= low) & (key < high))
        rows.append((f"{written(low)} to {written(high)}", len(part.photons), f"{np.mean(part.photons):.0f}",
                     f"{np.mean(part.counts / np.sqrt(part.variance)):.1f}", f"{part.chi2:.2f}",
                     f"{np.mean(part.deviations):.2f}", f"{part.counts.sum() / part.photons.sum() / one.scale:.4f}",
                     f"{100.0 * part.r_of_f:.2f}", f"{np.mean(part.correlation):.3f}"))
    return table((f"{one.method}: {name}", "n", "photons", "I/sigma", "chi^2", "mean deviation", "I / truth",
                  "R(F) [%]", "profile cc"), rows)


def _merged_table(merged: Merged, count: int) -> str:
    rows = []
    edges = edges_of_equal_counts(-merged.d, count)
    for low, high in [*itertools.pairwise(edges), (edges[0], edges[-1])]:
        part = (-merged.d >= low) & (-merged.d < high)
        strong = part & merged.strong
        chi2 = np.mean(np.square((merged.intensity - merged.true)[part] / merged.sigma[part]))
        rows.append((f"{-low:.2f} to {-high:.2f}", int(part.sum()),
                     f"{np.mean(merged.intensity[part] / merged.sigma[part]):.1f}", f"{chi2:.2f}",
                     f"{100.0 * merged.r_of_f(part):.2f}", int(strong.sum()),
                     f"{100.0 * merged.r_of_f(strong):.2f}" if strong.any() else "-"))
    return table(("merged: d [A]", "n", "I/sigma", "chi^2", "R(F) [%]", f"I/sigma > {STRONG:g}", "their R(F) [%]"),
                 rows)


def result_of(folder: Path, processed: Path, shells: int) -> str:
    """The tables of a processed sweep."""
    return sweep_tables(sweep_result(folder, processed), shells)


