"""Two images side by side: one scale, red and blue differences, marks on each, labels that are not cut off."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from PIL import Image

from cubragg.experiment import Detector
from cubragg.view.colours import Style, diverging, signed_levels
from cubragg.view.figure import draw
from cubragg.view.figure_parts import difference_bar
from cubragg.view.notes import Notes
from cubragg.view.picture_notes import notes_for
from cubragg.view.side_by_side import ImagePair, draw_pair, write_pair
from support.marks import slow_after


def notes(**settings) -> Notes:
    placed = Detector(pixel_size_mm=0.2, fast_pixels=90, slow_pixels=70, distance_mm=30.0).placed()
    return notes_for(("rings",), *placed, 1.0, **{"title": "", "unit": "counts", **settings})


def pair(top: float = 300.0, **settings) -> ImagePair:
    rng = np.random.default_rng(5)
    a, b = (rng.poisson(4.0, (70, 90)).astype(float) for _ in range(2))
    a[30, 60], b[40, 20] = top, 2.0 * top
    return ImagePair(a, b, ("a.cbf", "b.cbf"), None, notes(**settings))


def drawn(images: ImagePair, style: Style | None = None) -> Figure:
    figure = Figure()
    FigureCanvasAgg(figure)
    draw_pair(figure, images, style or Style())
    figure.canvas.draw()
    return figure


@pytest.mark.requirement("AT-PIC-013")
def test_a_and_b_have_one_scale_and_the_same_marks():
    figure = drawn(pair())
    pictures = [axes for axes in figure.axes if len(axes.texts) > 3]
    assert len(pictures) == 3
    marks = [([text.get_text() for text in axes.texts],
              sum(isinstance(artist, ContourSet) for artist in axes.collections)) for axes in pictures]
    assert marks[0] == marks[1] == marks[2]
    assert marks[0][1] >= 3
    same = ImagePair(np.full((70, 90), 4.0), np.full((70, 90), 8.0), ("", ""), None, notes())
    a, b = (drawn(same, Style(scale="linear")).axes[number].images[0].get_array()[5, 5] for number in (0, 1))
    assert (255.0 - a[0]) / (255.0 - b[0]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.requirement("AT-PIC-013")
def test_differences_are_red_above_and_blue_below():
    images = pair()
    colours = drawn(images).axes[2].images[0].get_array()
    assert colours[30, 60].tolist() == [178, 24, 43]
    assert colours[40, 20].tolist() == [33, 102, 172]
    levels = signed_levels(np.array([-8.0, -4.0, 0.0, 1.0, np.nan]), 4.0, "sqrt")
    np.testing.assert_array_equal(levels, [-1.0, -1.0, 0.0, 0.5, np.nan])
    assert diverging(np.array([0.0])).tolist() == [[255, 255, 255]]


def test_masked_pixels_differ_in_neither_image():
    images = pair()
    mask = np.ones((70, 90), dtype=bool)
    mask[30, 60] = False
    masked = ImagePair(images.a, images.b, images.names, mask, images.notes)
    colours = [axes.images[0].get_array()[30, 60].tolist() for axes in drawn(masked).axes[:3]]
    assert colours == [[185, 203, 226], [185, 203, 226], [201, 201, 201]]


@pytest.mark.requirement("AT-PIC-013")
@pytest.mark.parametrize("case", slow_after(2, [
    (70000.0, "linear"), (3e-6, "sqrt"), (70000.0, "sqrt"), (4e7, "log"), (3.0, "linear")]))
def test_no_text_is_cut_off(case):
    """Every text of a figure is inside it, however long the numbers beside the bars are."""
    top, scale = case
    style = Style(scale=scale, percentiles=(0.0, 100.0))
    images = pair(top)
    scaled = ImagePair(images.a * top / 300.0, images.b * top / 300.0, images.names, None, images.notes)
    single = Figure()
    FigureCanvasAgg(single)
    draw(single, scaled.a, style, notes(title="t", unit="photons/pixel"))
    single.canvas.draw()
    for figure in (drawn(scaled, style), single):
        renderer, frame = figure.canvas.get_renderer(), figure.bbox
        for axes in figure.axes:
            for text in (*axes.texts, axes.yaxis.label, axes.xaxis.label, *axes.get_yticklabels()):
                if text.get_text():
                    box = text.get_window_extent(renderer)
                    assert frame.x0 <= box.x0, text
                    assert box.x1 <= frame.x1, text
        labels = [axes.yaxis.label.get_window_extent(renderer) for axes in figure.axes]
        numbers = [[text.get_window_extent(renderer) for text in axes.get_yticklabels() if text.get_text()]
                   for axes in figure.axes]
        assert not any(label.overlaps(box) for label, boxes in zip(labels, numbers, strict=True) for box in boxes)


def test_numbers_beside_the_bar_keep_apart():
    for reach in (1.0, 7.3, 4e5):
        for scale in ("linear", "sqrt"):
            bar = difference_bar(reach, scale, "counts")
            assert np.diff(bar.levels).min() > 0.03
            assert 0.0 in bar.ticks
            np.testing.assert_allclose(bar.ticks, -bar.ticks[::-1], atol=1e-12)


@pytest.mark.parametrize("name", ["p.png", "p.svg", "p.pdf"])
def test_files(tmp_path, name):
    write_pair(tmp_path / name, pair(), Style(dpi=60.0))
    start = (tmp_path / name).read_bytes()[:500]
    assert {"p.png": b"\x89PNG", "p.svg": b"<svg", "p.pdf": b"%PDF"}[name] in start
    if name == "p.png":
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 1000


@pytest.mark.parametrize("scale", slow_after(1, ["sqrt", "linear", "log"]))
@pytest.mark.parametrize("image", [
    np.full((5, 7), np.nan), np.ones((1, 1)), np.zeros((4, 4)), np.full((4, 4), np.inf), np.full((3, 3), 1e308),
    np.array([[np.nan, np.inf, -np.inf, 1e300, -5.0, 1e-300]]), -np.ones((3, 3))], ids=list("abcdefg"))
def test_images_of_any_values(image, scale):
    for other in (image, np.zeros_like(image), np.full_like(image, np.nan)):
        draw_pair(Figure(), ImagePair(image, other, ("a" * 300, "$b$"), None, Notes()), Style(scale=scale))
