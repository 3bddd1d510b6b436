"""What users do with an image: counts, reflections, pictures."""

from __future__ import annotations

import dataclasses
import io
import math
import warnings

import numpy as np
import pytest

import cubragg as cb
from support.experiments import small_experiment
from support.messages import mentioned, refusal, states


@pytest.fixture(scope="module")
def image() -> cb.Image:
    experiment = cb.Experiment(
        cb.Crystal(cell=(40, 50, 60, 90, 90, 90), cells=(12, 12, 12)), cb.StructureFactors(default_F=300.0),
        cb.Beam(wavelength_A=1.0, fluence=1e26),
        cb.Detector(distance_mm=100, pixel_size_mm=0.2, fast_pixels=90, slow_pixels=70))
    return cb.simulate(experiment, backend="numpy")


def test_counts_are_poisson_draws_around_the_photons(image):
    draws = np.array([image.counts(seed) for seed in range(400)])
    assert (draws.dtype, draws.shape[1:]) == (np.int32, image.photons.shape)
    error = np.sqrt(np.maximum(image.photons, 1e-3) / len(draws))
    assert (np.abs(draws.mean(axis=0) - image.photons) < 6.0 * error + 0.05).all()
    chi2 = ((draws - image.photons) ** 2 / np.maximum(image.photons, 1.0))[:, image.photons > 1.0].mean()
    assert chi2 == pytest.approx(1.0, abs=0.02)


def test_the_seed_decides_the_counts(image):
    np.testing.assert_array_equal(image.counts(seed=3), image.counts(seed=3))
    assert (image.counts(seed=3) != image.counts(seed=4)).any()


def test_counts_beyond_32_bits_are_refused(image):
    from dataclasses import replace

    with refusal(cb.FormatError, "", "", "pixel", "fast", "slow", "2147483647"):
        replace(image, photons=image.photons * np.float32(1e12)).counts()


def test_reflections_add_up_to_the_image(image):
    table = image.reflections(min_photons=1e-6)
    assert len(table) > 10
    assert table.photons.sum() == pytest.approx(image.photons.sum(dtype=float), rel=1e-4)
    np.testing.assert_array_equal(table.hkl, cb.predict(image.experiment, min_photons=1e-6, backend="numpy").hkl)


def test_columns_of_the_reflection_table(image):
    table = image.reflections()
    columns = table.as_dict()
    assert {len(column) for column in columns.values()} == {len(table)}
    np.testing.assert_array_equal(np.column_stack([columns[name] for name in "hkl"]), table.hkl)
    assert columns["direct_beam"].dtype == bool
    frame = pytest.importorskip("pandas").DataFrame(columns)
    assert table.to_pandas().equals(frame)


def test_the_notebook_picture_is_a_png_of_the_image(image):
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(image._repr_png_())))
    assert picture.shape == image.photons.shape
    brightest = np.unravel_index(image.photons.argmax(), image.photons.shape)
    assert picture[brightest] == picture.min()  # dark spots on white


def test_methods_and_precisions_that_do_not_exist(image):
    for call, keyword in ((cb.simulate, {"method": "guessed"}), (cb.predict, {"method": "guessed"}),
                          (cb.predict, {"precision": "single"})):
        name, value = next(iter(keyword.items()))
        with refusal(cb.ConfigError, name, value):
            call(image.experiment, **keyword)


# Files

@pytest.mark.parametrize("name", ["a.cbf", "a.img", "a.nxs", "a.h5", "a.tif", "a.npy"])
def test_saved_counts_are_read_back(image, name, tmp_path):
    from cubragg.io.images.read_image import read_image

    image.save(tmp_path / name, seed=5)
    if name == "a.npy":
        pixels = np.load(tmp_path / name)
    else:
        pixels = read_image(tmp_path / name).pixels - 40 * (name == "a.img")
    np.testing.assert_array_equal(pixels, image.counts(seed=5))


def test_the_offset_of_an_smv_file_is_subtracted(image, tmp_path):
    """IMAGE_PEDESTAL of its header; nanoBragg's header has none, so that its pixels are taken as they are."""
    from cubragg import read
    from cubragg.io.images.smv import read_smv, write_smv

    image.save(tmp_path / "a.img", seed=5)
    found = read(tmp_path / "a.img")
    assert found.pedestal == 40.0
    assert found.counts().dtype == np.int32
    np.testing.assert_array_equal(found.counts(), image.counts(seed=5))
    np.testing.assert_array_equal(found.photons, image.counts(seed=5))
    assert found.pixels.min() >= 40
    found.save(tmp_path / "b.img")
    np.testing.assert_array_equal(read(tmp_path / "b.img").counts(), found.counts())
    smv = read_smv(tmp_path / "a.img")
    for value in (None, "NaN", "1e9"):
        header = {**{key: text for key, text in smv.header.items() if key != "IMAGE_PEDESTAL"},
                  **({} if value is None else {"IMAGE_PEDESTAL": value})}
        write_smv(tmp_path / "c.img", smv.pixels, header)
        np.testing.assert_array_equal(read(tmp_path / "c.img").counts(), smv.pixels)


@pytest.mark.parametrize("name", ["a.nxs", "a.tif", "a.npy", "a.bin"])
def test_saved_photons_are_read_back(image, name, tmp_path):
    from cubragg.io.images.read_image import read_image

    image.save(tmp_path / name, what="photons")
    pixels = (np.load(tmp_path / name) if name == "a.npy" else
              read_image(tmp_path / name, shape=image.photons.shape).pixels)
    np.testing.assert_array_equal(pixels, image.photons)


@pytest.mark.parametrize("name", ["a.cbf", "a.nxs", "a.img"])
def test_saved_files_describe_the_experiment(image, name, tmp_path):
    from cubragg.io.geometry.sniff import read_header

    image.save(tmp_path / name)
    models = read_header(tmp_path / name)
    assert models.beam.wavelength_A == pytest.approx(1.0, abs=1e-9)


def test_overloads_are_stored_as_the_largest_count(image, tmp_path):
    """In physical semantics, as a detector does; in nanobragg semantics CBF refuses them."""
    from dataclasses import replace

    from cubragg.io.images.smv import read_smv

    bright = replace(image, photons=image.photons * np.float32(1e7))
    bright.save(tmp_path / "a.img")
    assert read_smv(tmp_path / "a.img").pixels.max() == 65535
    brighter = replace(image, photons=image.photons * np.float32(1e12))
    brighter.save(tmp_path / "a.cbf")
    assert cb.read(tmp_path / "a.cbf").pixels.max() == 2**31 - 1
    nanobragg = replace(brighter, experiment=replace(image.experiment, semantics="nanobragg"))
    with refusal(cb.FormatError, str(tmp_path / "b.cbf"), "", "pixel", "2147483647"):
        nanobragg.save(tmp_path / "b.cbf")
    assert not (tmp_path / "b.cbf").exists()


@pytest.mark.parametrize(("name", "what", "says"), [
    ("a.xyz", "counts", ("a.xyz", "", ".cbf")), ("a.cbf", "photons", ("a.cbf", "", "counts")),
    ("a.img", "photons", ("a.img", "", "counts")), ("a.bin", "counts", ("a.bin", "", "photons"))])
def test_what_a_format_does_not_hold(image, name, what, says, tmp_path):
    with refusal(cb.FormatError, *says):
        image.save(tmp_path / name, what=what)
    with refusal(cb.ConfigError, "what", "light", "counts", "photons"):
        image.save(tmp_path / name, what="light")
    assert not list(tmp_path.iterdir())


def test_a_geometry_that_a_format_cannot_describe(image, tmp_path):
    from dataclasses import replace

    experiment = image.experiment
    detector = replace(experiment.detector, twotheta_deg=20.0)
    tilted = cb.simulate(replace(experiment, detector=detector), backend="numpy")
    with refusal(cb.FormatError, str(tmp_path / "a.cbf"), "", "face"):
        tilted.save(tmp_path / "a.cbf")
    tilted.save(tmp_path / "a.nxs")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nxs"]


@pytest.fixture(scope="module")
def oblique() -> cb.Image:
    """An image on a panel whose axes are 0.57 deg from perpendicular."""
    panel = cb.Panel(100, 80, (-5.0, 4.0, -120.0), (0.1, 0.0, 0.0), (0.001, -0.1, 0.0))
    return cb.simulate(cb.Experiment(
        cb.Crystal(cell=(40, 50, 60, 90, 90, 90)), cb.StructureFactors(default_F=100.0),
        cb.Beam(wavelength_A=1.0, direction=(0.0, 0.0, -1.0)), cb.Detector(panels=(panel,))), backend="numpy")


@pytest.mark.requirement("AT-FROM-067")
@pytest.mark.parametrize("name", ["a.nxs", "a.h5"])
def test_oblique_panels_are_saved_with_a_warning(oblique, tmp_path, name):
    with pytest.warns(cb.CubraggWarning) as caught:
        oblique.save(tmp_path / name)
    warning, = caught
    assert warning.filename == __file__
    written, = cb.read(tmp_path / name).experiment.detector.panels
    panel, = oblique.experiment.detector.panels
    shift_px = max(math.dist(*corners) for corners in zip(written.corners_mm, panel.corners_mm, strict=True)) / 0.1
    assert 0.2 < shift_px < 0.4
    states(str(warning.message), str(tmp_path / name), f"{shift_px:.3g} pixels", "perpendicular")


@pytest.mark.requirement("AT-FROM-067")
def test_a_warning_that_is_an_error_leaves_no_file(oblique, tmp_path):
    with warnings.catch_warnings(action="error"), pytest.raises(cb.CubraggWarning):
        oblique.save(tmp_path / "a.nxs")
    assert not list(tmp_path.iterdir())
    oblique.save(tmp_path / "a.npy")  # which has no geometry


def test_a_saved_picture(image, tmp_path):
    image.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_shows_rings_and_spots(image, tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    assert image.plot(figure, spots=True, zoom=True) is figure
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("Å" in text for text in texts)  # labels of rings
    figure.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with pytest.raises(cb.ConfigError, match=r"colours.*pink.*accepted"):
        image.plot(figure, colours="pink")


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_pixels_that_are_nan_or_infinite(backend):
    """Each is called what it is, whatever the backend; the brightest pixel is one with a number."""
    image = cb.simulate(small_experiment(), backend=backend)
    photons = image.photons.copy()
    photons[3, 4], photons[5, 6], photons[0, 0] = 1e9, np.inf, np.nan
    found = dataclasses.replace(image, photons=photons)
    assert mentioned(found.warnings, "", "1 pixels are inf", "largest")
    assert mentioned(found.warnings, "", "1 pixels are NaN", "double precision")
    photons[5, 6] = 1.0
    found = dataclasses.replace(image, photons=photons)
    assert (found.figures.max_photons, found.max_pixel) == (1e9, (4, 3))
    assert not mentioned(found.warnings, "", "", "inf")
    nothing = dataclasses.replace(image, photons=np.full_like(photons, np.nan))
    assert (nothing.figures.max_photons, nothing.max_pixel) == (0.0, (0, 0))
    assert not mentioned(nothing.warnings, "", "", "zero")


def test_a_plot_of_counts_with_the_brightest_spots():
    from matplotlib.figure import Figure

    from cubragg.testing import image

    shown = image()
    figures = [shown.plot(Figure(), rings=False, **more) for more in ({}, {"counts": True, "seed": 3}, {"spots": 2},
                                                                      {"spots": True})]
    photons, counts = (figure.axes[0].images[0].get_array() for figure in figures[:2])
    assert photons.shape == counts.shape
    assert (photons != counts).any()
    assert figures[1].axes[1].get_ylabel() == "counts (sqrt scale)"
    circles = [len(figure.axes[0].collections[-1].get_offsets()) for figure in figures[2:]]
    assert circles[0] == 2 < circles[1]


def test_an_image_with_warnings_shows_their_number(image):
    assert "warning" not in repr(image)
    dark = dataclasses.replace(image, photons=np.zeros_like(image.photons))
    assert repr(dark).endswith(", 1 warning>")


def test_the_photons_of_an_image_are_those_of_its_region_and_panels():
    experiment = small_experiment(semantics="physical")
    region = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, roi=(5, 20, 8, 15)))
    gaps = dataclasses.replace(experiment, detector=cb.Detector.named("pilatus300k", distance_mm=100.0))
    for image in (cb.simulate(region), cb.simulate(gaps, method="analytic")):
        assert f" pixels, {image.photons.sum(dtype=np.float64):.4g} photons" in repr(image)


@pytest.mark.parametrize("name", ["still.expt", "still.geom", "still.cell"])
def test_a_saved_geometry_is_that_of_the_experiment(image, name, tmp_path):
    image.save_geometry(tmp_path / name)
    parts = cb.read(tmp_path / name)
    if name != "still.cell":
        given, read = image.experiment.placed().panels[0], parts.detector.panels[0]
        assert (read.fast_pixels, read.slow_pixels) == (given.fast_pixels, given.slow_pixels)
        across_read, across = np.hypot(*read.origin_mm[:2]), np.hypot(*given.origin_mm[1:])
        assert across_read == pytest.approx(across)
        assert parts.beam.wavelength_A == pytest.approx(1.0, rel=1e-6)
    if name == "still.cell":
        assert parts.crystal.cell == pytest.approx((40, 50, 60, 90, 90, 90), rel=1e-6)
    if name == "still.expt":
        lengths = np.linalg.norm(np.array(parts.crystal.a_matrix), axis=0)
        assert lengths == pytest.approx(1.0 / np.array([40, 50, 60]), rel=1e-9)


@pytest.mark.parametrize(("suffix", "highest"), [(".cbf", "2147483647"), (".img", "65535")])
def test_a_geometry_names_its_image_and_the_largest_count(image, suffix, highest, tmp_path):
    turned = dataclasses.replace(image.experiment, goniometer=cb.Goniometer(phi_deg=10.0, osc_deg=0.5))
    rotation = cb.simulate(turned, backend="numpy")
    rotation.save(tmp_path / f"image_00001{suffix}")
    for name in ("XDS.INP", "models.expt"):
        rotation.save_geometry(tmp_path / name, tmp_path / f"image_00001{suffix}")
        text = (tmp_path / name).read_text()
        assert highest in text
    assert f"image_00001{suffix}" in text
    assert cb.read(tmp_path / "models.expt").goniometer.osc_deg == 0.5


def test_saved_reflections_are_those_of_the_image(image, tmp_path):
    image.save_reflections(tmp_path / "truth.csv", min_photons=10.0)
    lines = [line for line in (tmp_path / "truth.csv").read_text().splitlines() if not line.startswith("#")]
    column = next(number for number, title in enumerate(lines[0].split(",")) if title.startswith("photons"))
    photons = [float(row.split(",")[column]) for row in lines[1:]]
    np.testing.assert_allclose(photons, image.reflections(10.0).photons, rtol=1e-6)


@pytest.mark.parametrize(("method", "name", "says"), [
    ("save_reflections", "truth.txt", (".csv", ".refl")), ("save_geometry", "models.json", (".expt", "XDS.INP")),
    ("save_geometry", "image.xds", (".expt", "XDS.INP"))])
def test_a_name_that_is_no_format_writes_nothing(image, tmp_path, method, name, says):
    with refusal(cb.FormatError, "", name, *says):
        getattr(image, method)(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_geometry_of_a_format_that_programs_do_not_read(image, tmp_path):
    with refusal(cb.FormatError, "image", "still.tif", ".cbf", ".nxs"):
        image.save_geometry(tmp_path / "still.expt", "still.tif")
    assert not list(tmp_path.iterdir())
