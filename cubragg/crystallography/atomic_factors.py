"""Computes structure factors of a structure, on the absolute scale.

F(h) = sum over all atoms of the cell of (f0 + f' + i f'') occupancy exp(-B s^2 / 4) exp(2 pi i h x), s = 1 / d, with f0
from International Tables C, 6.1.1.4 (neutral atoms), f' and f'' of `dispersion` or as given; for macromolecules
plus bulk solvent k_sol exp(-b_sol s^2 / 4) F_mask (J.-S. Jiang and A. T. Bruenger, J. Mol. Biol. 243, 100, 1994).
Sums, densities and masks are gemmi's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import gemmi
import numpy as np

from cubragg import checks, units
from cubragg.crystallography.dispersion import Dispersion, dispersion, dispersion_warnings
from cubragg.crystallography.p1_grid import MAX_GRID_POINTS, ReflectionGrid, Sphere, expand
from cubragg.crystallography.structure import AtomicModel
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import ConfigError, CubraggError

#: Usual bulk solvent: density [electrons/A^3] and B [A^2].
K_SOL, B_SOL = 0.35, 46.0
#: Largest number of terms of a direct sum, which then takes a fraction of a second.
MAX_DIRECT_TERMS = 2_000_000
#: More unique reflections than the first are computed only if there is an atom in the second number of A^3. A cell of a
#: protein has one in 20, and a selenium atom in 5000.
_MANY_REFLECTIONS, _LARGEST_ATOM_A3 = 2**18, 1e5
#: Oversampling of the density, and the density [electrons/A^3] at which atoms are cut off: the R factor against the
#: direct sum is then about 1e-6.
_RATE, _CUTOFF = 2.0, 1e-6
#: Largest grid spacing of the solvent mask [A], and the smallest number of grid points per dmin. The spacing is fixed
#: for coarse dmin because the mask depends on it (0.25 A gives 3 % more solvent) and should not depend on dmin.
_MASK_STEP_A, _MASK_STEPS_PER_DMIN = 0.5, 2.5
MIN_DMIN_A = 0.2


@dataclass(frozen=True, eq=False)
class ModelFactors:
    """Calculated structure factors.

    Attributes
    ----------
    hkl
        int32 [n, 3], the unique reflections without systematic absences, 0 0 0 first.
    plus, minus
        complex128 [n] [electrons per cell], F(h) and F(-h).
    model
        The atoms.
    dmin_A, wavelength_A, anomalous, k_sol, b_sol
        Parameters of the calculation; ``k_sol`` is 0 without solvent.
    method
        ``direct sum`` or ``FFT``.
    solvent_fraction
        Fraction of the cell that is solvent; 0 without solvent.
    dispersion
        f' and f'' by element; empty without them.
    """

    hkl: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    model: AtomicModel
    dmin_A: float
    wavelength_A: float
    anomalous: bool
    k_sol: float
    b_sol: float
    method: str
    solvent_fraction: float
    dispersion: Mapping[str, Dispersion]

    @property
    def warnings(self) -> list[str]:
        """A warning for each element with an absorption edge near the photon energy."""
        return dispersion_warnings(self.dispersion, units.HC_EV_ANGSTROM / self.wavelength_A)

    @property
    def symmetry(self) -> Symmetry:
        """The space group."""
        return Symmetry(self.model.group.xhm(), self.model.group.operations())

    def expanded(self) -> ReflectionGrid:
        """|F| of every reflection in P1, with separate Friedel mates, and 0 for systematic absences."""
        # The Friedel mate of a centric reflection is on the same orbit, with an equal amplitude.
        hkl = np.concatenate([self.hkl, -self.hkl])
        grid = expand(hkl, np.abs(np.concatenate([self.plus, self.minus])), self.symmetry)
        Sphere.around(hkl, grid, self.symmetry, self.model.cell).enter_absences(grid)
        return grid

    def columns(self) -> dict[str, tuple[str, np.ndarray]]:
        """Columns of an MTZ file: amplitudes and phases [deg], of both Friedel mates if they are anomalous."""
        mates = ((("F(+)", "PHI(+)", "G"), self.plus), (("F(-)", "PHI(-)", "G"), self.minus)) if self.anomalous else (
            (("FC", "PHIC", "F"), self.plus),)
        return {name: column for (amplitude, phase, kind), values in mates
                for name, column in ((amplitude, (kind, np.abs(values))), (phase, ("P", np.angle(values, deg=True))))}


def structure_factors(model: AtomicModel, dmin: float, *, wavelength_A: float = 1.0,
                      anomalous: bool = True, anomalous_values: Mapping[str, tuple[float, float]] | None = None,
                      k_sol: float | None = None, b_sol: float = B_SOL, direct: bool | None = None) -> ModelFactors:
    """Compute the structure factors of atoms to ``dmin`` [A].

    Parameters
    ----------
    model
        Atoms, as returned by `cubragg.io.atoms.read_model`.
    anomalous
        Include f' and f'' at ``wavelength_A`` [A].
    anomalous_values
        f' and f'' [electrons] of elements, by symbol, in place of calculated ones.
    k_sol, b_sol
        Bulk solvent [electrons/A^3], [A^2]; ``k_sol=None``: `K_SOL` for macromolecules, else none.
    direct
        True: direct sum over atoms; False: Fourier transform of the density; ``None``: the sum if it is short.

    Raises
    ------
    ConfigError
        For a number out of range.
    CubraggError
        If the grid for this resolution would exceed `MAX_GRID_POINTS`, there are many reflections and hardly an atom,
        or the cell is too small for the density of its atoms.
    """
    checks.number("dmin", "the resolution", dmin, "A", at_least=MIN_DMIN_A)
    checks.number("wavelength_A", "the wavelength", wavelength_A, "A", above=0.0)
    checks.number("k_sol", "the density of the solvent", k_sol, "electrons/A^3", optional=True, at_least=0.0)
    checks.number("b_sol", "B of the solvent", b_sol, "A^2", at_least=0.0)
    cell = gemmi.UnitCell(*model.cell)
    if np.prod(2 * np.array(model.cell[:3]) / dmin + 1) * _RATE ** 3 > MAX_GRID_POINTS:
        raise CubraggError(f"{model.path}: got a resolution of {dmin:g} A for a cell of {cell.volume:g} A^3, whose "
                           f"grid would exceed {MAX_GRID_POINTS} points; type a coarser --dmin")
    unique = gemmi.make_miller_array(cell, model.group, dmin)
    if not len(unique):
        raise ConfigError("dmin", f"got {dmin:g} A, which is coarser than every reflection of this cell; a finer "
                          "resolution is accepted")
    atoms = model.model.count_atom_sites() * len(list(model.group.operations()))
    if len(unique) > _MANY_REFLECTIONS and cell.volume > _LARGEST_ATOM_A3 * atoms:
        raise CubraggError(f"{model.path}: got {atoms} atoms in a cell of {cell.volume:g} A^3 with {len(unique)} "
                           "unique reflections; a smaller cell or a coarser --dmin is accepted")
    hkl = np.concatenate([np.zeros((1, 3), dtype=np.int32), unique])
    elements = {atom.element.name: atom.element for atom in model.atoms() if atom.element.atomic_number}
    corrections: dict[str, Dispersion] = {}
    if anomalous:
        corrections = dispersion(elements, units.HC_EV_ANGSTROM / wavelength_A, anomalous_values or {})
    addends = {name: corrections[name][:2] if anomalous else (0.0, 0.0) for name in elements}
    if direct is None:
        direct = len(hkl) * atoms <= MAX_DIRECT_TERMS
    transform = _direct if direct else _transformed
    with _in_cell(model):
        real, imaginary = transform(model, hkl, dmin, addends)
    k_sol = (K_SOL if model.macromolecule else 0.0) if k_sol is None else k_sol
    fraction = 0.0
    if k_sol > 0.0:
        with _in_cell(model):
            mask = _mask(model, hkl, dmin)
        fraction = float(mask[0].real) / cell.volume
        real = real + k_sol * np.exp(-b_sol / 4.0 * cell.calculate_1_d2_array(hkl)) * mask
    # The densities of f0 + f' with solvent, and of f'', are real, so F(-h) of each is the conjugate of its F(h).
    return ModelFactors(hkl, real + 1j * imaginary, real.conj() + 1j * imaginary.conj(), model, dmin, wavelength_A,
                        anomalous, k_sol, b_sol, "direct sum" if direct else "FFT", fraction, corrections)


@contextmanager
def _in_cell(model: AtomicModel) -> Iterator[None]:
    """Convert gemmi's error about a cell that is smaller than the density of an atom, or the shell around it."""
    try:
        yield
    except RuntimeError as error:
        raise CubraggError(f"{model.path}: got the cell {' '.join(f'{x:g}' for x in model.cell)}, which is too small "
                           f"for the grid of its atoms ({error}); --direct with --no-solvent needs none") from None


def _direct(model: AtomicModel, hkl: np.ndarray, dmin: float,
            dispersion: Mapping[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of f0 + f' and of f'' over all atoms, complex128 [n]."""
    def summed(addends: Mapping[str, float]) -> np.ndarray:
        calculator = gemmi.StructureFactorCalculatorX(model.structure.cell)
        for name, addend in addends.items():
            calculator.addends.set(gemmi.Element(name), addend)
        return np.array([calculator.calculate_sf_from_model(model.model, index) for index in hkl.tolist()])

    real = summed({name: first for name, (first, _) in dispersion.items()})
    if not any(second for _, second in dispersion.values()):
        return real, np.zeros_like(real)
    # gemmi only adds real numbers to f0, so the sum of f'' is computed as a difference.
    return real, summed({name: first + second for name, (first, second) in dispersion.items()}) - real


def _transformed(model: AtomicModel, hkl: np.ndarray, dmin: float,
                 dispersion: Mapping[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The sums of `_direct`, by Fourier transform of the densities of f0 + f' and of f'' on a grid."""
    calculator = gemmi.DensityCalculatorX()
    calculator.d_min, calculator.rate, calculator.cutoff = dmin, _RATE, _CUTOFF
    calculator.set_grid_cell_and_spacegroup(model.structure)
    calculator.set_refmac_compatible_blur(model.model)
    for name, (first, _) in dispersion.items():
        calculator.addends.set(gemmi.Element(name), first)
    calculator.put_model_density_on_grid(model.model)
    real = _at(calculator.grid, hkl, calculator.blur)
    if not any(second for _, second in dispersion.values()):
        return real, np.zeros_like(real)
    calculator.initialize_grid()
    for atom in model.atoms():
        if atom.element.name in dispersion:
            calculator.add_c_contribution_to_grid(atom, dispersion[atom.element.name][1])
    calculator.grid.symmetrize_sum()
    return real, _at(calculator.grid, hkl, calculator.blur)


def _mask(model: AtomicModel, hkl: np.ndarray, dmin: float) -> np.ndarray:
    """Fourier transform of the solvent mask, complex128 [n] [A^3]."""
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    grid = gemmi.FloatGrid()
    grid.setup_from(model.structure, spacing=min(dmin / _MASK_STEPS_PER_DMIN, _MASK_STEP_A))
    masker.put_mask_on_float_grid(grid, model.model)
    return _at(grid, hkl, 0.0)


def _at(grid: gemmi.FloatGrid, hkl: np.ndarray, blur: float) -> np.ndarray:
    """Fourier transform of a grid at indices [n, 3], corrected for the ``blur`` [A^2] of the density."""
    reciprocal = gemmi.transform_map_to_f_phi(grid, half_l=True)
    return np.asarray(reciprocal.get_value_by_hkl(hkl, unblur=blur), dtype=np.complex128)
