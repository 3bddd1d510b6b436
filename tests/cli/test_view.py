"""``cubragg view``, and the pictures of ``simulate``."""

from __future__ import annotations

import sys

import fabio
import h5py
import hdf5plugin
import numpy as np
import pytest
from PIL import Image

from cubragg.io.images.raw import read_float, write_float
from cubragg.io.reflections.read_positions import read_positions
from cubragg.view.found_spots import found_spots
from support.command import SMALL, smv
from support.crystfel_files import TWO_PANELS
from support.messages import refused, states

COUNTS = np.arange(600).reshape(20, 30)
#: 30 x 20 pixels on an arm that also leans: everything that a header can get wrong.
LEANING = ("-default_F 100 -cell 100 100 100 90 90 90 -lambda 1.2 -N 5 -distance 80 -pixel 0.5 -detpixels_x 30 "
           "-detpixels_y 20 -oversample 1 -seed 1 -twotheta 25 -detector_rotx 7 -detector_roty -5")


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    """No display, whatever the machine has."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def rows(result):
    assert result.exit_code == 0, result.stderr
    return {line[:18].strip(): line[18:] for line in result.stdout.splitlines()}


def write_eiger(path, frames):
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        file.create_dataset("entry/data/data_000001", data=frames, chunks=(1, *frames.shape[1:]),
                            **hdf5plugin.Bitshuffle(cname="lz4"))


@pytest.fixture
def files(folder):
    fabio.dtrekimage.DtrekImage(data=COUNTS.astype(np.uint16), header={}).write(str(folder / "a.img"))
    negative = COUNTS.astype(np.int32)
    negative[3, 4], negative[5, 6] = -1, -2
    cbf = fabio.cbfimage.CbfImage(data=negative)
    cbf.header["_array_data.header_contents"] = "\r\n".join((
        "# Pixel_size 172e-6 m x 172e-6 m", "# Wavelength 0.9795 A", "# Detector_distance 0.19 m",
        "# Beam_xy (15.00, 10.00) pixels", "# Count_cutoff 590 counts"))
    cbf.write(str(folder / "a.cbf"))
    fabio.tifimage.TifImage(data=negative).write(str(folder / "a.tif"))
    fabio.edfimage.EdfImage(data=COUNTS.astype(np.float32)).write(str(folder / "a.edf"))
    write_float(folder / "a.bin", COUNTS.astype(np.float32))
    frames = np.stack([COUNTS, 2 * COUNTS, 3 * COUNTS]).astype(np.uint32)
    frames[:, 3, 4] = 2**32 - 1
    write_eiger(folder / "a_000001.h5", frames)
    return folder


@pytest.mark.requirement("AT-PIC-008")
@pytest.mark.parametrize(("line", "image", "figures", "saturated", "masked"), [
    ("a.img", "SMV, 30 x 20 pixels (fast slow), uint16", "0, 299.5, 599 at 29 19 (fast slow)",
     "0 (at 65535 and above)", "0"),
    ("a.cbf", "CBF, 30 x 20 pixels (fast slow), int32", None, "10 (at 590 and above)", "2"),
    ("a.tif", "TIFF, 30 x 20 pixels (fast slow), int32", None, "0 (at 2147483647 and above)", "2"),
    ("a.edf", "EDF, 30 x 20 pixels (fast slow), float32", "0, 299.5, 599 at 29 19 (fast slow)", None, "0"),
    ("a.bin --shape 30 20", "float image, 30 x 20 pixels (fast slow), float32", "0, 299.5, 599 at 29 19 (fast slow)",
     None, "0"),
    ("a_000001.h5 --number 2", "Eiger, 30 x 20 pixels (fast slow), uint32, 3 in the file", None,
     "0 (at 4294967294 and above)", "1"),
])
def test_images_of_other_programs(run, files, line, image, figures, saturated, masked):
    found = rows(run(f"view {line} -o p.png"))
    assert found["image"] == image
    assert found.get("saturated") == saturated
    assert found["masked"] == masked
    assert found["written"] == "p.png"
    if figures:
        assert found["min, mean, max"] == figures
    with Image.open("p.png") as picture:
        assert picture.size == (30, 20)


def test_the_frame_that_was_asked_for(run, files):
    assert rows(run("view a_000001.h5 --number 3 -o p.png"))["min, mean, max"].endswith("1797 at 29 19 (fast slow)")
    assert rows(run("view a_000001.h5"))["written"] == "a_000001.h5.1.png (no display is available)"


@pytest.mark.requirement("AT-PIC-008")
def test_our_series_in_one_file(run, folder):
    """Each image once, by its number; the highest trusted count is that of the file."""
    assert run(f"{SMALL} -osc 2 --images 3 -scale 3 --nxmx s.h5 -floatfile f.bin --quiet").exit_code == 0
    for number in (1, 2, 3):
        counts = np.rint(3.0 * np.fromfile(f"f_000{number}.bin", "<f4").astype(float))
        found = rows(run(f"view s.h5 --number {number} -o p.png"))
        assert found["image"] == "NXmx, 12 x 12 pixels (fast slow), uint32, 3 in the file"
        assert found["min, mean, max"].startswith(f"{counts.min():.6g}, {counts.mean():.6g}, {counts.max():.6g} at ")
        assert (found["saturated"], found["masked"]) == ("0 (at 2147483645 and above)", "0")
    refused(run("view s.h5 --number 4"), 1, "s.h5", "4", "number", "3")
    (folder / "cut.h5").write_bytes((folder / "s.h5").read_bytes()[:2500])
    refused(run("view cut.h5"), 1, "cut.h5", "", "h5py")


@pytest.mark.requirement("AT-PIC-009")
def test_without_a_display_the_picture_lies_beside_the_image(run, files):
    assert rows(run("view a.img"))["written"] == "a.img.png (no display is available)"
    assert (files / "a.img.png").exists()


@pytest.mark.requirement("AT-PIC-009")
def test_with_a_display_a_window_opens(run, files, monkeypatch):
    from matplotlib import pyplot

    shown = []
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(pyplot, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf().axes[0].images[0].get_array().shape))
    assert "written" not in rows(run("view a.img"))
    assert shown == [(20, 30, 3)]
    pyplot.close("all")
    assert not list(files.glob("*.png"))


def test_colours_and_scale(run, files):
    run("view a.edf -o p.png --png-colors fire --png-scale linear --png-range 0 100")
    with Image.open("p.png") as picture:
        pixels = np.asarray(picture)
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[19, 29].tolist() == [255, 253, 212]


@pytest.mark.requirement("AT-PIC-010")
def test_geometry_of_a_short_cbf_header(run, files):
    found = rows(run("view a.cbf -o p.png --png-rings"))
    assert found["geometry"] == "0.9795 Å (12.66 keV), distance 190 mm, pixel 172 µm"
    states(found["taken from"], "a.cbf", "", "header")
    found = rows(run("view a.cbf -o p.png --png-rings -distance 250 --beam 3 4"))
    assert found["geometry"] == "0.9795 Å (12.66 keV), distance 250 mm, pixel 172 µm"
    states(found["taken from"], "a.cbf", "", "header", "-distance", "--beam")


@pytest.mark.requirement("AT-PIC-010")
def test_geometry_of_an_eiger_file(run, files):
    with h5py.File("a_000001.h5", "a") as file:
        for name, value, unit in (("beam/incident_wavelength", 0.97, b"angstrom"),
                                  ("detector/beam_center_x", 15.5, "pixel"),
                                  ("detector/detector_distance", [0.25], "m"), ("detector/x_pixel_size", 75.0, "um"),
                                  ("detector/y_pixel_size", 75.0, "um")):
            file[f"entry/instrument/{name}"] = value
            file[f"entry/instrument/{name}"].attrs["units"] = unit
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = np.zeros((20, 30), np.uint32)
        for place, nx_class in (("", "NXentry"), ("/instrument", "NXinstrument"), ("/instrument/beam", "NXbeam"),
                                ("/instrument/detector", "NXdetector")):
            file[f"entry{place}"].attrs["NX_class"] = nx_class
    refused(run("view a_000001.h5 -o p.png --png-rings"), 2, "--png-rings", "a_000001.h5", "/entry/instrument/detector",
            "NXdetector_module", "beam_center_y", "-lambda", "-distance", "-pixel", "--beam", "--from", "--config")
    with h5py.File("a_000001.h5", "a") as file:
        file["entry/instrument/detector/beam_center_y"] = 10.0
    found = rows(run("view a_000001.h5 -o p.png --png-rings"))
    assert found["geometry"] == "0.97 Å (12.78 keV), distance 250 mm, pixel 75 µm"
    states(found["taken from"], "a_000001.h5", "", "header")


def test_geometry_that_is_not_given(run, files):
    found = rows(run("view a.edf -o p.png"))
    states(found["geometry"], "a.edf", "", "detector")
    assert "taken from" not in found


def test_geometry_from_flags(run, files):
    found = rows(run("view a.edf -o p.png --png-rings -distance 250 --beam 3 4 -lambda 1.5 -pixel 0.1"))
    states(found["taken from"], "-lambda", "", "-distance", "-pixel", "--beam")
    with Image.open("p.png") as picture:
        assert picture.size[0] > 900


@pytest.mark.requirement("AT-PIC-010")
@pytest.mark.parametrize("convention", ["-mosflm", "-denzo", "-adxv", "-xds", "-dials"])
def test_our_own_header_fixes_a_leaning_detector(run, folder, monkeypatch, convention):
    maps = []
    from cubragg.view import picture_notes as pictures

    genuine = pictures.image_resolution
    monkeypatch.setattr(pictures, "image_resolution",
                        lambda *given, **named: maps.append(genuine(*given, **named)) or maps[-1])
    assert run(f"{LEANING} {convention} -intfile a.img --save-config a.toml --png a.png --png-rings --quiet"
               ).exit_code == 0
    from_header = rows(run("view a.img -o b.png --png-rings"))
    from_config = rows(run("view a.img -o c.png --png-rings --config a.toml"))
    assert from_header["geometry"] == from_config["geometry"]
    assert from_config["taken from"] == "a.toml"
    simulated, header, config = maps
    np.testing.assert_array_equal(config, simulated)
    np.testing.assert_allclose(1.0 / header, 1.0 / simulated, atol=1e-4 / simulated.min())  # six digits in a header


@pytest.mark.requirement("AT-PIC-010")
def test_other_makers_arm(run, folder):
    smv(folder / "ccd.img", COUNTS, PIXEL_SIZE=0.1, DISTANCE=150, WAVELENGTH=0.98, BEAM_CENTER_X=1.2,
        BEAM_CENTER_Y=1.8, TWOTHETA=12)
    found = rows(run("view ccd.img -o p.png --png-rings"))
    states(found["taken from"], "ccd.img", "", "header")
    states(found["note"], "ccd.img", "TWOTHETA 12", "untilted")


@pytest.mark.requirement("AT-PIC-005", "AT-PIC-010")
def test_panels_of_a_file(run, folder, monkeypatch):
    """Each tilted panel has its own resolution, NaN in the gap: the one cut where rings say so by the renderer."""
    from cubragg.view import picture_notes as pictures

    maps = []
    genuine = pictures.image_resolution
    monkeypatch.setattr(pictures, "image_resolution",
                        lambda *given, **known: maps.append(genuine(*given, **known)) or maps[-1])
    (folder / "two.geom").write_text(TWO_PANELS)
    line = "--from two.geom -cell 50 -default_F 100 -N 3 -oversample 1 --quiet --nxmx a.h5 -seed 1"
    assert run(line).exit_code == 0
    for extra, source in (("", "a.h5"), (" --from two.geom", "two.geom")):
        found = rows(run(f"view a.h5 -o p.png --png-rings{extra}"))
        states(found["taken from"], source)
        assert found["masked"] == "40"
    resolution, from_geom = maps
    np.testing.assert_allclose(resolution, from_geom, rtol=1e-9)
    assert np.isnan(resolution).sum() == np.isnan(resolution[:, 12:16]).sum() == 40
    # The second panel, by hand: its corner at (18, -4) pixels of 0.5 mm and 80 mm, its fast axis 30 degrees back.
    back = np.deg2rad(30.0)
    for fast, slow in ((0, 0), (11, 9), (5, 2)):
        along = 0.5 * (fast + 0.5)
        place = np.array([9.0 + along * np.cos(back), -2.0 + 0.5 * (slow + 0.5), 80.0 - along * np.sin(back)])
        theta = 0.5 * np.arccos(place[2] / np.linalg.norm(place))
        assert resolution[slow, 16 + fast] == pytest.approx(12398.42 / 9000.0 / (2.0 * np.sin(theta)), rel=1e-12)


@pytest.mark.requirement("AT-PIC-011")
def test_every_picture_shows_panels_in_space(run, folder):
    """From -5 to 7 and from 18 to 18 + 12 cos(30 deg) pixels along x: 34 pixels, not 28 as in the file."""
    import cubragg as cb

    (folder / "two.geom").write_text(TWO_PANELS)
    line = "--from two.geom -cell 50 -default_F 100 -N 3 -oversample 1 --quiet --nxmx a.h5 -seed 1 --png s.png"
    assert run(line).exit_code == 0
    rows(run("view a.h5 -o v.png"))
    image = cb.read("a.h5")
    image.save("i.png")
    (folder / "n.png").write_bytes(image._repr_png_())
    for name in "svin":
        with Image.open(f"{name}.png") as picture:
            assert picture.size == (34, 10), name
    axes = image.plot().axes[0]
    assert axes.images[0].get_array().shape[:2] == (10, 34)
    assert "[mm]" in axes.get_xlabel()


@pytest.mark.requirement("AT-PIC-010")
def test_numbers_over_a_file(run, folder):
    (folder / "two.geom").write_text(TWO_PANELS)
    write_float(folder / "a.bin", np.ones((10, 28), np.float32))
    line = "view a.bin --shape 28 10 -o p.png --png-rings --from two.geom"
    found = rows(run(f"{line} -distance 200 --beam 3 4 -lambda 0.7"))
    assert found["geometry"] == "0.7 Å (17.71 keV), distance 200 mm, pixel 500 µm"
    states(found["taken from"], "two.geom", "", "-lambda", "-distance", "--beam")
    refused(run(f"{line} -pixel 0.1"), 2, "-pixel", "0.1 mm", "two.geom", "panel")
    (folder / "two.geom").write_text(TWO_PANELS.replace("9000 eV", "/LCLS/eV"))
    refused(run(line), 1, "two.geom:1", "/LCLS/eV", "photon_energy", "-lambda")
    assert run(f"{SMALL} --save-config small.toml -floatfile f.bin --quiet").exit_code == 0
    found = rows(run(f"{line} --config small.toml"))
    assert found["geometry"] == "6.2 Å (2 keV), distance 80 mm, pixel 500 µm"


@pytest.mark.requirement("AT-PIC-008")
@pytest.mark.parametrize(("line", "code", "says"), [
    ("nothing.img", 2, ("FILE", "nothing.img", "no such file")),
    (".", 2, ("FILE", ".", "folder")),
    ("text.xyz", 1, ("text.xyz", "", "fabio", "SMV", "CBF", "NXmx")),
    ("a.bin", 1, ("a.bin", "2400 bytes", "square", "shape")),
    ("a.bin --shape 30 21", 1, ("a.bin", "2400 bytes", "30 x 21 pixels", "2520 bytes")),
    ("a_000001.h5 --number 4", 1, ("a_000001.h5", "4", "number", "3")),
    ("a.img --number 2", 1, ("a.img", "2", "number", "1")),
    ("a.edf --png-rings -lambda 1", 2,
     ("--png-rings", "a.edf", "detector", "-distance", "-pixel", "--beam", "--from", "--config")),
    ("a.edf -lambda 1 -pixel 0.1", 2,
     ("-lambda", "-pixel", "a.edf", "detector", "-distance", "--beam", "--from", "--config")),
    ("a.edf -o a.jpg", 2, ("--png", "a.jpg", ".png")),
    ("a.edf -distance -5", 2, ("-distance", "-5 mm", "0")),
    ("a.edf --png-range 50 10", 2, ("--png-range", "50 10", "percentile", "100", "lower")),
    ("a.edf -o a.edf", 2, ("--png", "a.edf", "image", "another")),
    ("a.cbf --config small.toml", 2, ("--config", "12 x 12 pixels", "30 x 20")),
    ("a.edf -lamda 1", 2, ("-lamda", "", "-lambda")), ("-distnace 5 a.edf", 2, ("-distnace", "", "-distance")),
    ("a.cbf --config small.toml -lambda 1", 2, ("--config", "-lambda", "--from")),
    ("a.cbf --from nothing.expt", 2, ("--from", "nothing.expt", "no such file")),
    ("a.cbf --from a.tif", 1, ("a.tif", "", ".expt", "SMV", "miniCBF", "NXmx", ".geom", ".cell")),
    ("a.cbf --from two.geom", 2, ("--from", "28 x 10 pixels", "30 x 20")),
    ("a.cbf --from x.cell", 1, ("x.cell", "", "no detector")),
])
def test_faults(run, files, line, code, says):
    (files / "text.xyz").write_text("no image" * 99)
    (files / "two.geom").write_text(TWO_PANELS)
    (files / "x.cell").write_text("CrystFEL unit cell file version 1.0\na = 50 A\nb = 60 A\nc = 70 A\nal = 90 deg\n"
                                  "be = 90 deg\nga = 90 deg\n")
    run(f"{SMALL} --save-config small.toml -floatfile f.bin --quiet")
    refused(run(f"view {line}"), code, *says)


def test_a_picture_that_cannot_be_written(run, files):
    """The figures of the image are printed before."""
    result = run("view a.edf -o none/a.png")
    assert result.exit_code == 1
    states(result.stderr.removesuffix("\n"), "--png", "none/a.png", "Error", "No such file")


@pytest.mark.requirement("AT-PIC-004")
def test_without_matplotlib(run, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    for line in ("view a.cbf --png-rings", f"{SMALL} --png p.png --png-rings"):
        refused(run(line), 2, "--png-rings", "", "matplotlib", "pip install 'cubragg[plot]'")
    assert rows(run("view a.cbf -o p.png"))["written"] == "p.png"
    monkeypatch.setenv("DISPLAY", ":7")
    assert rows(run("view a.cbf"))["written"] == "a.cbf.png (no display is available)"


@pytest.mark.requirement("AT-PIC-004")
def test_pictures_of_simulate(run, folder):
    line = f"{SMALL} --quiet --png-colors sea --png-scale log --png-range 1 99"
    assert run(f"{line} --png plain.png").exit_code == 0
    assert run(f"{line} --png full.png --png-rings --png-zoom").exit_code == 0
    with Image.open("plain.png") as plain, Image.open("full.png") as full:
        assert (plain.size, plain.mode) == ((12, 12), "RGB")
        assert min(full.size) > 900


@pytest.mark.requirement("AT-PIC-004")
def test_counts_in_a_picture_are_those_of_the_files(run, folder):
    """Levels of the grey picture on a linear scale, against the counts that fabio reads from the CBF file."""
    line = f"{SMALL} --quiet --png p.png --png-colors grey --png-scale linear --png-range 0 100 --cbffile c.cbf"
    assert run(f"{line} --png-counts").exit_code == 0
    counts = fabio.open("c.cbf").data.astype(float)
    low, high = counts[counts > 0].min(), counts.max()
    with Image.open("p.png") as picture:
        np.testing.assert_allclose(np.asarray(picture), 255.0 * np.clip((counts - low) / (high - low), 0, 1), atol=0.51)


@pytest.mark.requirement("AT-PIC-003")
def test_figures_of_other_sizes_and_kinds(run, files):
    run("view a.cbf -o one.png --png-dpi 100")
    run("view a.cbf -o two.png --png-dpi 200")
    with Image.open("one.png") as one, Image.open("two.png") as two:
        assert two.size == (2 * one.size[0], 2 * one.size[1])
    run("view a.cbf -o a.svg --png-rings")
    run("view a.cbf -o a.pdf")
    assert b"<svg" in (files / "a.svg").read_bytes()
    assert (files / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(("line", "says"), [
    ("--png p.png --png-spots 0", ("--png-spots", "0", "1")),
    ("--png p.png --png-dpi 5", ("--png-dpi", "5", "1200")),
    ("--png-zoom", ("--png-zoom", "--png", "picture")),
    ("--png p.png --png-range 9 9", ("--png-range", "9 9", "percentile", "100", "lower")),
    ("--png p.png --png-scale cubic", ("--png-scale", "cubic", "linear", "sqrt", "log")),
])
def test_faults_in_the_pictures_of_simulate(run, folder, line, says):
    refused(run(SMALL + line), 2, *says)
    assert not list(folder.iterdir())


def test_the_choices_are_those_there_are():
    from cubragg.cli.flags import SPELLINGS
    from cubragg.cli.view import command
    from cubragg.view.colours import COLOUR_MAPS, SCALES

    options = {option.name: option.type for option in command.params}
    assert SPELLINGS["--png-colors"].choices == tuple(options["colours"].choices) == tuple(COLOUR_MAPS)
    assert SPELLINGS["--png-scale"].choices == tuple(options["scale"].choices) == SCALES


@pytest.mark.requirement("AT-PIC-014")
def test_a_contact_sheet_of_files_and_of_one_file(run, files):
    assert rows(run("view a.img a.cbf a.edf --contact s.png"))["images"] == "3 of 3"
    with Image.open("s.png") as sheet:
        assert sheet.size == (3 * 304, 218)  # each enlarged ten times
    assert rows(run("view a_000001.h5 --contact s.svg"))["images"] == "3 of 3"
    text = (files / "s.svg").read_text()
    assert [f"image {number}" in text for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert rows(run("view a_000001.h5 --contact s.png --contact-images 2"))["images"] == "2 of 3, spread evenly"


@pytest.mark.parametrize(("line", "says"), [
    ("a.img a.cbf", ("FILE", "2 images", "--contact")),
    ("a.img --contact s.gif", ("--contact", "s.gif", ".png")),
    ("a.img a.cbf --contact a.cbf", ("--contact", "a.cbf", "another name")),
    ("a.img --contact s.png -o p.png", ("--png", "--contact", "one image")),
    ("a.img --contact s.png --png-rings", ("--png-rings", "--contact", "one image")),
    ("a.img --contact-images 3", ("--contact-images", "", "--contact FILE")),
    ("a.img --truth t.csv -o p.png", ("--truth", "", "--png-spots")),
    ("a.img --truth t.csv --png-spots -o p.png", ("--truth", "t.csv", "no such file")),
    ("a.img --png-spots 0 -o p.png", ("--png-spots", "0", "from 1")),
])
def test_options_that_do_not_go_together(run, files, line, says):
    before = sorted(path.name for path in files.iterdir())
    refused(run(f"view {line}"), 2, *says)
    assert sorted(path.name for path in files.iterdir()) == before


@pytest.mark.requirement("AT-PIC-015")
def test_spots_of_a_table_or_found(run, folder):
    """The reflections that simulate lists are marked; without the list those that are found are at the same places."""
    line = SMALL.replace("-lambda 6.2", "-lambda 1.2").replace("-detpixels 12", "-detpixels 120")
    assert run(f"{line} -floatfile a.bin --truth a.csv --quiet").exit_code == 0
    assert run(f"{line} --truth a.h5 -floatfile a.bin --quiet").exit_code == 0
    for name in ("a.csv", "a.h5"):
        found = rows(run(f"view a.bin --png-spots 3 --truth {name} -o t.png"))
        assert found["spots"].startswith("the brightest 3 of ")
        assert found["spots"].endswith(f" in {name}")
    table = read_positions("a.csv", 0)
    np.testing.assert_allclose(table.fast_px, read_positions("a.h5", 0).fast_px, rtol=1e-9)
    assert [0, 0, 0] not in table.hkl.tolist()
    pixels = read_float("a.bin", (120, 120))
    brightest = pixels[table.slow_px[:6].astype(int), table.fast_px[:6].astype(int)]
    assert (brightest > 0.1 * np.sort(pixels.ravel())[-20]).all()
    spots = found_spots(pixels, None, 1000)
    apart = np.hypot(spots.fast_px[:, None] - table.fast_px, spots.slow_px[:, None] - table.slow_px)
    assert np.median(apart.min(axis=1)) < 1.0
    assert "found in the image" in rows(run("view a.bin --png-spots -o f.png"))["spots"]
    (folder / "bad.csv").write_text("h,k,l\n1,2,3\n")
    refused(run("view a.bin --png-spots --truth bad.csv -o p.png"), 1, "bad.csv", "image_fast", "--truth")
    refused(run("view a.bin --png-spots --truth a.mtz -o p.png"), 1, "a.mtz", "", ".csv", ".h5", "DIALS")
    (folder / "bad.refl").write_bytes(b"\x93\x00")
    refused(run("view a.bin --png-spots --truth bad.refl -o p.png"), 1, "bad.refl", "", "table of DIALS", "panels")


@pytest.mark.requirement("AT-PIC-015")
def test_spots_of_a_data_set(run, folder):
    from cubragg.testing import stills, sweep

    stills().write(folder / "set", workers=1)
    for line, table in (("master.nxs --number 3", "truth-00002.h5"), ("shard-00001.nxs", "truth-00001.h5")):
        found = rows(run(f"view set/{line} --png-spots 5 -o p.png"))
        assert found["spots"].endswith(table), found["spots"]
        assert found["spots"].startswith("the brightest 5 of ")
    for kind, make in (("set", None), ("sweep", sweep)):
        if make is not None:
            make().write(folder / kind, workers=1)
        for path in sorted((folder / kind).glob("truth-*.refl")):
            shot = int(path.stem[-5:])
            ours, theirs = read_positions(path.with_suffix(".h5"), shot), read_positions(path, shot)
            assert len(ours.fast_px) == len(theirs.fast_px) > 0
            np.testing.assert_allclose(theirs.fast_px, ours.fast_px, atol=1e-6)
            np.testing.assert_array_equal(theirs.hkl, ours.hkl)


@pytest.mark.requirement("AT-PIC-004")
def test_counts_of_an_image_of_expected_photons(run, files):
    from cubragg.detect.noise import noise_counts

    assert "note" not in rows(run("view a.bin --shape 30 20 --png-counts --seed 4 --png-scale linear --png-range 0 100 "
                                  "--png-colors grey -o p.png"))
    counts = noise_counts(COUNTS.astype(np.float32), (0, 29, 0, 19), 4).astype(float)
    low = counts[counts > 0].min()
    with Image.open("p.png") as picture:
        shown = np.asarray(picture)
    np.testing.assert_allclose(shown, 255.0 * np.clip((counts - low) / (counts.max() - low), 0, 1), atol=0.51)
    states(rows(run("view a.img --png-counts -o p.png"))["note"], "--png-counts", "uint16", "counts")
