"""--detector and panels on a command line: files, messages, and other flags beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cubragg import Detector, Panel
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.experiment.catalog import CATALOG
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.raw import read_float
from cubragg.io.images.smv import read_smv
from support.command import smv
from support.messages import refused

LINE = "-default_F 100 -cell 79 79 38 90 90 90 -lambda 1 -N 5 -distance 200 -oversample 1 -seed 1 --quiet "
#: Where four modules of a Pilatus 300K and of a Jungfrau meet gaps, or a few rows of it.
REGION = "-roi 400 486 180 220 "


def test_the_table(run):
    result = run("--detector list")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert rows.keys() - {"name"} == {name for name, model in CATALOG.items() if not model.unbinned}
    assert rows["eiger16m"].split()[1:] == ["EIGER", "16M", "4150", "x", "4371", "0.075", "1", "Si", "450", "um"]
    assert rows["jungfrau16m"].split()[6:8] == ["0.075", "32"]
    assert rows["adsc-q315"].split()[-1] == "-2x2"
    assert not list(Path().iterdir())


@pytest.mark.requirement("AT-PANEL-006", "AT-MODEL-005")
def test_gaps_are_minus_1_in_cbf_and_0_elsewhere(run):
    assert run(f"{LINE}{REGION}--detector pilatus300k --cbffile x.cbf -floatfile x.bin -scale 1e-20").exit_code == 0
    counts, header = read_cbf("x.cbf")
    photons = read_float("x.bin", (619, 487))
    gaps = np.zeros((619, 487), dtype=bool)
    gaps[195:212] = gaps[407:424] = True
    np.testing.assert_array_equal(counts == -1, gaps)
    assert not photons[gaps].any()
    assert photons[180:195, 400:].all()
    assert header["N_excluded_pixels"] == str(34 * 487)
    assert header["Count_cutoff"] == "1048575 counts"


@pytest.mark.requirement("AT-MODEL-006")
def test_a_saved_experiment_names_its_detector(run):
    """And does not spell out its modules."""
    assert run(f"{LINE}{REGION}--detector PILATUS_300K -floatfile a.bin --save-config a.toml").exit_code == 0
    text = Path("a.toml").read_text()
    assert 'model = "pilatus300k"' in text
    assert "panels" not in text


@pytest.mark.requirement("AT-PANEL-009")
@pytest.mark.parametrize("name", ["pilatus300k", "jungfrau4m"])
def test_a_saved_experiment_renders_the_same_image(run, name):
    flags = f"{LINE}-roi 900 1100 500 560 " if name == "jungfrau4m" else LINE + REGION
    assert run(f"{flags}--detector {name} -xds -ORGX 100 -detector_rotx 5 -floatfile a.bin --save-config a.toml"
               ).exit_code == 0
    assert run("--config a.toml --quiet -floatfile b.bin").exit_code == 0
    assert Path("a.bin").read_bytes() == Path("b.bin").read_bytes()
    assert any(Path("a.bin").read_bytes())


def test_a_model_in_an_experiment_file(run):
    Path("e.toml").write_text("[detector]\nmodel = 'Pilatus 300K'\ndistance_mm = 200\n")
    assert run(f"--config e.toml {LINE}{REGION}-floatfile a.bin").exit_code == 0
    assert run(f"{LINE}{REGION}--detector pilatus300k -floatfile b.bin").exit_code == 0
    assert Path("a.bin").read_bytes() == Path("b.bin").read_bytes()
    Path("e.toml").write_text("[detector]\nmodel = 'Pilatus 301K'\n")
    refused(run(f"--config e.toml {LINE}"), 2, "e.toml", "Pilatus 301K", "detector.model")


@pytest.mark.requirement("AT-MODEL-002")
def test_every_flag_of_the_geometry_works():
    """The frame is that of a detector of the same size, whatever the flags."""
    for flags in ("", "-adxv -Xbeam 30 -Ybeam 40", "-xds -ORGX 200 -ORGY 300.5", "-detector_rotx 3 -twotheta 15",
                  "-dials -detector_rotz 45", "-close_distance 150 -pivot sample -fdet_vector 0 0 1"):
        mine, plain = (build(parse(f"{LINE}{size} {flags}".split())).experiment.detector for size in (
            "--detector pilatus300k", "-pixel 0.172 -detpixels_f 487 -detpixels_s 619"))
        assert mine.geometry(None, "nanobragg") == plain.geometry(None, "nanobragg")


@pytest.mark.requirement("AT-MODEL-003")
@pytest.mark.parametrize(("flags", "says"), [
    ("-pixel 0.1", ("-pixel", "0.1 mm", "pilatus300k", "0.172 mm")),
    ("-detpixels 487", ("-detpixels", "487", "pilatus300k", "619")),
    ("-detsize_f 100", ("-detsize_f", "100 mm", "pilatus300k", "83.764 mm")),
    ("-img i.img", ("i.img", "0.1 mm", "PIXEL_SIZE", "pilatus300k", "0.172 mm")),
    ("-curved_det", ("-curved_det", "", "curved", "panel")),
    ("-roi 0 487 0 700", ("-roi", "0 487 0 700", "0 to 486 fast", "0 to 618 slow")),
])
def test_what_contradicts_the_detector(run, folder, flags, says):
    smv(folder / "i.img", np.ones((619, 487)), PIXEL_SIZE=0.1)
    for line in (f"{LINE}--detector pilatus300k {flags}", f"{LINE}{flags} --detector pilatus300k"):
        refused(run(line), 2, *says)


def test_the_same_size_said_twice_is_none(run):
    line = f"{LINE}{REGION}--detector pilatus300k -pixel 0.172 -detpixels_f 487 -floatfile a.bin"
    assert run(line).exit_code == 0


@pytest.mark.requirement("AT-MODEL-003")
def test_another_detector_replaces_the_panels_of_a_file(run):
    assert run(f"{LINE}{REGION}--detector pilatus300k -floatfile a.bin --save-config a.toml").exit_code == 0
    taken = build(parse(["--config", "a.toml", "--detector", "pilatus300k"])).experiment.detector
    assert (taken.model, taken.panels) == ("pilatus300k", ())


def test_nanobragg_semantics_gives_the_factor_of_a_sensor_that_is_not_modelled(run):
    """320 um of silicon at 10 keV: 33.9 cm^2/g (NIST) times 2.33 g/cm^3 absorb 92 %, photoelectrically 91 %."""
    line = LINE.replace("--quiet", "") + "-roi 0 9 0 9 --detector pilatus300k -energy 10000 -floatfile a.bin"
    (warning,) = [row for row in run(line).stderr.splitlines() if "pilatus300k, 320 um of Si" in row]
    assert "1.1 times" in warning
    assert "--semantics physical -detector_thick 320 -detector_abs 13" in warning
    assert "not modelled: photons" not in run(f"{line} -detector_thick 320 -detector_abs 128").stderr
    assert "not modelled: photons" not in run(f"{line} --semantics physical").stderr


def test_the_summary_lists_panels(run):
    result = run(LINE.replace("--quiet", "") + "-roi 0 9 0 9 --detector jungfrau4m -floatfile a.bin")
    assert "  panels            8, 1 rendered, in an image of 2068 x 2164 pixels" in result.stderr
    assert "    m1              1030 x 514 pixels of 0.075 mm, at 200 81.225 0.225 mm, Si" in result.stderr.splitlines()
    assert "skipped or between panels" in result.stderr


@pytest.mark.requirement("AT-PANEL-008")
def test_a_pixel_of_a_panel_is_traced(run):
    line = f"{LINE}--detector jungfrau4m"
    result = run(f"trace 1040 3 {line}")
    assert result.exit_code == 0
    assert "1 m1" in result.stdout
    refused(run(f"trace 1033 3 {line}"), 2, "trace", "1033 3", "masked", "between panels")
    assert run(f"{line} -roi 1033 1039 3 3 -printout -floatfile a.bin").stdout.count("hkl0=") == 2


@pytest.mark.requirement("AT-PANEL-010")
def test_the_c_program_has_no_panels(run):
    refused(run(f"compare --c-bin true {LINE}--detector pilatus300k"), 1, "--detector", "pilatus300k",
            "C program", "-pixel", "-detpixels_f", "-detpixels_s")


def test_masks_join_the_gaps(run, folder):
    mask = np.ones((619, 487))
    mask[185, 420:430] = 0
    smv(folder / "m.img", mask)
    assert run(f"{LINE}{REGION}--detector pilatus300k -mask m.img --cbffile x.cbf -scale 1e-20").exit_code == 0
    counts, _ = read_cbf("x.cbf")
    assert (counts == -1).sum() == 34 * 487 + 10


def test_a_panel_without_a_name_or_trusted_range_is_listed(run):
    experiment = build(parse(LINE.split())).experiment
    panel = Panel(8, 6, (100.0, 1.0, -1.0), (0.0, 0.0, 0.5), (0.0, -0.4, 0.0), offset=(2, 1))
    Path("e.toml").write_text(dataclasses.replace(experiment, detector=Detector(panels=(panel,))).to_toml())
    result = run("--config e.toml -seed 1 --cbffile x.cbf -intfile x.img")
    assert "    0               8 x 6 pixels of 0.5 x 0.4 mm, at 100 1 -1 mm" in result.stderr.splitlines()
    counts, header = read_cbf("x.cbf")
    assert counts.shape == read_smv("x.img").pixels.shape == (7, 10)
    assert header["Count_cutoff"] == "2147483647 counts"
