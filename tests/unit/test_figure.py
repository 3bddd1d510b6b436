"""Annotated pictures: rings where Bragg's law puts them, labels that keep apart, images of every kind."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from PIL import Image

from cubragg.errors import ConfigError
from cubragg.experiment import Detector
from cubragg.experiment.panel import Panel
from cubragg.view.annotations import ring_resolutions
from cubragg.view.assembly import assembly_of
from cubragg.view.colours import COLOUR_MAPS, Style
from cubragg.view.figure import draw, require_matplotlib, write_picture
from cubragg.view.notes import Notes, Spots
from cubragg.view.resolution import beam_spot, image_resolution
from support.messages import refusal

LAMBDA = 1.0


def placed_detector(fast=400, slow=300, **settings):
    return Detector(**{"pixel_size_mm": 0.2, "fast_pixels": fast, "slow_pixels": slow, "distance_mm": 100.0,
                       **settings}).placed()


def drawn(image, notes, style=None, mask=None):
    figure = Figure()
    FigureCanvasAgg(figure)
    draw(figure, image, style or Style(), notes, mask)
    figure.canvas.draw()
    return figure


def noted(placed, **settings):
    spot = beam_spot(*placed)
    return Notes(resolution_A=image_resolution(*placed, LAMBDA), beam_px=(spot.fast_px, spot.slow_px), **settings)


def spotted(shape, seed=1):
    image = np.random.default_rng(seed).poisson(3.0, shape).astype(np.float32)
    image[shape[0] // 3, shape[1] // 4] = 500.0
    return image


@pytest.mark.requirement("AT-PIC-005")
def test_rings_lie_where_braggs_law_puts_them():
    placed = placed_detector()
    axes = drawn(spotted((300, 400)), noted(placed)).axes[0]
    rings = [artist for artist in axes.collections if isinstance(artist, ContourSet)]
    labels = [float(text.get_text().removesuffix(" Å")) for text in axes.texts]
    assert len(rings) == len(labels) == 5
    for ring, spacing in zip(rings, labels, strict=True):
        points = np.concatenate([line for line in ring.allsegs[0] if len(line)])
        radius_mm = 0.2 * np.hypot(points[:, 0] - placed.frame.fbeam / 2e-4, points[:, 1] - placed.frame.sbeam / 2e-4)
        expected = 100.0 * np.tan(2.0 * np.arcsin(LAMBDA / (2.0 * spacing)))
        np.testing.assert_allclose(radius_mm, expected, atol=0.01)  # a twentieth of a pixel


@pytest.mark.requirement("AT-PIC-007")
def test_texts_keep_apart_and_inside():
    placed = placed_detector(twotheta_deg=20.0)
    rng = np.random.default_rng(4)
    spots = Spots(rng.uniform(0, 400, 250), rng.uniform(0, 300, 250), rng.integers(-40, 40, (250, 3)))
    figure = drawn(spotted((300, 400)), noted(placed, spots=spots, zoom=True))
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    texts = [text for text in axes.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer).padded(-1.0) for text in texts]
    assert len([text for text in texts if "Å" in text.get_text()]) >= 3
    assert len(texts) > 50
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    frame = axes.get_window_extent(renderer)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_indices_are_beside_their_spots():
    spots = Spots(np.array([100.5, 900.0]), np.array([50.5, 20.0]), np.array([[1, -2, 13], [0, 0, 4]]))
    axes = drawn(spotted((300, 400)), Notes(spots=spots)).axes[0]
    (text,) = axes.texts  # the other spot is off the image
    assert text.get_text() == "1 \N{MINUS SIGN}2 13"
    assert np.hypot(text.get_position()[0] - 100.5, text.get_position()[1] - 50.5) < 25.0


@pytest.mark.requirement("AT-PIC-007")
def test_the_close_up_is_of_the_brightest_spot_away_from_the_beam():
    placed = placed_detector()
    image = np.ones((300, 400), np.float32)
    image[int(placed.frame.sbeam / 2e-4), int(placed.frame.fbeam / 2e-4)] = 1e6
    image[70, 90], image[71, 90] = 50.0, 25.0
    titles = [axes.get_title() for axes in drawn(image, noted(placed, zoom=True)).axes]
    assert [title for title in titles if title] == ["50 at 90, 70"]


@pytest.mark.requirement("AT-PIC-012")
@pytest.mark.parametrize("colours", ["grey", "viridis"])
def test_the_direct_beam_does_not_change_the_picture_of_the_rest(tmp_path, colours):
    placed = placed_detector()
    notes = Notes(beam_px=(placed.frame.fbeam / 2e-4, placed.frame.sbeam / 2e-4))
    image = spotted((300, 400))
    beam = (slice(147, 153), slice(197, 203))
    pictures = []
    for photons in (3.0, 1e9):
        image[beam] = photons
        write_picture(tmp_path / "a.png", image, Style(colours, percentiles=(0.0, 100.0)), notes)
        with Image.open(tmp_path / "a.png") as picture:
            pictures.append(np.array(picture))
        pictures[-1][beam] = 0
    np.testing.assert_array_equal(*pictures)


def test_the_scale_bar_has_its_length():
    notes = Notes(beam_px=(200.0, 150.0), pixel_mm=0.2)
    axes = drawn(spotted((300, 400)), notes).axes[0]
    text, = axes.texts
    bar, = [line for line in axes.lines if line.get_linewidth() == 3.0]
    assert text.get_text() == "10 mm"
    assert np.ptp(bar.get_xdata()) == pytest.approx(50.0)


def test_spots_of_an_assembled_image_are_on_their_pixels():
    """The brightest pixel of each of two panels that are turned by 90 degrees, found again in the drawn picture."""
    panels = (Panel(40, 30, (2.0, 1.0, 100.0), (0.2, 0.0, 0.0), (0.0, 0.2, 0.0)),
              Panel(40, 30, (-2.0, -1.0, 100.0), (0.0, -0.2, 0.0), (-0.2, 0.0, 0.0), offset=(0, 30)))
    image = np.zeros((60, 40), np.float32)
    image[7, 30] = image[48, 11] = 100.0
    spots = Spots(np.array([30.5, 11.5]), np.array([7.5, 48.5]), np.array([[1, 2, 3], [4, 5, 6]]))
    assembly = assembly_of(panels, (0.0, 0.0, 1.0))
    axes = drawn(image, Notes(spots=spots, assembly=assembly, panels=panels, pixel_mm=0.2, zoom=True)).axes[0]
    dark = np.asarray(axes.images[0].get_array()).max(axis=-1) < 10
    slow, fast = np.nonzero(dark)
    circles = axes.collections[0].get_offsets()
    assert len(circles) == 2
    for place in circles:
        assert np.hypot(fast + 0.5 - place[0], slow + 0.5 - place[1]).min() < 1.0


IMAGES = {
    "zeros": np.zeros((20, 30)), "nan": np.full((20, 30), np.nan), "inf": np.full((20, 30), np.inf),
    "negative": np.full((20, 30), -3.0), "one pixel": np.array([[5.0]]), "one row": np.arange(50.0)[None],
    "one column": np.arange(50.0)[:, None], "tiny": np.full((20, 30), 1e-45), "huge": np.full((20, 30), 1e38),
}


@pytest.mark.requirement("AT-PIC-004")
@pytest.mark.parametrize("scale", ["sqrt", "log", "linear"])
@pytest.mark.parametrize("name", IMAGES)
def test_images_of_every_kind(tmp_path, name, scale):
    image = IMAGES[name]
    placed = placed_detector(fast=image.shape[1], slow=image.shape[0])
    write_picture(tmp_path / "a.png", image, Style("sea", scale), noted(placed, zoom=True))
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 200


def test_masked_pixels_have_their_colour_and_a_legend():
    mask = np.ones((300, 400), bool)
    mask[100:110] = False
    figure = drawn(spotted((300, 400)), Notes(), mask=mask)
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    masked = list(bytes.fromhex(COLOUR_MAPS["inverted"].masked))
    assert (pixels == masked).all(axis=-1).sum() > 9 * 400
    assert "masked" in [text.get_text() for text in figure.texts]


def test_names_are_not_mathematics(tmp_path):
    title = "a$_{b}$" * 40 + "tail.cbf"
    figure = drawn(spotted((30, 40)), Notes(title=title, facts="$1"))
    assert figure.texts[0].get_text().endswith("tail.cbf")
    assert len(figure.texts[0].get_text()) < len(title)


def test_a_panel_gap_has_no_ring():
    placed = placed_detector()
    notes = noted(placed)
    notes.resolution_A[140:160] = np.nan
    rings = [artist for artist in drawn(spotted((300, 400)), notes).axes[0].collections
             if isinstance(artist, ContourSet)]
    points = np.concatenate([line for ring in rings for line in ring.allsegs[0] if len(line)])
    assert not ((points[:, 1] > 140.5) & (points[:, 1] < 159.5)).any()
    assert len(points) > 100


@pytest.mark.parametrize(("least", "most", "expected"), [
    (0.0, 0.59, [9.5, 4.5, 3.0, 2.3, 1.9]), (0.2, 0.2001, []), (0.0, 0.0, [])])
def test_round_resolutions(least, most, expected):
    assert ring_resolutions(least, most) == expected


def test_rings_divide_any_range():
    rng = np.random.default_rng(3)
    for most in 10.0 ** rng.uniform(-3.0, 1.0, 200):
        found = ring_resolutions(most * rng.uniform(0.0, 0.5), most)
        assert 4 <= len(found) <= 5
        assert all(1.0 / spacing < most for spacing in found)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure")
    with refusal(ConfigError, "--png-rings", "", "matplotlib", "pip install 'cubragg[plot]'"):
        require_matplotlib("--png-rings")
