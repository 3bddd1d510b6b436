"""Filling-in rules, each value worked out from the C program's branches by hand."""

from __future__ import annotations

import pytest

from cubragg.nanobragg.fill_range import Sweep, fill_phi, fill_range


@pytest.mark.requirement("AT-PHI-001")
@pytest.mark.parametrize(("count", "span", "step", "expected"), [
    (None, None, None, Sweep(1, 0.0, 0.0)),
    (None, None, 0.5, Sweep(2, 0.5, 0.5)),
    (None, 4.0, None, Sweep(2, 4.0, 2.0)),
    (None, 4.0, 1.5, Sweep(3, 4.0, 1.5)),
    (0, None, None, Sweep(1, 1.0, 1.0)),
    (4, None, None, Sweep(4, 1.0, 0.25)),
    (4, None, 0.5, Sweep(2, 0.5, 0.5)),
    (4, 2.0, None, Sweep(4, 2.0, 0.5)),
    (4, 2.0, 0.1, Sweep(4, 2.0, 0.1)),
    (4, 2.0, 0.0, Sweep(4, 2.0, 0.0)),  # a step of 0 given by hand stays: all steps at one angle
])
def test_phi(count, span, step, expected):
    assert fill_phi(count, span, step, 1.0) == expected


@pytest.mark.requirement("AT-SAM-001")
@pytest.mark.parametrize(("count", "span", "step", "expected"), [
    (None, None, None, Sweep(1, 0.0, 0.0)),
    (0, None, None, Sweep(1, 0.0, 0.0)),
    (None, None, 0.5, Sweep(2, 0.5, 0.5)),
    (None, 4.0, None, Sweep(2, 4.0, 4.0)),
    (None, 4.0, 1.5, Sweep(3, 4.0, 1.5)),
    (4, None, None, Sweep(4, 1.0, 0.25)),
    (4, None, 0.5, Sweep(2, 0.5, 0.5)),
    (1, 2.0, None, Sweep(2, 2.0, 2.0)),
    (5, 2.0, None, Sweep(5, 2.0, 0.5)),
    (5, 2.0, 0.1, Sweep(5, 2.0, 0.1)),
    (5, 0.0, None, Sweep(1, 0.0, 0.0)),
    (None, 0.0, 0.1, Sweep(1, 0.0, 0.0)),
])
def test_range(count, span, step, expected):
    assert fill_range(count, span, step, 1.0) == expected


@pytest.mark.requirement("AT-ABS-002")
def test_a_thickness_alone_is_cut_in_two_layers():
    assert fill_range(None, 450.0, None, 0.5, halve_single_width=True) == Sweep(2, 450.0, 225.0)
    assert fill_range(3, 0.0, None, 0.5, halve_single_width=True) == Sweep(1, 0.0, 0.0)
