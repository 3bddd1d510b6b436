"""The page about a data set."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.set_report import write_report
from cubragg.errors import CubraggError
from cubragg.testing import tiny_sets
from cubragg.view.bar_charts import bars, histogram

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)


class Page(HTMLParser):
    """Elements in their order, links to other files, and the text of a page; every element must end."""

    VOID = frozenset({"meta", "img", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names, self.links, self.text, self._open = [], [], "", []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset") and ":" in value]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished set of 12 stills in which a number, a text and an orientation vary."""
    path = tmp_path_factory.mktemp("report") / "a <set> & more"
    cb.Stills(tiny_sets.experiment("physical"), 12, seed=3, threads=1, vary={
        "beam.wavelength_A": cb.normal(0.01), "crystal.shape": cb.choice(["gauss", "round"])}).write(
            path, workers=1, shard=4)
    return path


def test_the_page_is_complete_in_itself(folder):
    path = write_report(folder)
    assert path == folder / "report.html"
    page = Page(path.read_text())
    assert "script" not in page.names
    assert [link[:22] for link in page.links] == ["data:image/png;base64,"]
    assert "a <set> & more" in page.text
    for heading in ("Statistics", "Time of the workers", "Reflections by resolution", "Parameters", "Specification"):
        assert heading in page.text
    assert (folder / "spec.toml").read_text().strip() in page.text


def test_figures_are_those_of_the_shots(folder):
    text = Page(write_report(folder).read_text()).text
    with h5py.File(folder / "master.nxs") as file:
        wavelengths = file["/entry/parameters/beam.wavelength_A"][()]
        shapes = file["/entry/parameters/crystal.shape"].asstr()[()].tolist()
    assert f"mean {wavelengths.mean():.5g}, standard deviation {wavelengths.std():.3g}" in text
    assert f"gauss: {shapes.count('gauss')}" in text
    numbers = []
    for number in range(3):
        with h5py.File(folder / f"truth-{number:05d}.h5") as file:
            numbers += file["/reflections/d"][()].tolist()
    assert f"{min(numbers):.3g} A" in text
    assert f"reflections{len(numbers):,}" in text


def test_bars_have_the_heights_of_their_numbers():
    heights = [float(found) for found in re.findall(r'height="([\d.]+)"', bars("T", [1.0, 4.0, 2.0], ("a", "b"), ""))]
    assert heights[0] / heights[1] == pytest.approx(0.25)
    assert heights[2] / heights[1] == pytest.approx(0.5)
    assert "<b>" not in bars("<b>", [1.0], ("", ""), "")
    assert histogram("T", np.full(5, 3.0)).count("<rect") == 4


def test_a_folder_without_a_set_is_an_error(tmp_path):
    with pytest.raises(CubraggError, match="without a finished data set"):
        write_report(tmp_path)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_a_browser_shows_the_page(folder, tmp_path):
    """All of it is laid out: the picture has its size, and no chart is wider than the page."""
    page = write_report(folder)
    shown = tmp_path / "page.html"
    probe = ("<script>document.title = JSON.stringify([document.images[0].naturalWidth, document.images[0].complete, "
             "document.querySelectorAll('svg').length, document.documentElement.scrollWidth, innerWidth, "
             "[...document.querySelectorAll('svg')].every(one => one.getBoundingClientRect().height > 50)])</script>")
    shown.write_text(page.read_text().replace("</body>", f"{probe}</body>"))
    result = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                             "--window-size=1000,800", f"--user-data-dir={tmp_path / 'profile'}", shown.as_uri()],
                            capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(\[.*?\])</title>", result.stdout)
    width, complete, charts, page_width, window, laid_out = json.loads(title[1])
    assert width > 0
    assert complete
    assert charts == 2 + 3 + 1 + 1
    assert page_width <= window
    assert laid_out
