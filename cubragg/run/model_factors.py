"""Structure factors of a file of atoms, to the resolution of the detector."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.errors import FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.structure_factors import FactorFile, StructureFactors
from cubragg.io.files.compression import unpacked
from cubragg.view.resolution import image_resolution

if TYPE_CHECKING:
    from cubragg.crystallography.atomic_factors import ModelFactors
    from cubragg.crystallography.structure import AtomicModel

#: Finest default resolution of a macromolecule's structure factors [A].
_FINEST_A = 1.2
_HEAD_BYTES = 100_000


def default_dmin(experiment: Experiment, *, macromolecule: bool) -> float:
    """The resolution of the corner of the detector [A], of a macromolecule at least `_FINEST_A`."""
    placed = experiment.placed()
    resolution = image_resolution(placed.panels, placed.frame, experiment.beam.wavelength_A,
                                  curved=experiment.detector.curved)
    corner = float(np.nanmin(resolution))
    return round(max(corner, _FINEST_A) if macromolecule else corner, 3)


def holds_atoms(path: Path | str) -> bool:
    """Whether a file is one of atoms (PDB, mmCIF, CIF), and not of reflections.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    head = unpacked(path)[:_HEAD_BYTES] if Path(path).stat().st_size < 2**28 else b""
    if head.startswith(b"MTZ "):
        return False
    lines = head.splitlines()
    if any(line.lower().startswith(b"data_") for line in lines[:200]):
        return b"_atom_site" in unpacked(path)
    return any(line.startswith((b"CRYST1", b"ATOM  ", b"HETATM", b"HEADER ")) for line in lines)


class FactorsOfModel(NamedTuple):
    """Structure factors in P1, which name their file, and how they were computed."""

    factors: StructureFactors
    computed: ModelFactors

    def __str__(self) -> str:
        """Return what goes into them, for messages."""
        computed = self.computed
        solvent = (f"bulk solvent of {computed.k_sol:g} electrons/A^3, B {computed.b_sol:g} A^2" if computed.k_sol > 0.0
                   else "no bulk solvent")
        return f"f' and f'' at {computed.wavelength_A:.5g} A, {solvent}"


def factors_of_model(model: AtomicModel, experiment: Experiment, dmin_A: float | None = None, *,
                     space_group: str | None = None, default_F: float = 0.0) -> FactorsOfModel:
    """Compute the structure factors of atoms, with f' and f'' at the wavelength and bulk solvent of a macromolecule.

    F000 is left out: it is in the direct beam.

    Parameters
    ----------
    model
        Atoms, as returned by `cubragg.io.atoms.read_model`.
    experiment
        Its wavelength and detector are used.
    dmin_A
        Resolution [A]; ``None``: see `default_dmin`.
    space_group
        That of ``read_model``, for the name of the file.
    default_F
        Amplitude beyond the resolution [electrons].

    Raises
    ------
    FormatError
        If the file has no reflections to this resolution.
    ConfigError
        For a resolution out of range.
    OSError
        If the file cannot be read again.
    """
    from cubragg.crystallography.atomic_factors import structure_factors

    dmin = default_dmin(experiment, macromolecule=model.macromolecule) if dmin_A is None else dmin_A
    computed = structure_factors(model, dmin, wavelength_A=experiment.beam.wavelength_A)
    hkl, amplitudes = computed.expanded().rows()
    bragg = hkl.any(axis=1)
    if not bragg.any():
        raise FormatError(f"{model.path}: has no reflections to {dmin:g} A; give a finer resolution, --dmin")
    factors = StructureFactors.from_list(hkl[bragg], amplitudes[bragg], default_F)
    sha256 = hashlib.sha256(Path(model.path).read_bytes()).hexdigest()
    file = FactorFile(model.path, sha256, space_group=space_group, dmin_A=dmin, symbol=model.group.xhm())
    return FactorsOfModel(replace(factors, file=file), computed)
