"""Expansion and structure factors against cctbx, which reads the same files itself.

CUBRAGG_CCTBX_PYTHON names a Python that has it, if this one has not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cubragg import units
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.crystallography.p1_grid import expand, merge
from cubragg.io.atoms import read_model
from support.atoms import EXAMPLES, REMOTE_A, r_factor, random_model
from support.space_groups import GROUPS, symmetry, unique

SUPPORT = Path(__file__).resolve().parents[1] / "support"
PYTHON = os.environ.get("CUBRAGG_CCTBX_PYTHON", sys.executable)
#: The project's own limits: masks differ in radii and grids.
WITHOUT_SOLVENT, WITH_SOLVENT = 0.005, 0.03


@pytest.fixture(scope="module", autouse=True)
def _cctbx():
    if subprocess.run([PYTHON, "-c", "import cctbx"], capture_output=True).returncode:
        pytest.skip("cctbx is not installed")


def cctbx(folder: Path, question: dict) -> dict[str, np.ndarray]:
    (folder / "q.json").write_text(json.dumps(question))
    subprocess.run([PYTHON, SUPPORT / "cctbx_reference.py", folder / "q.json", folder / "a.npz"], check=True)
    return dict(np.load(folder / "a.npz"))


def listed(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices and values of both hands; a centric reflection has one."""
    hkl = unique(name)
    acentric = ~gemmi.SpaceGroup(name).operations().centric_flag_array(hkl)
    rows = np.concatenate([hkl, -hkl[acentric]])
    return rows, np.random.default_rng(6).uniform(1.0, 9.0, len(rows))


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> dict[str, np.ndarray]:
    lists = {name: listed(name) for name in GROUPS}
    return cctbx(tmp_path_factory.mktemp("expansion"), {"what": "expand", "lists": {
        name: {"cell": GROUPS[name], "group": name.removesuffix(":2"), "hkl": rows.tolist(), "values": values.tolist()}
        for name, (rows, values) in lists.items()}})


@pytest.mark.requirement("AT-STR-009")
@pytest.mark.parametrize("name", GROUPS)
def test_expansion(known, name):
    merged = merge(*listed(name), symmetry(name))
    indices, amplitudes = expand(merged.hkl, merged.values, symmetry(name)).rows()
    expected = dict(zip(map(tuple, known[f"{name} hkl"].tolist()), known[f"{name} values"].tolist(), strict=True))
    assert dict(zip(map(tuple, indices.tolist()), amplitudes.tolist(), strict=True)) == expected


def files(folder: Path) -> dict[str, tuple[str, float]]:
    """ExperimentModels and their resolution [A]."""
    random = random_model(1200, (61.0, 61.0, 84.0, 90.0, 90.0, 120.0), "P 31 2 1", elements="C C C N O S Se C")
    random.structure.write_pdb(str(folder / "trigonal.pdb"))
    return {"quartz": (str(EXAMPLES / "quartz.cif"), 0.7), "helices": (str(EXAMPLES / "helix_bundle.pdb"), 2.0),
            "trigonal": (str(folder / "trigonal.pdb"), 3.0)}


@pytest.mark.requirement("AT-STR-012", "AT-STR-014")
@pytest.mark.parametrize("name", ["quartz", "helices", "trigonal"])
def test_structure_factors(tmp_path, name):
    path, dmin = files(tmp_path)[name]
    model = read_model(path)
    energy = units.HC_EV_ANGSTROM / REMOTE_A
    elements = {atom.element.name: atom.element.atomic_number for atom in model.atoms()}
    hkl = gemmi.make_miller_array(model.structure.cell, model.group, dmin)
    both = np.concatenate([hkl, -hkl])
    answer = cctbx(tmp_path, {
        "what": "factors", "model": path, "hkl": both.tolist(), "mask": name == "helices",
        "dispersion": {symbol: gemmi.cromer_liberman(z, energy) for symbol, z in elements.items()}})
    for direct in (True, False):
        dry = structure_factors(model, dmin, wavelength_A=REMOTE_A, k_sol=0.0, direct=direct)
        found = np.concatenate([dry.plus[1:], dry.minus[1:]])
        print(f"{name}, {dry.method}: R {r_factor(found, answer['values']):.2e}")
        assert r_factor(found, answer["values"]) < WITHOUT_SOLVENT
        assert np.abs(found - answer["values"]).sum() < WITHOUT_SOLVENT * np.abs(answer["values"]).sum()
    if name == "helices":
        wet = structure_factors(model, dmin, wavelength_A=REMOTE_A)
        s2 = model.structure.cell.calculate_1_d2_array(both)
        theirs = answer["values"] + wet.k_sol * np.exp(-wet.b_sol * s2 / 4.0) * answer["mask"]
        ours = np.concatenate([wet.plus[1:], wet.minus[1:]])
        print(f"{name} with solvent: R {r_factor(ours, theirs):.2e}")
        assert r_factor(ours, theirs) < WITH_SOLVENT
