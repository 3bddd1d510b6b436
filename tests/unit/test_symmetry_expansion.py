"""Expansion to P1 and what is missing, against gemmi, reflection by reflection."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from cubragg.crystallography.p1_grid import ReflectionGrid, Sphere, expand, merge
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import ConfigError
from support.messages import refusal
from support.space_groups import CUBIC, DMIN_A, GROUPS, ORTHORHOMBIC, symmetry, unique


def by_gemmi(hkl: np.ndarray, plus: np.ndarray, minus: np.ndarray, name: str) -> dict[tuple[int, ...], float]:
    """P1 amplitudes: each index brought back to the asymmetric unit, whose odd operations are Friedel's."""
    group, places = gemmi.SpaceGroup(name), {tuple(row): place for place, row in enumerate(hkl.tolist())}
    asu, operations, found = gemmi.ReciprocalAsu(group), group.operations(), {}
    for index in gemmi.make_miller_array(gemmi.UnitCell(*GROUPS[name]), gemmi.SpaceGroup(name), DMIN_A, 0.0,
                                         False).tolist():
        home, isym = asu.to_asu(index, operations)
        place = places[tuple(home)]
        found[tuple(index)] = plus[place] if isym % 2 else minus[place]
    return found


@pytest.mark.requirement("AT-STR-009")
@pytest.mark.parametrize("name", GROUPS)
def test_expansion_keeps_bijvoet_mates(name):
    hkl, group = unique(name), gemmi.SpaceGroup(name)
    plus, minus = np.random.default_rng(3).uniform(1.0, 9.0, (2, len(hkl)))
    centric = group.operations().centric_flag_array(hkl)
    minus[centric] = plus[centric]
    merged = merge(np.concatenate([hkl, -hkl]), np.concatenate([plus, minus]), symmetry(name))
    indices, amplitudes = expand(merged.hkl, merged.values, symmetry(name)).rows()
    expected = by_gemmi(hkl, plus, minus, name)
    assert len(expected) > 100
    assert dict(zip(map(tuple, indices.tolist()), amplitudes.tolist(), strict=True)) == expected
    assert merged.disagreeing == 0


@pytest.mark.requirement("AT-STR-009")
@pytest.mark.parametrize("name", GROUPS)
def test_one_hand_gives_both(name):
    hkl = unique(name)
    values = np.random.default_rng(4).uniform(1.0, 9.0, len(hkl))
    indices, amplitudes = expand(hkl, values, symmetry(name)).rows()
    assert dict(zip(map(tuple, indices.tolist()), amplitudes.tolist(), strict=True)) == by_gemmi(hkl, values, values,
                                                                                                name)


def whole(name: str) -> tuple[Sphere, ReflectionGrid]:
    """Every reflection to `DMIN_A` but the absences, expanded."""
    hkl = unique(name)
    grid = expand(hkl, np.ones(len(hkl)), symmetry(name))
    return Sphere.around(hkl, grid, symmetry(name), GROUPS[name]), grid


#: Reflections h k l that are not there by International Tables A.
ABSENT = {
    "P 1 21/c 1": lambda h, k, m: ((h == 0) & (m == 0) & (k % 2 == 1)) | ((k == 0) & (m % 2 == 1)),
    "I 1 2 1": lambda h, k, m: (h + k + m) % 2 == 1,
    "P 21 21 21": lambda h, k, m: ((h == 0).astype(int) + (k == 0) + (m == 0) == 2) & ((h + k + m) % 2 == 1),
    "F d d 2": lambda h, k, m: (((h + k) % 2 == 1) | ((k + m) % 2 == 1) | ((h == 0) & ((k + m) % 4 != 0))
                                | ((k == 0) & ((h + m) % 4 != 0))),
    "P 41 21 2": lambda h, k, m: (((h == 0) & (k == 0) & (m % 4 != 0))
                                  | ((m == 0) & ((h == 0) | (k == 0)) & ((h + k) % 2 == 1))),
    "R 3:H": lambda h, k, m: (-h + k + m) % 3 != 0,
    "P 61 2 2": lambda h, k, m: (h == 0) & (k == 0) & (m % 6 != 0),
    "F d -3 m:2": lambda h, k, m: (((h + k) % 2 == 1) | ((k + m) % 2 == 1) | ((h == 0) & ((k + m) % 4 != 0))
                                   | ((k == 0) & ((h + m) % 4 != 0)) | ((m == 0) & ((h + k) % 4 != 0))),
}


@pytest.mark.requirement("AT-STR-010")
@pytest.mark.parametrize("name", ABSENT)
def test_absences_are_those_of_international_tables(name):
    sphere, grid = whole(name)
    sphere.enter_absences(grid)
    hkl, amplitudes = grid.rows()
    cell = gemmi.UnitCell(*GROUPS[name])
    inside = gemmi.make_miller_array(cell, gemmi.SpaceGroup("P 1"), DMIN_A, 0.0, False)
    inside = inside[(cell.calculate_1_d2_array(inside) < sphere.finest * (1 - 1e-6)) & grid.box.contains(inside)]
    expected = {tuple(index) for index in inside[ABSENT[name](*inside.T)].tolist()}
    assert len(expected) > 5
    assert {tuple(index) for index in hkl[amplitudes == 0.0].tolist()} == expected


@pytest.mark.requirement("AT-STR-009")
@pytest.mark.parametrize("name", ["P 1 21/c 1", "F d d 2", "P 43 21 2", "R -3 c:H", "I a -3 d"])
def test_another_origin_that_no_table_knows_changes_nothing(name):
    operations = gemmi.SpaceGroup(name).operations()
    operations.change_basis_forward(gemmi.Op("x+1/8,y+1/12,z+1/6"))
    assert gemmi.find_spacegroup_by_ops(operations) is None
    moved = Symmetry("moved", operations)
    hkl = unique(name)[3:]
    rows, values = np.concatenate([hkl, -hkl]), np.random.default_rng(7).uniform(1.0, 9.0, 2 * len(hkl))
    found = []
    for each in (symmetry(name), moved):
        merged = merge(rows, values, each)
        grid = expand(merged.hkl, merged.values, each)
        sphere = Sphere.around(merged.hkl, grid, each, GROUPS[name])
        sphere.enter_absences(grid)
        found.append((merged.repeated, sphere.shells(), grid.values))
    assert found[0][:2] == found[1][:2]
    np.testing.assert_array_equal(found[0][2], found[1][2])


@pytest.mark.requirement("AT-STR-011")
@pytest.mark.parametrize("name", GROUPS)
def test_what_is_missing_is_counted(name):
    hkl = unique(name)
    rng = np.random.default_rng(5)
    kept = rng.random(len(hkl)) < 0.7
    inverse_d2 = gemmi.UnitCell(*GROUPS[name]).calculate_1_d2_array(hkl)
    kept |= inverse_d2 > inverse_d2.max() * (1 - 1e-6)
    grid = expand(hkl[kept], np.ones(int(kept.sum())), symmetry(name))
    sphere = Sphere.around(hkl[kept], grid, symmetry(name), GROUPS[name])
    shells = sphere.shells()
    assert sum(shell.listed for shell in shells) == kept.sum()
    assert sum(shell.possible for shell in shells) == len(hkl)
    inverse_d = inverse_d2 ** 0.5
    for shell in shells[1:-1]:
        inside = (inverse_d >= 1 / shell.d_max_A) & (inverse_d < 1 / shell.d_min_A)
        assert (shell.possible, shell.listed) == (inside.sum(), (inside & kept).sum())
    sphere.enter_absences(grid)
    rows, amplitudes = grid.rows()
    zeros = rows[amplitudes == 0.0]
    operations = gemmi.SpaceGroup(name).operations()
    assert operations.systematic_absences(zeros).all()
    everything = np.array(list(np.ndindex(*grid.box.shape)), dtype=np.int32) - grid.box.reach.astype(np.int32)
    inside = gemmi.UnitCell(*GROUPS[name]).calculate_1_d2_array(everything) < sphere.finest * (1 - 1e-6)
    absent = operations.systematic_absences(np.ascontiguousarray(everything[inside]))
    assert len(zeros) == absent.sum()


@pytest.mark.parametrize("name", ["P 21 21 21", "P 61 2 2", "F 4 3 2"])
def test_the_order_of_operations_changes_no_bit(name):
    """Mates of centric reflections that were calculated apart differ in their last bits."""
    hkl = unique(name)
    rows, values = np.concatenate([hkl, -hkl]), np.random.default_rng(8).uniform(1.0, 9.0, 2 * len(hkl))
    backwards = Symmetry(name, gemmi.GroupOps(list(gemmi.SpaceGroup(name).operations())[::-1]))
    np.testing.assert_array_equal(expand(rows, values, backwards).values, expand(rows, values, symmetry(name)).values)


@pytest.mark.requirement("AT-STR-008")
def test_rows_of_one_orbit_are_averaged():
    hkl = np.array([[1, 2, 3], [-1, -2, 3], [1, 2, 3], [-1, -2, -3], [2, 0, 0]])
    merged = merge(hkl, np.array([4.0, 4.02, 4.04, 9.0, 1.0]), symmetry("P 21 21 21"))
    assert sorted(merged.values.tolist()) == pytest.approx([1.0, 4.02, 9.0])
    assert (merged.repeated, merged.disagreeing) == (1, 0)
    merged = merge(hkl[:2], np.array([4.0, 5.0]), symmetry("P 21 21 21"))
    assert (merged.values.tolist(), merged.repeated, merged.disagreeing) == ([4.5], 1, 1)


def test_a_cell_that_does_not_fit():
    assert symmetry("P 4 3 2").misfit(CUBIC) < 1e-12
    assert symmetry("P 4 3 2").misfit((30.0, 30.0, 31.0, 90.0, 90.0, 90.0)) > 0.03
    assert symmetry("P 31 2 1").misfit(ORTHORHOMBIC) > 0.1


def test_indices_beyond_memory():
    with refusal(ConfigError, "structure_factors.grid", "h -9000 to 9000, k -9000 to 9000, l -9000 to 9000",
                 "500000000"):
        expand(np.array([[9000, 9000, 9000]]), np.ones(1), symmetry("P 1"))
