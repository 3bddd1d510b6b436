"""``cubragg compare`` from the command line: figures, statuses, sentences, folders."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cubragg.cli import compare as module
from cubragg.cli.build import build
from cubragg.cli.c_line import c_arguments
from cubragg.cli.commands import cli
from cubragg.cli.parser import parse
from cubragg.io.images.cbf import MiniCbfHeader, write_cbf
from cubragg.io.images.raw import write_float
from cubragg.io.images.smv import write_smv
from support.crystfel_files import TWO_PANELS
from support.messages import states

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NB_C_BIN")
FLAGS = "-default_F 100 -cell 60 60 60 90 90 90 -N 5 -misset 10 20 30 -lambda 1.2 -detpixels 32 -pixel 0.8 " \
        "-oversample 1"


def run(line: str):
    return CliRunner().invoke(cli, ["compare", *shlex.split(line)], prog_name="cubragg")


def stand_in(name: str = "nb", flags: str = "") -> str:
    """A program that takes the C program's flags: cubragg, with flags planted at the end."""
    path = Path(name).absolute()
    path.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m cubragg "
                    f'"$@" {flags} --backend numpy --quiet\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def images(tmp_path) -> np.ndarray:
    image = np.random.default_rng(0).gamma(0.5, 40.0, (12, 12)).astype(np.float32)
    write_float("a.bin", image)
    write_float("b.bin", image)
    write_float("noisy.bin", image + np.random.default_rng(1).gamma(0.5, 10.0, (12, 12)).astype(np.float32))
    write_float("small.bin", image.reshape(6, 2, 6, 2).sum(axis=(1, 3)))
    write_float("broken.bin", np.where(image == image.max(), np.float32(np.nan), image))
    write_float("wide.bin", image.reshape(8, 18))
    write_smv("a.img", np.rint(image).astype(np.uint16), {})
    return image


def figure(result, name: str) -> str:
    return next(line[18:] for line in result.output.splitlines() if line.startswith(f"{name} ")).strip()


# two images

def test_equal_images(images):
    result = run("a.bin b.bin")
    assert result.exit_code == 0
    assert figure(result, "correlation") == "1.000000000000"
    assert figure(result, "A") == "a.bin (float image, 12 x 12 pixels)"
    assert result.output.endswith("The correlation 1.0000000000 reaches 0.9999999.\n")
    assert not [path for path in Path().iterdir() if path.is_dir()]


def test_across_formats(images):
    result = run("a.img a.bin --threshold 0.99")
    assert result.exit_code == 0
    assert figure(result, "A") == "a.img (SMV, 12 x 12 pixels)"
    assert run("a.img a.bin").exit_code == 3


def test_masked_pixels_of_a_cbf_are_left_out(images):
    counts = np.rint(images).astype(np.int32)
    counts[0, 0] = -1
    write_cbf("a.cbf", counts, MiniCbfHeader(datetime(2026, 1, 2), 1e-4, 0.1, 1.0, 2.0, 3.0, 1.0, 1.0, 0.0, 0.0, 6e3))
    write_float("whole.bin", np.rint(images).astype(np.float32))
    result = run("a.cbf whole.bin")
    assert result.exit_code == 0
    assert figure(result, "pixels compared") == "143"
    assert "note: 1 pixels are masked and left out" in result.output
    masked = run("small.bin a.cbf --resample --threshold 0.9")
    assert masked.exit_code == 0
    assert figure(masked, "pixels compared") == "35"


def test_region_and_shape(images):
    result = run("wide.bin wide.bin --shape 18 8 --roi 2 5 1 4")
    assert result.exit_code == 0
    assert figure(result, "pixels compared") == "16"


def test_resampling(images):
    result = run("small.bin a.bin --resample")
    assert result.exit_code == 0
    assert "B is resampled from 12 x 12 to 6 x 6 pixels; its sum is unchanged" in result.output
    assert float(figure(result, "sum ratio A/B")) == pytest.approx(1.0, rel=1e-6)


# exit statuses and sentences

@pytest.mark.requirement("AT-TOOLS-001", "AT-TOOLS-006")
@pytest.mark.parametrize(("line", "status", "says"), [
    ("a.bin", 1, ("", "1 image", "--c-bin")),
    ("a.bin b.bin a.img", 1, ("", "3 images", "--c-bin")),
    ("a.bin b.bin -N 5", 1, ("-N", "", "--c-bin")),
    ("a.bin b.bin --threshold 2", 1, ("--threshold", "2", "-1", "to 1")),
    ("a.bin b.bin --threshold", 1, ("--threshold", "", "argument")),
    ("a.bin b.bin --threshold nan", 1, ("--threshold", "nan", "finite")),
    ("a.bin b.bin --roi 1 2 3", 1, ("--roi", "", "4 arguments")),
    ("a.bin b.bin --roi 0 12 0 5", 1, ("--roi", "0 12 0 5", "0 11 0 11", "minimum")),
    ("a.bin b.bin --shape 0 3", 1, ("--shape", "0 3", "from 1")),
    ("a.bin b.bin --png-black 0 --out o", 1, ("--png-black", "0", "> 0")),
    ("a.bin b.bin --png-black 3", 1, ("--png-black", "--out", "--png", "FOLDER")),
    ("a.bin b.bin --png-rings", 1, ("--png-rings", "", "--png FILE")),
    ("a.bin b.bin --png a.bin", 1, ("--png", "a.bin", "another name")),
    ("a.bin b.bin --png p.png --png-rings", 1, ("--png-rings", "", "--from")),
    ("a.bin b.bin --png p.png --png-range 9 3", 1, ("--png-range", "9 3", "percentiles")),
    ("a.bin b.bin --save-diff", 1, ("--save-diff", "--out", "folder")),
    ("a.bin b.bin --out a.bin", 1, ("--out", "a.bin", "File exists")),
    ("--c-bin nb --resample -N 5", 1, ("--resample", "--c-bin", "two")),
    ("a.bin b.bin --png-black inf --out o", 1, ("--png-black", "inf", "finite")),
    ("a.bin b.bin --treshold 0.5", 1, ("--treshold", "", "--threshold")),
    ("--c-bin nb --treshold 0.5 -N 5", 1, ("--treshold", "", "--threshold")),
    ("--c-bin nb -N 5 a.bin", 1, ("-N", "a.bin", "value")),
    ("--c-bin", 1, ("--c-bin", "", "argument")),
    ("--c-bin nb -cel 5", 1, ("-cel", "", "-cell")),
    ("--c-bin nb -cell 5 -default_F 1 -lambda -1", 1, ("-lambda", "-1 A", "wavelength")),
    ("--c-bin nb -cell 5 -hkl none.hkl", 1, ("-hkl", "none.hkl", "no such file")),
    (f"--c-bin nb {FLAGS} --backend cuda", 2, ("cuda",)),
    (f"--c-bin none {FLAGS}", 2, ("none", "", "started")),
    (f"--c-bin /bin/false {FLAGS}", 2, ("/bin/false", "1", "exit status")),
    (f"--c-bin /bin/true {FLAGS}", 2, ("/bin/true", "", "float image")),
    ("a.bin broken.bin", 3, ("", "1 pixel", "NaN", "one image")),
    ("a.bin small.bin", 4, ("compare", "12 x 12", "6 x 6 pixels", "shape", "--resample")),
    ("a.bin none.bin", 5, ("none.bin", "", "No such file")),
    (". a.bin", 5, (".", "", "directory")),
    ("a.bin wide.bin --shape 12 11", 5, ("a.bin", "576 bytes", "12 x 11 pixels", "528 bytes")),
    ("--c-bin nb -cell 5 -hkl a.bin", 5, ("a.bin",)),
])
def test_how_it_ends(images, line, status, says):
    result = run(line)
    assert result.exit_code == status
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    states(last.removeprefix("Error: "), *says)
    assert "Traceback" not in result.stderr


def test_below_the_threshold(images):
    result = run("noisy.bin a.bin")
    assert result.exit_code == 3
    assert 0.5 < float(re.search(r"correlation (0\.\d+)", result.stderr)[1]) < 0.9999999
    assert run("noisy.bin a.bin --threshold=0.5").exit_code == 0


def test_help():
    for line in ("-h", "a.bin --help", "--c-bin nb -phi 5 -help", "--threshold -h"):
        result = run(line)
        assert result.exit_code == 0
        for name in (*module.command.spellings(), "Exit status: 0, 1"):
            assert name in result.output
    assert run("").exit_code == 1


# folders

@pytest.mark.requirement("AT-TOOLS-001")
def test_artifacts(images):
    result = run("noisy.bin a.bin --out reports --save-diff --png-black 40")
    assert result.exit_code == 3
    folder, = Path("reports").iterdir()
    assert figure(result, "report") == str(folder / "report.html")
    assert {path.name for path in folder.iterdir()} == {
        "a.png", "b.png", "difference.png", "difference.bin", "report.html", "summary.json"}
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["passed"], summary["threshold"]) == (False, 0.9999999)
    assert summary["arguments"] == ["noisy.bin", "a.bin", "--out", "reports", "--save-diff", "--png-black", "40"]
    assert "black 40 photons" in (folder / "report.html").read_text()


def sheet_files() -> np.ndarray:
    """Two images of two panels with a gap between them in space, and their geometry; the counts of the first."""
    Path("two.geom").write_text(TWO_PANELS)
    counts = np.random.default_rng(3).poisson(9.0, (10, 28)).astype(np.float32)
    counts[4, 20] = 5000.0
    write_float(Path("p.bin"), counts)
    other = counts.copy()
    other[4, 20] = 4000.0
    write_float(Path("q.bin"), other)
    return counts


@pytest.mark.requirement("AT-PIC-013")
def test_a_picture_of_both_and_of_their_difference(images):
    sheet_files()
    line = "p.bin q.bin --shape 28 10 --threshold -1 --png-rings --from two.geom"
    result = run(f"{line} --png pair.png")
    assert figure(result, "picture") == "pair.png"
    with Image.open("pair.png") as picture:
        assert picture.width > 3 * picture.height / 2
    assert run(f"{line} --png pair.svg").exit_code == 0
    text = Path("pair.svg").read_text()
    for word in ("A: p.bin", "B: q.bin", "A \N{MINUS SIGN} B", "1.3776 Å (9 keV)"):
        assert word in text, word
    assert run(f"{line} --png pair.png --dpi 50").exit_code == 0
    with Image.open("pair.png") as half:
        assert abs(half.width - picture.width / 2) <= 1


@pytest.mark.requirement("AT-PIC-011")
def test_previews_show_panels_as_they_lie_in_space(images):
    sheet_files()
    result = run("p.bin q.bin --shape 28 10 --threshold -1 --from two.geom --out o")
    folder, = Path("o").iterdir()
    assert result.exit_code == 0
    with Image.open(folder / "difference.png") as picture:
        # seen from the crystal, x to the left: 12 cos 30 deg, 11 pixels of a gap, 12 pixels
        assert picture.size == (34, 10)
        pixels = np.asarray(picture.convert("RGB"))
    red = np.argwhere((pixels == (178, 24, 43)).all(axis=2))
    row, column = red[0]
    assert len(red) == 1
    assert abs(column + 0.5 - 7.5 * np.cos(np.pi / 6)) < 1.0
    assert row == 5
    page = (folder / "report.html").read_text()
    assert page.count('viewBox="0 0 34 10"') == 3
    circle = re.search(r'cx="([\d.]+)" cy="([\d.]+)"', page)
    assert abs(float(circle[1]) - 7.5 * np.cos(np.pi / 6)) < 0.01


# two programs

@pytest.mark.requirement("AT-TOOLS-001")
def test_programs_with_the_same_flags():
    result = run(f"--c-bin {stand_in()} {FLAGS} -misset random -floatfile left.bin --backend numpy --out o")
    assert result.exit_code == 0
    assert figure(result, "max difference").startswith("0 at 0 0")
    assert float(figure(result, "time A").split()[0]) > 0.0
    assert not Path("left.bin").exists()
    folder, = Path("o").iterdir()
    assert {"a.bin", "b.bin"} <= {path.name for path in folder.iterdir()}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["b"]["command"][-2] == "-misset_seed"
    assert summary["b"]["seconds"] > 0.0


def test_programs_that_part():
    result = run(f"--c-bin {stand_in(flags='-distance 105')} {FLAGS}")
    assert result.exit_code == 3


def test_programs_with_images_of_two_shapes():
    path = Path(stand_in(flags="-detpixels_f 30 -detpixels_s 20"))
    path.write_text(path.read_text().replace("#!/bin/sh\n", "#!/bin/sh\necho '(30x20 pixels)'\n"))
    result = run(f"--c-bin {path} {FLAGS}")
    assert result.exit_code == 4
    states(result.stderr.splitlines()[-1], "compare", "32 x 32", "30 x 20", "shape")


def as_c(line: str) -> list[str]:
    given = parse(shlex.split(line))
    return c_arguments(given, build(given))


def test_flags_for_the_c_program(tmp_path):
    Path("a.hkl").write_text("0 0 1 5\n1 0 0 7\n-1 -1 -1 3\n")
    base = "-cell 50 -hkl a.hkl -lambda 1 -detpixels 9"
    there = ["-cell", "50.0", "-hkl", str(tmp_path / "a.hkl"), "-lambda", "1.0", "-detpixels", "9"]
    assert as_c(base) == there
    assert as_c(f"{base} --backend numpy --threads 1 -floatfile x.bin -noisefile n -seed 3 -adc 5 -coherent "
                "-printout_pixel 1 2 -dump d.bin") == there
    assert as_c(f"{base} --detector_abs inf -polar -0.5") == [*there, "-detector_abs", "inf", "-polar", "-0.5"]
    assert as_c(f"-misset_seed 7 {base} -misset random") == [*there, "-misset", "random", "-misset_seed", "7"]
    assert as_c(f"{base} -misset rand -seed 12") == [*there, "-misset", "rand", "-misset_seed", "12"]


def test_a_dump_is_handed_on(tmp_path):
    Path("a.hkl").write_text("0 0 1 5\n1 0 0 7\n-1 -1 -1 3\n")
    from cubragg.cli.commands import cli

    done = CliRunner().invoke(cli, shlex.split("-cell 50 -hkl a.hkl -detpixels 9 -dump d.bin -floatfile x.bin --quiet"))
    assert done.exit_code == 0, done.output
    line = "-cell 50.0 -detpixels 9"
    assert as_c(f"{line} -dump d.bin") == [*line.split(), "-dump", str(tmp_path / "d.bin")]


@pytest.mark.c_program
@pytest.mark.parametrize("flags", [
    f"{FLAGS} -misset random", f"{FLAGS} -mosaic 1 -mosaic_dom 3 -phi 0 -osc 2 -phisteps 3 -misset random -seed 5 -xds",
    f"{FLAGS} -detector_thick 300 -detector_abs 500 -thicksteps 3 -divergence 2 -polar 0.9 -misset_seed 4 -N 3",
])
def test_the_c_program_itself(flags):
    result = run(f"--c-bin {PROGRAM} {flags}")
    assert result.exit_code == 0, result.output
    assert float(figure(result, "sum ratio A/B")) == pytest.approx(1.0, abs=1e-9)
