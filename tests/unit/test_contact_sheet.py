"""Contact sheets: every picture in its place, its name below."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cubragg.view.colours import Style
from cubragg.view.contact_sheet import Tile, contact_sheet, small_image, tiles_of, write_sheet
from cubragg.view.notes import Notes


def tiles(count: int) -> list[Tile]:
    return [Tile(np.full((60, 80, 3), (40 * number, 10, 200), dtype=np.uint8), f"shot {number}")
            for number in range(count)]


@pytest.mark.requirement("AT-PIC-014")
def test_pictures_are_in_rows_of_four():
    sheet = contact_sheet(tiles(6))
    for number in range(6):
        row, column = divmod(number, 4)
        step = sheet.shape[0] // 2
        part = sheet[row * step:row * step + 60, column * 84:column * 84 + 80]
        assert (part == (40 * number, 10, 200)).all()
        assert (sheet[row * step + 60:(row + 1) * step, column * 84:column * 84 + 80] < 128).any()  # its name
    assert (sheet[sheet.shape[0] // 2:, 2 * 84:] == 255).all()


def test_small_images_are_enlarged_and_large_ones_reduced():
    for size, shown in ((10, 320), (100, 300), (1000, 250)):
        assert small_image(np.ones((size, size)), Style(), Notes(), None).pixels.shape == (shown, shown)


@pytest.mark.requirement("AT-PIC-014")
def test_images_of_one_file_have_one_scale():
    weak, strong = (small_image(np.full((8, 8), value), Style(), Notes(), None) for value in (1.0, 4.0))
    for one_scale, expected in ((True, 128), (False, 0)):  # the root of 1/4; the largest value
        tile, other = tiles_of([weak, strong], ["a", "b"], Style(), one_scale=one_scale)
        assert tile.colours[0, 0, 0] == pytest.approx(expected, abs=1)
        assert other.colours[0, 0, 0] == 0


def test_names_of_any_letters_and_length():
    assert contact_sheet([Tile(tiles(1)[0].colours, "Kristall_Ä_" + 200 * "x")]).shape == (78, 84, 3)


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_files(tmp_path, name, start):
    write_sheet(tmp_path / name, tiles(5), None)
    assert (tmp_path / name).read_bytes().startswith(start)
    if name == "a.svg":
        assert "shot 4" in (tmp_path / name).read_text()
    write_sheet(tmp_path / "b.png", tiles(5), 200.0)
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.width == pytest.approx(2 * 4 * 84, abs=2)
