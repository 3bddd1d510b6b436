"""Structure factors of models: against a sum written out by hand, and what goes into it."""

from __future__ import annotations

import gzip

import gemmi
import numpy as np
import pytest

from cubragg import units
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.errors import ConfigError, CubraggError, FormatError
from cubragg.io.atoms import read_model
from support.atoms import EXAMPLES, REMOTE_A, r_factor, random_model, summed_by_hand
from support.messages import refusal, states

MODELS = {
    "quartz": lambda: read_model(EXAMPLES / "quartz.cif"),
    "helices": lambda: read_model(EXAMPLES / "helix_bundle.pdb"),
    "monoclinic": lambda: random_model(250, (31.0, 42.0, 37.0, 90.0, 107.0, 90.0), "C 1 2 1"),
    "trigonal": lambda: random_model(60, (40.0, 40.0, 55.0, 90.0, 90.0, 120.0), "P 32 2 1"),
}


@pytest.mark.requirement("AT-STR-012", "AT-STR-013")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("direct", [True, False], ids=["sum", "transform"])
def test_the_sum_by_hand(name, direct):
    model = MODELS[name]()
    dmin = 0.9 if name == "quartz" else 2.5
    factors = structure_factors(model, dmin, wavelength_A=REMOTE_A, k_sol=0.0, direct=direct)
    picked = np.unique(np.linspace(0, len(factors.hkl) - 1, 60).astype(int))
    for sign, found in ((1, factors.plus), (-1, factors.minus)):
        expected = summed_by_hand(model, sign * factors.hkl[picked], units.HC_EV_ANGSTROM / REMOTE_A)
        # Coordinates, B and occupancies are singles in gemmi; the grid adds 1e-6 to the error.
        assert r_factor(found[picked], expected) < (1e-6 if direct else 2e-5)
        scale = np.sqrt((np.abs(expected) ** 2).mean())
        assert np.abs(found[picked] - expected).max() < (1e-6 if direct else 1e-4) * scale


@pytest.mark.requirement("AT-STR-013")
def test_bijvoet_mates_differ_with_dispersion_only():
    model = MODELS["monoclinic"]()
    with_it, without = (structure_factors(model, 3.0, wavelength_A=REMOTE_A, anomalous=on) for on in (True, False))
    # 0 0 0 comes first, and h 0 l is centric in C 2.
    general = with_it.hkl[:, 1] != 0
    assert r_factor(with_it.plus[general], with_it.minus[general]) > 0.01
    assert r_factor(with_it.plus[~general], with_it.minus[~general]) < 1e-6
    np.testing.assert_allclose(without.minus, without.plus.conj(), rtol=1e-12)


@pytest.mark.requirement("AT-STR-013")
def test_bijvoet_mates_keep_their_amplitudes_in_p1():
    factors = structure_factors(MODELS["trigonal"](), 4.0, wavelength_A=REMOTE_A)
    grid = factors.expanded()
    values = dict(zip(map(tuple, grid.rows()[0].tolist()), grid.rows()[1].tolist(), strict=True))
    for hkl, plus, minus in zip(factors.hkl.tolist(), factors.plus, factors.minus, strict=True):
        assert values[tuple(hkl)] == pytest.approx(abs(plus), rel=1e-5)
        assert values[tuple(-index for index in hkl)] == pytest.approx(abs(minus), rel=1e-5)
    # P 32: 0 0 1 and 0 0 2 are absent, so they are 0 and not unknown.
    assert values[0, 0, 1] == values[0, 0, -2] == 0.0


@pytest.mark.requirement("AT-STR-015")
def test_f000_counts_electrons():
    atoms = structure_factors(read_model(EXAMPLES / "quartz.cif"), 1.0, anomalous=False)
    assert atoms.plus[0].real == pytest.approx(3 * 14 + 6 * 8, rel=1e-3)
    assert atoms.k_sol == 0.0
    dry, wet = (structure_factors(read_model(EXAMPLES / "helix_bundle.pdb"), 4.0, anomalous=False, k_sol=k)
                for k in (0.0, None))
    electrons = 4 * sum(site.atom.element.atomic_number for site in dry.model.model.all())
    assert dry.plus[0].real == pytest.approx(electrons, rel=1e-3)
    volume = wet.solvent_fraction * dry.model.structure.cell.volume
    assert (wet.plus - dry.plus)[0].real == pytest.approx(0.35 * volume, rel=1e-6)
    assert 0.4 < wet.solvent_fraction < 0.75


@pytest.mark.requirement("AT-STR-014")
def test_solvent_fades_with_resolution():
    dry, wet = (structure_factors(read_model(EXAMPLES / "helix_bundle.pdb"), 3.0, k_sol=k) for k in (0.0, 0.4))
    inverse_d2 = dry.model.structure.cell.calculate_1_d2_array(dry.hkl)
    change = np.abs(wet.plus - dry.plus)
    low, high = inverse_d2 < 1 / 8.0**2, inverse_d2 > 1 / 3.5**2
    assert change[low].mean() > 20 * change[high].mean()
    finer = structure_factors(wet.model, 1.6, k_sol=0.4)
    assert finer.solvent_fraction == wet.solvent_fraction
    # Solvent fills the dark between molecules: low angles weaken.
    assert np.abs(wet.plus[low][1:]).mean() < np.abs(dry.plus[low][1:]).mean()


@pytest.mark.requirement("AT-STR-015")
def test_atoms_on_special_positions_count_once(tmp_path):
    structure = gemmi.read_structure(str(EXAMPLES / "helix_bundle.pdb"))
    structure.spacegroup_hm = "C 1 2 1"
    for place, occupancy in (((0.0, 10.0, 0.0), 1.0), ((0.0, 20.0, 0.0), 0.5)):
        atom = structure[0][0][0][0].clone()
        atom.pos, atom.occ, atom.name = gemmi.Position(*place), occupancy, "CX"
        structure[0][0][0].add_atom(atom)
    structure.write_pdb(str(tmp_path / "m.pdb"))
    model = read_model(tmp_path / "m.pdb")
    assert [atom.occ for atom in model.atoms() if atom.name == "CX"] == [0.5, 0.5]
    warning, = model.warnings
    states(warning, f"{tmp_path}/m.pdb", "1", "special position", "occupanc")


@pytest.mark.parametrize("name", ["helix_bundle.pdb", "quartz.cif"])
def test_gzipped_models(tmp_path, name):
    (tmp_path / "m.gz").write_bytes(gzip.compress((EXAMPLES / name).read_bytes()))
    zipped, plain = read_model(tmp_path / "m.gz"), read_model(EXAMPLES / name)
    assert [(a.name, a.pos.tolist()) for a in zipped.atoms()] == [(a.name, a.pos.tolist()) for a in plain.atoms()]
    (tmp_path / "m.gz").write_bytes((tmp_path / "m.gz").read_bytes()[:100])
    with refusal(FormatError, str(tmp_path / "m.gz"), "", "gzip"):
        read_model(tmp_path / "m.gz")


def test_copies_that_are_not_in_the_file_and_further_models(tmp_path):
    structure = gemmi.read_structure(str(EXAMPLES / "helix_bundle.pdb"))
    copy = gemmi.NcsOp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(0.0, 0.0, 29.0)), "2", False)
    structure.ncs.append(copy)
    structure.add_model(structure[0])
    structure.renumber_models()
    structure.write_pdb(str(tmp_path / "m.pdb"))
    model = read_model(tmp_path / "m.pdb")
    assert model.model.count_atom_sites() == 2 * 656
    warning, = model.warnings
    states(warning, f"{tmp_path}/m.pdb", "2", "models", "first")
    one, both = (structure_factors(source, 8.0, k_sol=0.0)
                 for source in (read_model(EXAMPLES / "helix_bundle.pdb"), model))
    # A second copy half a cell along c: odd l cancel.
    odd = one.hkl[:, 2] % 2 == 1
    np.testing.assert_allclose(both.plus[~odd], 2 * one.plus[~odd], rtol=1e-3, atol=1.0)
    assert np.abs(both.plus[odd]).max() < 1e-3 * np.abs(one.plus[odd]).max()


def test_anisotropic_sites_of_a_small_molecule(tmp_path):
    text = (EXAMPLES / "quartz.cif").read_text() + (
        "loop_\n_atom_site_aniso_label\n_atom_site_aniso_U_11\n_atom_site_aniso_U_22\n_atom_site_aniso_U_33\n"
        "_atom_site_aniso_U_12\n_atom_site_aniso_U_13\n_atom_site_aniso_U_23\n"
        "O 0.0156 0.0115 0.0119 0.0092 -0.0029 -0.0046\n")
    (tmp_path / "q.cif").write_text(text)
    factors = structure_factors(read_model(tmp_path / "q.cif"), 0.8, anomalous=False)
    small = gemmi.read_small_structure(str(tmp_path / "q.cif"))
    small.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    expected = [calculator.calculate_sf_from_small_structure(small, index) for index in factors.hkl.tolist()]
    np.testing.assert_allclose(factors.plus, expected, atol=2e-4)


@pytest.mark.requirement("AT-STR-016")
@pytest.mark.parametrize(("content", "says"), [
    ("REMARK nothing\n", ("", "no atoms")),
    ("ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00 10.00           C  \n", ("", "unit cell")),
    ("CRYST1   10.000   10.000   10.000  90.00  90.00  90.00 P 9 9 9\n"
     "ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00 10.00           C  \n",
     ("P 9 9 9", "space group")),
    ("data_x\n_atom_site_fract_x 0.5\n", ("", "unit cell")),
    ("data_x\nloop_\n_a\n_b\n1 2 3\n", ("", "CIF", "Wrong number of values")),
    ("data_x\n_cell_length_a 5\n", ("", "no atoms")),
])
def test_bad_models(tmp_path, content, says):
    path = tmp_path / "m.ent"
    path.write_text(content)
    with refusal(FormatError, str(path), *says):
        read_model(path)


@pytest.mark.parametrize(("dmin", "settings", "says"), [
    (0.0, {}, ("dmin", "0 A", "0.2 A")),
    (float("nan"), {}, ("dmin", "nan A", "finite")),
    (1e3, {}, ("dmin", "1000 A", "reflection")),
    (2.0, {"wavelength_A": -1.0}, ("wavelength_A", "-1 A", "wavelength")),
    (2.0, {"k_sol": -0.1}, ("k_sol", "-0.1 electrons/A^3", "density")),
])
def test_settings_out_of_range(dmin, settings, says):
    with refusal(ConfigError, *says):
        structure_factors(read_model(EXAMPLES / "quartz.cif"), dmin, **settings)


def test_a_grid_beyond_memory_is_refused():
    with refusal(CubraggError, "", "0.2 A", "resolution", "cell", "grid"):
        structure_factors(read_model(EXAMPLES / "helix_bundle.pdb"), 0.2)


@pytest.mark.requirement("AT-STR-017")
def test_the_helices_keep_their_distance():
    structure = gemmi.read_structure(str(EXAMPLES / "helix_bundle.pdb"))
    search = gemmi.NeighborSearch(structure[0], structure.cell, 4.0).populate()
    contacts = gemmi.ContactSearch(3.1)
    contacts.ignore = gemmi.ContactSearch.Ignore.SameResidue
    apart = [contact for contact in contacts.find_contacts(search) if contact.image_idx != 0
             or contact.partner1.chain.name != contact.partner2.chain.name]
    assert not apart
