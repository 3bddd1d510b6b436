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
