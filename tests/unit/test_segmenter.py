"""Scores of the network of the guide, by spot."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "specs" / "guide" / "train_segmenter.py"


@pytest.mark.torch
def test_groups_find_the_reflection_with_most_of_their_pixels():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    spec = importlib.util.spec_from_file_location("train_segmenter", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    spots, found = torch.zeros((2, 6, 9), dtype=torch.long), torch.zeros((2, 6, 9), dtype=torch.bool)
    spots[0, 0, 0:3] = 1  # found in two groups
    spots[0, 2, 0:2] = 2  # in one group with 3, which has more pixels in it
    spots[0, 2, 2:5] = 3
    spots[0, 5, 7] = 4  # missed
    spots[1, 0, 0] = 1  # of another shot; touched at a corner
    found[0, 0, 0] = found[0, 0, 2] = True
    found[0, 2, 0:5] = True
    found[0, 4, 6] = True  # beside 4
    found[1, 0, 0] = found[1, 1, 1] = True
    assert len(torch.unique(script.groups(found))) == 1 + 5
    # 1, 3, and 1 of the second shot, of 5 groups and 5 reflections.
    assert script.spot_scores(found, spots) == pytest.approx((0.6, 0.6, 0.6))
    # Of at least 2 pixels: 3, and 1 of the second shot.
    assert script.spot_scores(found, spots, 2) == pytest.approx((1.0, 0.4, 4.0 / 7.0))
    assert script.spot_scores(found & False, spots) == (0.0, 0.0, pytest.approx(0.0))
    assert script.pixel_scores(found, spots) == pytest.approx((8.0 / 10.0, 8.0 / 10.0, 0.8))
