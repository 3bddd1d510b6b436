"""Structure factors of an experiment from a file of atoms, to the resolution of its detector."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.errors import FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.io.files.compression import unpacked
from cubragg.view.resolution import image_resolution

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
    return any(line.startswith((b"CRYST1", b"ATOM  ", b"HETATM", b"HEADER")) for line in lines)


def factors_of_model(path: Path | str, experiment: Experiment, dmin_A: float | None, space_group: str | None = None
                     ) -> tuple[Experiment, dict[str, Any], tuple[str, ...]]:
    """The experiment with cell and structure factors of atoms, where they came from, and warnings.

    The cell is that of the file unless the experiment has another one already. F000 is left out: it is in the direct
    beam.

    Parameters
    ----------
    dmin_A
        Resolution [A]; ``None``: see `default_dmin`.

    Raises
    ------
    FormatError
        If the file is malformed.
    ConfigError
        For a resolution out of range.
    OSError
        If it cannot be read.
    """
    from cubragg.crystallography.atomic_factors import structure_factors
    from cubragg.io.atoms import read_model

    model = read_model(path, space_group)
    dmin = default_dmin(experiment, macromolecule=model.macromolecule) if dmin_A is None else dmin_A
    computed = structure_factors(model, dmin, wavelength_A=experiment.beam.wavelength_A)
    hkl, amplitudes = computed.expanded().rows()
    bragg = hkl.any(axis=1)
    if not bragg.any():
        raise FormatError(f"{path}: has no reflections to {dmin:g} A; give a finer --dmin")
    factors = StructureFactors.from_list(hkl[bragg], amplitudes[bragg])
    source = {"file": str(path), "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(), "dmin_A": dmin,
              "wavelength_A": experiment.beam.wavelength_A}
    return replace(experiment, structure_factors=factors), source, tuple(model.warnings)


def model_cell(path: Path | str, space_group: str | None = None) -> tuple[float, ...]:
    """The unit cell [A, deg] of a file of atoms.

    Raises
    ------
    FormatError
        If the file is malformed.
    OSError
        If it cannot be read.
    """
    from cubragg.io.atoms import read_model

    return read_model(path, space_group).cell
