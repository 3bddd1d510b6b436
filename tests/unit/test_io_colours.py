"""From values to colours, and the PNG file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from cubragg.errors import ConfigError
from cubragg.view.colour_tables import TABLES
from cubragg.view.colours import COLOUR_MAPS, SCALES, Limits, Style, levels, limits, paint, shrunk
from cubragg.view.png import LONGEST_EDGE, picture, write_png
from support.messages import refusal

EVERY_LEVEL = np.linspace(0.0, 1.0, 256)


def luminance(colours):
    """Relative luminance of sRGB (IEC 61966-2-1)."""
    x = np.asarray(colours) / 255.0
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.requirement("AT-PIC-002")
@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_luminance_goes_one_way(name):
    sign = -1.0 if COLOUR_MAPS[name].is_light else 1.0
    rising = sign * luminance(paint(EVERY_LEVEL, name))
    if name not in TABLES:  # matplotlib's tables are rounded to 8 bits, which turns a few single steps
        assert (np.diff(rising) >= 0.0).all()
    assert (rising[3:] > rising[:-3]).all()  # near black, whole numbers hold two or three levels


@pytest.mark.requirement("AT-PIC-002")
@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_masked_pixels_have_a_colour_of_their_own(name):
    masked = paint(np.array([np.nan]), name)[0].astype(float)
    nearest = np.linalg.norm(paint(EVERY_LEVEL, name) - masked, axis=1).min()
    assert nearest > 15.0


@pytest.mark.requirement("AT-PIC-002")
@pytest.mark.parametrize("name", [*TABLES, "gray", "gray_r"])
def test_colours_of_matplotlibs_names_are_matplotlibs(name):
    from matplotlib import colormaps

    expected = 255.0 * colormaps[name](EVERY_LEVEL)[:, :3]
    np.testing.assert_allclose(paint(EVERY_LEVEL, name), expected, atol=0.51)


def test_greys_by_hand():
    assert paint(np.array([0.0, 0.2, 1.0]), "grey").tolist() == [[0] * 3, [51] * 3, [255] * 3]
    assert paint(np.array([0.0, 0.2, 1.0]), "inverted").tolist() == [[255] * 3, [204] * 3, [0] * 3]


@pytest.mark.requirement("AT-PIC-001")
@pytest.mark.parametrize(("scale", "low", "level"), [
    ("linear", 0.0, 0.25), ("linear", 10.0, 15.0 / 90.0), ("sqrt", 0.0, 0.5),
    ("log", 0.01, np.log(2500) / np.log(1e4))])
def test_scales_by_hand(scale, low, level):
    values = np.array([-np.inf, -5.0, low, 25.0, 100.0, 1e9, np.inf, np.nan])
    np.testing.assert_allclose(levels(values, Limits(low, 100.0), scale), [0, 0, 0, level, 1, 1, 1, np.nan], rtol=1e-14)


@pytest.mark.requirement("AT-PIC-001")
def test_percentiles_are_of_the_positive_pixels():
    # 1 to 1000 in any order: the p-th percentile is 10 p of them; what is not positive has no say
    image = np.concatenate([np.random.default_rng(1).permutation(1000) + 1.0, np.zeros(500), [-7.0, np.nan, np.inf]])
    assert limits(image, Style(percentiles=(10.0, 90.0))) == (100.0, 900.0)
    assert limits(image, Style(percentiles=(0.0, 100.0))) == (1.0, 1000.0)


@pytest.mark.requirement("AT-PIC-001")
def test_automatic_limits():
    spots = np.full(10_000, 1e-9)
    spots[:100] = 1000.0
    assert limits(spots, Style()) == (0.0, 1000.0)
    background = np.full(10_000, 4.0)
    background[:10] = 1e6  # too few for the percentile
    assert limits(background, Style()) == (0.0, 40.0)
    assert limits(background, Style(scale="log")) == (4.0, 40.0)
    spots[1000:2000] = 1.0
    assert limits(spots, Style(scale="log")) == (0.1, 1000.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("value", "gray"), [
    (0.0, 255), (-1.0, 255), (7.0, 0), (np.inf, 0), (-np.inf, 255), (1e-45, 0), (3e38, 0)])
def test_flat_images(scale, value, gray):
    assert np.unique(picture(np.full((2, 3), value, np.float32), Style(scale=scale))).tolist() == [gray]


@pytest.mark.requirement("AT-PIC-001")
@given(image=arrays.arrays(np.float64, (3, 4)), scale=st.sampled_from(SCALES))
def test_pictures_never_warn_and_keep_order(image, scale):
    painted = picture(image, Style("grey", scale))[..., 0].astype(int)
    known = ~np.isnan(image)
    order = np.argsort(image[known], kind="stable")
    assert (np.diff(painted[known][order]) >= 0).all()


def test_weak_spots_show_beside_strong_ones():
    photons = np.zeros((100, 100), np.float32)
    photons[::10, ::10] = 5.0
    photons[50, 50] = 1e6
    assert picture(photons)[10, 10, 0] < 128


@pytest.mark.requirement("AT-PIC-003")
def test_shrinking_keeps_a_single_bright_pixel():
    image = np.zeros((1001, 701))
    image[1000, 700] = 5.0
    small, block = shrunk(image, 250)
    assert (small.shape, block) == ((201, 141), 5)
    assert small[200, 140] == 5.0
    assert small.sum() == 5.0


def test_shrinking_leaves_masked_pixels_out():
    image = np.array([[np.nan, 1.0, np.nan, np.nan], [-3.0, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(shrunk(image, 2)[0], [[1.0, np.nan]])


@pytest.mark.requirement("AT-PIC-003")
def test_large_pictures_shrink():
    image = np.zeros((4371, 4150), np.float32)
    image[4370, 4149] = 9.0
    painted = picture(image)
    assert max(painted.shape) <= LONGEST_EDGE
    assert painted[-1, -1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("settings", "says"), [
    ({"colours": "pink"}, ("picture.colours", "pink", "inverted", "grey", "sea", "fire")),
    ({"scale": "cubic"}, ("picture.scale", "cubic", "linear", "sqrt", "log")),
    ({"percentiles": (99.0, 1.0)}, ("picture.percentiles", "99 1", "percentile", "100", "lower")),
    ({"percentiles": (np.nan, 1.0)}, ("picture.percentiles", "nan 1", "percentile", "100", "lower")),
])
def test_styles_that_cannot_be(settings, says):
    with refusal(ConfigError, *says):
        Style(**settings)


@pytest.mark.parametrize(("style", "mode"), [(Style(), "L"), (Style("sea"), "RGB")])
def test_png_is_the_picture(tmp_path, style, mode):
    photons = np.arange(12.0).reshape(3, 4)
    write_png(tmp_path / "a.png", photons, style)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (4, 3))
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture(photons, style))


def test_masked_pixels_in_a_picture():
    mask = np.array([[True, False], [True, True]])
    painted = picture(np.array([[1.0, 1e9], [np.nan, 1.0]]), mask=mask)
    masked = list(bytes.fromhex(COLOUR_MAPS["inverted"].masked))
    assert painted.tolist() == [[[0, 0, 0], masked], [masked, [0, 0, 0]]]
