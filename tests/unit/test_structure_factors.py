"""Structure factor lists, the grid, and looking up and between its points."""

from __future__ import annotations

import numpy as np
import pytest

from cubragg import ConfigError, StructureFactors
from cubragg.crystallography.p1_grid import MAX_GRID_POINTS
from cubragg.engine.reference.factor_table import StructureFactorTable, bordered
from cubragg.plan.workspace import Workspace
from support.messages import refusal

HKL = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [-1, 0, 3]])


@pytest.mark.requirement("AT-STR-004")
def test_grid_is_the_bounding_box_filled_with_the_default():
    factors = StructureFactors.from_list(HKL, np.array([100.0, 80.0, 60.0, 40.0]), 10.0)
    assert factors.origin == (-1, 0, 0)
    assert factors.grid.shape == (4, 3, 4)
    assert factors.grid[1, 0, 0] == 100.0
    assert factors.grid[0, 0, 3] == 40.0
    assert (factors.grid == 10.0).sum() == factors.grid.size - 4


def test_the_last_of_duplicates_counts():
    factors = StructureFactors.from_list(np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1]]), np.array([1.0, 2.0, 3.0]))
    assert factors.grid[1, 1, 1] == 3.0


@pytest.mark.requirement("AT-STR-001")
@pytest.mark.parametrize("built", [False, True])
def test_lookup_falls_back_to_the_default_outside(built):
    factors = StructureFactors.from_list(HKL, np.array([100.0, 80.0, 60.0, 40.0]), 10.0)
    asked = np.array([[0, 0, 0], [2, 0, 0], [3, 0, 0], [-1, 0, 3], [-1, 0, 4], [-900, 7, 10**6]], dtype=float)
    table = StructureFactorTable(factors)
    if built:
        table.build()
    got = table.nearest_f2(np.ascontiguousarray(asked.T), Workspace(6))
    np.testing.assert_array_equal(np.sqrt(got), [100.0, 80.0, 10.0, 40.0, 10.0, 10.0])


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_bordered_is_the_padded_grid(scale, squared):
    grid = np.random.default_rng(1).uniform(-9.0, 99.0, (2, 3, 4))
    expected = np.pad(grid, 1, constant_values=2.5) / scale
    for dtype in (np.float64, np.float32):
        table = bordered(grid, 2.5, dtype, scale=scale, squared=squared)
        np.testing.assert_array_equal(table, (expected * expected if squared else expected).astype(dtype))
        assert table.dtype == dtype
        assert table.flags.c_contiguous


@pytest.mark.requirement("AT-STR-002")
def test_cubic_interpolation_is_exact_for_cubics():
    def cubic(h, k, l):  # noqa: E741
        return 2.0 + h**3 - 2 * k**2 * l + 0.5 * l**3
    axis = np.arange(-4, 8)
    grid = cubic(*np.meshgrid(axis, axis, axis, indexing="ij"))
    table = StructureFactorTable(StructureFactors(0.0, grid, (-4, -4, -4)))
    index = np.random.default_rng(1).uniform(-2.0, 4.9, (3, 200))
    assert not table.leaves_grid(index).any()
    np.testing.assert_allclose(table.interpolated(index), cubic(*index), rtol=1e-9, atol=1e-9)


@pytest.mark.requirement("AT-STR-002")
@pytest.mark.parametrize(("index", "leaves"), [
    # A box of 0..9: the C program wants h - 2 >= 0 and h + 3 <= 10.
    (1.999, True), (2.0, False), (7.0, False), (7.001, True), (-5.0, True)])
def test_where_interpolation_ends(index, leaves):
    table = StructureFactorTable(StructureFactors(0.0, np.zeros((10, 10, 10))))
    assert table.leaves_grid(np.array([[5.0], [index], [5.0]])) == [leaves]


@pytest.mark.parametrize(("hkl", "amplitudes", "says"), [
    (np.empty((0, 3), dtype=int), [], ("structure_factors.grid", "(0, 3)", "0 amplitudes", "h k l")),
    ([[1, 2, 3]], [1.0, 2.0], ("structure_factors.grid", "(1, 3)", "2 amplitudes", "h k l")),
    ([[0, 0, 0], [10**6, 10**6, 1]], [1.0, 1.0],
     ("structure_factors.grid", "h 0 to 1000000, k 0 to 1000000, l 0 to 1", str(MAX_GRID_POINTS))),
    ([[0, 0, 0]], [np.nan], ("structure_factors.grid", "NaN", "finite")),
])
def test_bad_lists(hkl, amplitudes, says):
    with refusal(ConfigError, *says):
        StructureFactors.from_list(hkl, amplitudes)


@pytest.mark.parametrize("origin", [(0, 0), (0, 0, 1.5), (0, 0, ()), 5])
def test_an_origin_is_three_indices(origin):
    with pytest.raises(ConfigError, match="h, k, l") as error:
        StructureFactors(10.0, origin=origin)
    assert error.value.where == "structure_factors.origin"


def test_amplitudes_between_whole_electrons_are_looked_up_beside_a_whole_default():
    """Defaults are often given as integers, whose type must not round the amplitudes of a list."""
    factors = StructureFactors(3, np.array([[[10.7]]]), (1, 2, 3))
    np.testing.assert_array_equal(factors.at(np.array([[1, 2, 3], [0, 0, 0]])), [10.7, 3.0])
    assert StructureFactors(3).at(np.array([[0, 0, 0]])).dtype == np.float64


@pytest.mark.parametrize("group", ["P 21 21 21", "P 31 2 1", "I 2 3", 5])
@pytest.mark.parametrize("half", [False, True])
def test_a_list_of_unique_reflections_is_expanded_by_its_space_group(group, half):
    """Amplitudes of atoms by direct summation over all symmetry mates of the atoms, which no expansion enters."""
    import gemmi

    rng = np.random.default_rng(4)
    atoms, weights = rng.uniform(size=(3, 3)), np.array([6.0, 8.0, 16.0])
    space_group = (gemmi.find_spacegroup_by_number(group) if isinstance(group, int) else gemmi.SpaceGroup(group))
    places = np.array([[op.apply_to_xyz(atom.tolist()) for op in space_group.operations()] for atom in atoms])
    hkl = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[hkl.any(axis=1)]
    expected = np.abs((np.exp(2j * np.pi * places @ hkl.T).sum(axis=1) * weights[:, None]).sum(axis=0))
    asu = gemmi.ReciprocalAsu(space_group)
    unique = np.array([asu.is_in(row) for row in hkl.tolist()])
    rows, given = hkl[unique].astype(float if half else int), expected[unique]
    factors = StructureFactors.from_list(rows, given, 7.0 if half else 0.0, space_group=space_group if half else group)
    # Mates outside of the cube are not listed, as of hexagonal axes; inside, every reflection is.
    np.testing.assert_allclose(factors.at(hkl), expected, rtol=1e-9, atol=1e-9)


def test_a_list_with_mates_that_differ_is_averaged_and_friedel_mates_stay_apart():
    listed = np.array([[1, 2, 3], [-1, -2, 3], [-1, -2, -3]])
    factors = StructureFactors.from_list(listed, [10.0, 20.0, 40.0], space_group="P 2")
    # b is the unique axis of P 2: (1, 2, 3) has the mate (-1, 2, -3), and (-1, -2, 3) is a Friedel mate of that.
    np.testing.assert_allclose(factors.at(np.array([[1, 2, 3], [-1, 2, -3], [-1, -2, -3], [1, -2, 3], [-1, -2, 3]])),
                               [10.0, 10.0, 40.0, 40.0, 20.0])


@pytest.mark.parametrize(("hkl", "amplitudes", "value", "keyword"), [
    ([[1, 2, 3.5]], [1.0], "float64", "whole"), ([["a", "b", "c"]], [1.0], "<U1", "whole"),
    ([[1, 2, 3]], [1.0 + 1.0j], "complex128", "real"), ([[1, 2, 3]], ["x"], "<U1", "real"),
    ([[1, 2, 3], [2, 2, 3]], [1.0, np.nan], "row 1", "finite"), ([[1, 2, 3]], [[1.0]], "(1, 1)", "amplitudes"),
    ([1, 2, 3], [1.0], "(3,)", "rows")])
def test_a_list_of_other_things_is_refused(hkl, amplitudes, value, keyword):
    with refusal(ConfigError, "structure_factors.grid", "", keyword):
        StructureFactors.from_list(hkl, amplitudes)
    with pytest.raises(ConfigError) as caught:
        StructureFactors.from_list(hkl, amplitudes)
    assert value in caught.value.what
    with refusal(ConfigError, "space_group", "'P 9'", "unknown"):
        StructureFactors.from_list([[1, 2, 3]], [1.0], space_group="P 9")
