"""What a run writes and says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cubragg
from cubragg import CubraggError, simulate
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.detect.nanobragg_images import int_image, noise_image, pgm_image
from cubragg.detect.noise import noise_counts
from cubragg.device.host_build import find_compiler
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.pgm import read_pgm
from cubragg.io.images.read_image import read_image
from cubragg.io.images.smv import read_smv
from cubragg.io.reflections.fdump import read_fdump
from support.command import SMALL, smv
from support.messages import mentioned, refused, states, warned

FOUR = {"floatimage.bin", "image.pgm", "intimage.img", "noiseimage.img"}
ROOT = Path(cubragg.__file__).parents[1]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def image():
    """The picture of SMALL and what else the line says."""
    def rendered(line: str = ""):
        return simulate(build(parse((SMALL + line).split())).experiment)
    return rendered


@pytest.mark.parametrize(("line", "written"), [
    ("", FOUR),
    ("-nonoise", FOUR - {"noiseimage.img"}),
    ("-nopgm -nonoise", {"floatimage.bin", "intimage.img"}),
    ("--all-outputs", FOUR),
    ("-floatfile a.bin", {"a.bin"}),
    ("-floatimage a.bin -intimage b.img", {"a.bin", "b.img"}),
    ("-noisefile n.img", {"n.img"}),
    ("-noisefile n.img -nonoise", set()),
    ("-nonoise -noisefile n.img", {"n.img"}),
    ("-pgmfile p.pgm -nopgm", set()),
    ("-nopgm -pgmimage p.pgm", {"p.pgm"}),
    ("-nopgm -pgmscale 2", FOUR),
    ("-cbffile c.cbf", {"c.cbf"}),
    ("--png p.png", {"p.png"}),
    ("-floatfile a.bin --all-outputs", {"a.bin", "intimage.img", "image.pgm", "noiseimage.img"}),
    ("--png p.png --all-outputs -nonoise", {"p.png", "floatimage.bin", "intimage.img", "image.pgm"}),
    ("-floatfile a.bin -floatfile b.bin", {"b.bin"}),
    ("--save-config e.toml", FOUR | {"e.toml"}),
    ("-floatfile a.bin --save-config e.toml", {"a.bin", "e.toml"}),
    ("-dump d.bin", FOUR),
    ("-floatfile a.bin -intfile /dev/null", {"a.bin"}),
])
def test_which_files(line, written, run, folder):
    result = run(SMALL + line)
    assert result.exit_code == 0
    assert names(folder) == written
    last = result.stderr.splitlines()[-1].split(None, 1)
    named = set(last[1].split(", ")) - {"none", "/dev/null"}
    assert (last[0], named) == ("files", written)


@pytest.mark.parametrize(("line", "dump"), [
    ("", "Fdump.bin"), ("-dump d.bin", "d.bin"), ("-floatfile a.bin", None), ("-floatfile a.bin -dump d.bin", "d.bin"),
    ("-floatfile a.bin --all-outputs", "Fdump.bin")])
def test_the_dump_goes_with_a_list(line, dump, run, inputs):
    before = names(inputs)
    assert run(f"{SMALL} -hkl P1.hkl {line}").exit_code == 0
    dumps = {name for name in names(inputs) - before if name in ("Fdump.bin", "d.bin")}
    assert dumps == ({dump} if dump else set())
    if dump:
        grid, origin = read_fdump(dump)
        assert (grid.shape, origin, grid[0, 0, 0]) == ((5, 5, 5), (-2, -2, -2), -2.0)


def test_contents(run, image):
    line = "-scale 3 -adc 10 -pgmscale 0.7 --noise-rng reference -floatfile f -intfile i -pgmfile p -noisefile n"
    assert run(SMALL + line).exit_code == 0
    expected = image()
    roi = expected.plan.roi
    np.testing.assert_array_equal(np.fromfile("f", "<f4").reshape(12, 12), expected.photons)
    np.testing.assert_array_equal(read_smv("i").pixels, int_image(expected.photons, 3.0, 10.0, roi)[0])
    np.testing.assert_array_equal(read_pgm("p").gray,
                                  pgm_image(expected.photons, 0.7, 3.0, expected.figures.rmsd, roi)[0])
    counts = noise_counts(expected.photons, roi, 1, "reference")
    np.testing.assert_array_equal(read_smv("n").pixels, noise_image(counts, 10.0, roi)[0])


def test_smv_header(run):
    assert run(f"{SMALL} -phi 3 -phisteps 2 -twotheta 5 -intfile i.img").exit_code == 0
    header = read_smv("i.img").header
    assert {key: header[key] for key in ("WAVELENGTH", "PHI", "OSC_START", "OSC_RANGE", "TWOTHETA", "BEAMLINE")} == {
        "WAVELENGTH": "6.2", "PHI": "3", "OSC_START": "3", "OSC_RANGE": "1", "TWOTHETA": "5", "BEAMLINE": "fake"}


def test_cbf_holds_the_noise_image_without_offset(run, image):
    assert run(f"{SMALL} -cbffile c.cbf -adc 10 --noise-rng reference -phi 3 -osc 1").exit_code == 0
    expected = image("-phi 3 -osc 1")
    counts, header = read_cbf("c.cbf")
    np.testing.assert_array_equal(counts, noise_counts(expected.photons, expected.plan.roi, 1, "reference"))
    assert (header["Start_angle"], header["Angle_increment"]) == ("3 deg.", "1 deg.")
    assert not any("sensor" in key for key in header)


@pytest.mark.parametrize("noise", ["", "-nonoise"])
def test_cbf_holds_scaled_photons_where_a_scale_is_given(noise, run, image):
    assert run(f"{SMALL} -cbffile c.cbf -scale 4 {noise}").exit_code == 0
    np.testing.assert_array_equal(read_cbf("c.cbf")[0], np.rint(image().photons.astype(float) * 4))


def test_cbf_marks_masked_pixels_and_a_rendered_sensor(run, folder):
    pixels = np.ones((12, 12))
    pixels[2, 7] = 0
    smv(folder / "m.img", pixels)
    assert run(f"{SMALL} -mask m.img -cbffile c.cbf -scale 1 -detector_thick 300 -detector_abs 200 "
               "-thicksteps 2 -flux 1e12").exit_code == 0
    counts, header = read_cbf("c.cbf")
    assert np.argwhere(counts == -1).tolist() == [[2, 7]]
    assert header["N_excluded_pixels"].removeprefix("= ") == "1"
    assert any("0.0003 m" in value for value in header.values())


def test_the_seed_of_the_noise(run, folder):
    line = SMALL.replace("-seed 1", "") + "-noisefile n.img "
    drawn = re.search(r"noise seed +(\d+) \(drawn\), philox", run(line).stderr)
    first = (folder / "n.img").read_bytes()
    run(f"{line} -seed {drawn[1]}")
    assert (folder / "n.img").read_bytes() == first
    run(f"{line} -seed 1")
    assert (folder / "n.img").read_bytes() != first


def test_images_do_not_depend_on_threads(run, folder):
    for threads in (1, 2):
        assert run(f"{SMALL} --threads {threads} -floatfile {threads}.bin").exit_code == 0
    assert (folder / "1.bin").read_bytes() == (folder / "2.bin").read_bytes()


# what is said

SUMMARY = """\
Detector
  convention        mosflm, pivot beam
  size              12 x 12 pixels of 0.5 mm = 6 x 6 mm
  distance          100 mm, closest 100 mm
  Xbeam Ybeam       3.25 3.25 mm
  Fbeam Sbeam       3.5 3.5 mm
  Xclose Yclose     3 3 mm
  Fclose Sclose     3.5 3.5 mm
  ORGX ORGY         7.5 7.5 pixels
  pix0              0.1 0.0035 -0.0035 m
  fast axis         0 0 1
  slow axis         0 -1 0
  normal            1 0 0
  spindle           0 0 1
  DIALS origin      -3.5 3.5 -100 mm
  sensor            not modelled
  cell              100 100 100 90 90 90 A, deg; volume 1e+06 A^3
  reciprocal cell   0.01 0.01 0.01 90 90 90 1/A, deg
  size              5 x 5 x 5 cells = 0.05 x 0.05 x 0.05 um, parallelepiped
  mosaic            1 domain over 0 deg
  wavelength        6.2 A +/- 0 % in 1 step
  fluence           1.25932e+29 photons/m^2
  phi               1 step from 0 to 0 deg
  oversample        1 x 1 sub-pixels
  region            0 to 11 fast, 0 to 11 slow
  semantics         nanobragg
""".splitlines()


def test_summary(run, image):
    result = run(f"{SMALL} -scale 2 --backend numpy")
    lines = result.stderr.splitlines()
    assert [line for line in SUMMARY if line not in lines] == []
    figures = image().figures
    fast, slow = (int(place / 0.0005) for place in (figures.max_fast_m, figures.max_slow_m))
    for line in (f"  max               {figures.max_photons:g} photons at {1000 * figures.max_fast_m:g} "
                 f"{1000 * figures.max_slow_m:g} mm, pixel {fast} {slow} (fast slow)",
                 f"  mean              {figures.mean:g}", f"  rms               {figures.rms:g}",
                 f"  rmsd              {figures.rmsd:g}", "  int scale         2"):
        assert line in lines
    assert any(re.fullmatch(r"  noise             \d+ photons, \d+ overloads?", line) for line in lines)
    backend = re.compile(r"  backend           numpy in double precision, \S+ s rendering, \S+ s in all")
    assert any(backend.fullmatch(line) for line in lines)
    assert result.stdout == ""


@pytest.mark.requirement("AT-CULL-004")
def test_verbose_tells_what_was_chosen(run):
    assert "\n  tile " not in run(f"{SMALL} --backend numpy").stderr
    result = run(f"{SMALL} --backend numpy -v")
    backend, tile, terms = result.stderr.splitlines()[-3:]
    assert tile.split() == ["tile", "none"]
    states(backend, "backend", "numpy", "double")
    states(terms, "terms", "", "all", "numpy")


def test_verbose_tells_of_culling(run):
    line = ("-default_F 100 -cell 79 79 38 90 90 90 -lambda 1 -N 20 -mosaic 0.5 -mosaic_domains 50 -phi 1 -osc 1 "
            "-phisteps 4 -distance 100 -pixel 0.1 -detpixels 400 -oversample 1 -gauss_xtal --backend cpu "
            "--precision double -v")
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    lines = run(line).stderr.splitlines()[-3:]
    states(lines[0], "backend", "cpu", "double")
    assert re.fullmatch(r"  tile              \d+ x \d pixels", lines[1])
    assert re.fullmatch(r"  terms             .*\b0\b.* [\d.]+ % .* [\d.]+ %.*", lines[2])


@pytest.mark.parametrize(("flags", "texts"), [
    ("--bandwidth 1e-3 --beam-divergence 0.3", ("6.2 A, sigma 0.1 %", "sigma 0.3 x 0.3 mrad")),
    ("--spectrum channels.txt", ("6.25 A, 2 channels from 6.2 to 6.3 A", "  sources           2,")),
    ("--mosaicity 0.1", (" domains, sigma 0.1 deg",)),
    ("--mosaicity 0.1 --method analytic", ("closed form, sigma 0.1 deg", "closed form from 0 to 0 deg"))])
def test_summary_of_physical_distributions(run, folder, flags, texts):
    (folder / "channels.txt").write_text("6.2 1\n6.3 1\n")
    result = run(f"{SMALL} --semantics physical -oversample 1 --backend numpy {flags}".replace(
        "-lambda 6.2", "" if "spectrum" in flags else "-lambda 6.2"))
    for text in texts:
        assert text in result.stderr


def test_summary_of_everything_else(run, inputs):
    result = run(f"{SMALL} -hkl P1.hkl -misset random -misset_seed 3 -mask m.img -detector_thick 100 -detector_abs 90 "
                 "-curved_det -point_pixel -dmin 2 -water 1 -oversample_polar -nopolar -interpolate "
                 "-sourcefile s.txt -gauss_xtal -mosaic 1 -mosaic_domains 3")
    for text in ("drawn with seed 3", "1 pixel skipped", "100 um in 2 layers, absorption 11111.1 /m",
                 "curved, no obliquity", "down to 2 A", "cube of 1 um", "+polar", "not corrected for",
                 "tricubic interpolation", "2, listed", "Gaussian spots", "3 domains over 1 deg",
                 "grid of 5 x 5 x 5, elsewhere 100"):
        assert text in result.stderr, text


def test_warnings_come_once_and_not_with_quiet(run):
    line = f"{SMALL} -mosaic 1 -coherent -coherent -pivot sample -floatfile a.bin "
    warnings = [text for text in run(line).stderr.splitlines() if text.startswith("warning: ")]
    assert len(warnings) == len(set(warnings))
    assert mentioned(warnings, "-coherent", "", "effect", "nanoBragg")
    assert mentioned(warnings, "", "10 domains")
    assert mentioned(warnings, "", "", "pivot")
    result = run(f"{line} --quiet")
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize(("line", "pixels"), [
    ("-printout_pixel 3 4", ["   3    4"]), ("-trace_pixel 4 3", ["   3    4"]),
    ("-printout_pixel 3 4 -trace_pixel 1 2", ["   3    4", "   2    1"]),
    ("-printout -roi 3 4 5 6", ["   3    5", "   4    5", "   3    6", "   4    6"]),
    ("-printout -printout_pixel 3 4", ["   3    4"])])
def test_traces_go_to_stdout(line, pixels, run, folder):
    result = run(f"{SMALL} {line} -floatfile a.bin --quiet")
    assert result.exit_code == 0
    assert re.findall(r"^( *\d+ +\d+) : stol = ", result.stdout, re.MULTILINE) == pixels
    value = float(re.search(r"^pixel +(\S+)$", result.stdout, re.MULTILINE)[1])
    fast, slow = (int(word) for word in pixels[0].split())
    assert value == pytest.approx(np.fromfile("a.bin", "<f4").reshape(12, 12)[slow, fast], rel=1e-9)


def test_a_printout_skips_masked_pixels(run, inputs):
    result = run(f"{SMALL} -printout -mask m.img -roi 3 5 3 3 --quiet -floatfile a.bin")
    assert re.findall(r"^ *(\d+) +\d+ : stol", result.stdout, re.MULTILINE) == ["3", "5"]


def test_no_progress_bar_off_a_terminal(run):
    assert "rendering [" not in run(SMALL).stderr


# the command as typed

def test_the_command_of_the_readme(folder):
    line = ("-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 -distance 100 -detpixels 1024 "
            "-floatfile out.bin")
    done = subprocess.run([sys.executable, "-m", "cubragg", *shlex.split(line)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (folder / "out.bin").stat().st_size == 4 * 1024 * 1024
    assert done.stdout == ""
    assert names(folder) == {"out.bin"}


def test_a_float_image_needs_no_file_libraries(folder):
    """Start-up counts: fabio, Pillow and TOML wait until they are needed."""
    code = ("import sys; from cubragg.cli.commands import cli\n"
            f"cli({[*SMALL.split(), '-floatfile', 'a.bin', '--quiet']!r}, standalone_mode=False)\n"
            "sys.exit(bool({'fabio', 'PIL', 'tomli_w'} & set(sys.modules)))")
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.requirement("AT-CLI-009")
@pytest.mark.parametrize(("line", "says"), [
    ("-adc 3", ("-adc", "", "effect", "-intfile", "-noisefile", "--save")),
    ("--truth-min 3", ("--truth-min", "", "effect", "--truth")),
    ("--tiff-type uint16", ("--tiff-type", "", "effect", "--tiff")),
    ("-scale 3", ("-scale", "", "effect", "-intfile", "-pgmfile", "--cbffile", "--nxmx", "--tiff", "--save")),
    ("-noisefile n.img -nonoise", ("-noisefile", "", "effect", "-nonoise")),
    ("-pgmfile p.pgm -nopgm", ("-pgmfile", "", "effect", "-nopgm")),
])
def test_flags_about_files_that_are_not_written(run, folder, line, says):
    assert not warned(run(f"{SMALL} -floatfile a.bin").stderr, says[0])
    assert warned(run(f"{SMALL} -floatfile a.bin {line}").stderr, *says)
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_flags_about_files_that_are_written(run, folder):
    result = run(f"{SMALL} -noisefile n.img -adc 3 -seed 2 --noise-rng reference --smv-flavor adsc -nonoise "
                 "-noisefile m.img")
    for flag in ("-noisefile", "-adc", "-seed", "--noise-rng", "--smv-flavor", "-nonoise"):
        assert not warned(result.stderr, flag)
    assert [path.name for path in folder.iterdir()] == ["m.img"]


@pytest.mark.parametrize("name", ["a.cbf", "a.img", "a.nxs", "a.tif", "a.npy"])
def test_save_writes_the_format_of_the_ending(name, run, image, folder):
    assert run(f"{SMALL} --save {name} --noise-rng reference -adc 7").exit_code == 0
    assert names(folder) == {name}
    expected = image()
    counts = noise_counts(expected.photons, expected.plan.roi, 1, "reference")
    pixels = np.load(name) if name == "a.npy" else read_image(name).pixels
    np.testing.assert_array_equal(pixels, counts + 7 * (name == "a.img"))


@pytest.mark.parametrize(("name", "word"), [("a.xyz", ".cbf"), ("a", ".npy"), ("a.bin", "-floatfile")])
def test_save_refuses_other_endings(name, word, run, folder):
    refused(run(f"{SMALL} --save {name}"), 2, "--save", name, word)
    assert names(folder) == set()


def test_save_numbers_the_images_of_a_series_that_need_a_file_each(run, folder):
    assert run(f"{SMALL} -osc 1 --images 2 --save a.npy").exit_code == 0
    assert names(folder) == {"a_0001.npy", "a_0002.npy"}
    assert run(f"{SMALL} -osc 1 --images 2 --save a.h5").exit_code == 0
    assert names(folder) == {"a_0001.npy", "a_0002.npy", "a.h5"}
