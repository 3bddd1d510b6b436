"""Running programs, and the folder that a comparison leaves."""

from __future__ import annotations

import json
import stat
import sys
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cubragg.compare import pictures
from cubragg.compare.comparison import Comparison, Side
from cubragg.compare.metrics import compare_images
from cubragg.compare.report import folder_name, rows, write_report
from cubragg.parity.programs import RunnerFailed, run_program
from support.messages import refusal

WHEN = datetime(2026, 3, 4, 5, 6, 7)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


WRITES = "import array, sys\narray.array('f', range(6)).tofile(open('floatimage.bin', 'wb'))\n"


def test_a_program_is_run_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.chdir(tmp_path)
    program = script(tmp_path / "nb", f"{WRITES}import os\n"
                     "print(os.listdir(), os.environ['OMP_NUM_THREADS'], sys.argv[1:])")
    run = run_program("./nb", ["-N", "5"], (2, 3))
    np.testing.assert_array_equal(run.photons, np.arange(6.0).reshape(2, 3))
    assert run.output == ("['floatimage.bin'] 1 ['-floatfile', 'floatimage.bin', '-nonoise', '-nopgm', '-noprogress', "
                          "'-N', '5']\n")
    assert run.command[0] == str(program)
    assert run.seconds > 0.0
    assert not (tmp_path / "floatimage.bin").exists()


def test_the_shape_that_a_program_prints_counts(tmp_path):
    program = script(tmp_path / "nb", WRITES + "print('  pixel=1 meters (2x3 pixels)')")
    assert run_program(program, [], (6, 1)).photons.shape == (3, 2)


@pytest.mark.parametrize(("body", "says"), [
    ("import sys\nprint('reading')\nprint('ERROR: no such thing')\nprint('bye')\nsys.exit(9)",
     ("9", "ERROR: no such thing", "exit status")),
    ("import os\nos.kill(os.getpid(), 9)", ("9", "", "signal")),
    ("print('usage: me')", ("usage: me", "", "float image")),
    (WRITES + "print('(4x4 pixels)')", ("24 bytes", "4 x 4 pixels", "64 bytes")),
])
def test_a_program_that_fails(tmp_path, body, says):
    program = script(tmp_path / "nb", body)
    with refusal(RunnerFailed, str(program), *says):
        run_program(program, [], (2, 3))


def test_a_program_that_is_none(tmp_path):
    with refusal(RunnerFailed, str(tmp_path / "nothing"), "", "No such file"):
        run_program(tmp_path / "nothing", [], (2, 3))


# the folder

@pytest.fixture
def comparison() -> Comparison:
    rng = np.random.default_rng(2)
    a = rng.gamma(0.3, 30.0, (50, 60))
    b = a.copy()
    b[10, 20] += 400.0
    return made(a, b)


def made(a: np.ndarray, b: np.ndarray, **settings) -> Comparison:
    sides = Side("<ours>", a, "program", ("cubragg", "-N", "5"), 1.5), Side("b.bin", b, "float image")
    return Comparison(*sides, compare_images(a, b), 0.9999999, ("compare", "a", "b"), **settings)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attributes):
        assert tag != "script"
        self.links += [value for name, value in attributes if name in ("href", "src", "xlink:href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_folder(tmp_path, comparison):
    folder = write_report(tmp_path / "new" / "out", comparison, when=WHEN, version="1.2", save_diff=True)
    assert folder.name == folder_name(comparison.arguments, WHEN)
    assert folder.name.startswith("20260304-050607-")
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.bin", "a.png", "b.png", "difference.bin", "difference.png", "report.html", "summary.json"]
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == [folder.name]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["passed"], summary["cubragg"], summary["a"]["seconds"]) == (False, "1.2", 1.5)
    assert summary["metrics"]["max_difference_at"] == [20, 10]
    difference = np.fromfile(folder / "difference.bin", dtype="<f4").reshape(50, 60)
    assert difference[10, 20] == -400.0
    assert np.count_nonzero(difference) == 1
    with Image.open(folder / "difference.png") as image:
        assert image.size == (60, 50)
        assert image.getpixel((20, 10)) == (33, 102, 172)
        assert image.getpixel((0, 0)) == (255, 255, 255)


def test_page_needs_nothing_else(tmp_path, comparison):
    folder = write_report(tmp_path, comparison, when=WHEN, version="1")
    page = (folder / "report.html").read_text()
    reader = _Links()
    reader.feed(page)
    assert reader.open == []
    assert len(reader.links) == 3
    assert all(link.startswith("data:image/png;base64,") for link in reader.links)
    for word in ("is below 0.9999999", "&lt;ours&gt;", "cubragg -N 5", "SSIM", "A [photons]", "time A", "0.000</td>"):
        assert word in page, word
    assert "http" not in page


def test_peaks_alone_come_first(tmp_path):
    a, b = np.zeros((20, 30)), np.zeros((20, 30))
    a[4, 5] = b[4, 5] = 90.0
    a[10, 20], b[3, 25] = 20.0, 70.0
    page = (write_report(tmp_path, made(a, b), when=WHEN, version="1") / "report.html").read_text()
    table = page[page.index("class='peaks'"):]
    assert table.index("<td>70</td>") < table.index("<td>20</td>") < table.index("<td>90</td>")
    assert table.count("<tr class='unmatched'>") == 2
    assert "3 of 3" in page


def test_two_reports_of_the_same_second(tmp_path, comparison):
    first, second = (write_report(tmp_path, comparison, when=WHEN, version="1") for _ in range(2))
    assert second.name == f"{first.name}-2"


def test_nothing_is_left_of_a_report_that_fails(tmp_path, comparison, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cubragg.compare.report.page.html", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, comparison, when=WHEN, version="1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("images", [
    (np.zeros((3, 3)), np.zeros((3, 3))), (np.zeros((3, 3)), np.ones((3, 3))),
    (np.array([[np.nan, 1.0], [np.inf, 1e39]]), np.array([[1.0, 2.0], [np.inf, -1.0]])),
    (np.ones((1, 1)), np.ones((1, 1))), (np.full((4, 4), 7.0), np.full((4, 4), 7.5)),
])
def test_odd_images_are_reported(tmp_path, images):
    folder = write_report(tmp_path, made(*images), when=WHEN, version="1", save_diff=True)
    json.loads((folder / "summary.json").read_text())


def test_verdicts():
    image = np.arange(12.0).reshape(3, 4)
    broken = image.copy()
    broken[0, 0] = np.nan
    assert made(image, image).verdict == "The correlation 1.0000000000 reaches 0.9999999."
    assert made(image, image).passed
    assert made(image, image[::-1]).verdict.endswith("is below 0.9999999.")
    assert made(broken, image).verdict == "1 pixel is NaN or infinite in one image only."
    assert not made(broken, image).passed
    assert "not defined" in made(np.ones((3, 4)), image).verdict
    assert not made(np.ones((3, 4)), image).passed
    assert ("not finite A, B", "1, 0; 1 in one only") in rows(made(broken, image).metrics)


def previewed(a: np.ndarray, b: np.ndarray, black: float | None = None) -> pictures.Previews:
    return pictures.previews(made(a, b).pair, black)


def test_pictures():
    # the root of 9/16 is 3/4
    a = np.array([[0.0, 9.0, 16.0, 99.0, -1.0]])
    found = previewed(a, a[:, ::-1], 16.0)
    np.testing.assert_array_equal(found.a[0], [[255] * 3, [64] * 3, [0] * 3, [0] * 3, [255] * 3])
    np.testing.assert_array_equal(found.b, found.a[:, ::-1])
    found = previewed(np.array([[2.0, 0.0, 1.0, np.nan]]), np.array([[0.0, 2.0, 1.0, 1.0]]))
    assert found.reach == 2.0
    assert found.difference.tolist() == [[[178, 24, 43], [33, 102, 172], [255, 255, 255], [201, 201, 201]]]


def test_rounding_is_white():
    a = np.full((4, 4), 1e6)
    found = previewed(a, a + 1e-3)
    assert found.reach == pytest.approx(1e3)
    assert (found.difference == 255).all()


def test_large_pictures_are_reduced_and_keep_peaks():
    zero, image = np.zeros((1500, 2100)), np.zeros((1500, 2100))
    image[1499, 2099] = 5.0
    found = previewed(image, zero, 5.0)
    assert found.a.shape == (500, 700, 3)
    assert found.a[499, 699].tolist() == [0, 0, 0]
    assert found.difference[499, 699].tolist() == [178, 24, 43]
    assert previewed(zero, image).difference[499, 699].tolist() == [33, 102, 172]
