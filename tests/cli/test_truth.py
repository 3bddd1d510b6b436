"""``--truth``: the files, as their readers see them, and the faults."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path

import h5py
import msgpack
import numpy as np
import pytest
from PIL import Image

from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.cli.simulate import _progress
from cubragg.reflections.predict import reflection_table
from support.messages import refused

LINE = ("-cell 60 62 66 90 95 90 -default_F 100 -lambda 1.1 -N 12 -gauss_xtal -fudge 0.2 -distance 110 -pixel 0.3 "
        "-detpixels 80 -misset 11 23 37 -fluence 1e28 -phi 0.05 -osc 0.6 -phisteps 4 -oversample 2 -floatfile a.bin ")


def read_csv(path):
    """Comments as name -> text, and the table as name -> numbers."""
    lines = path.read_text().splitlines()
    comments = dict(line[2:].split(": ", 1) for line in lines if line.startswith("#"))
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    return comments, {name: np.array(column, dtype=float)
                      for name, column in zip(header, zip(*rows, strict=True), strict=True)}


@pytest.mark.requirement("AT-TRUTH-009")
def test_csv(run, folder):
    result = run(LINE + "--truth t.csv")
    assert result.exit_code == 0
    comments, table = read_csv(folder / "t.csv")
    photons = table["photons [photons]"]
    assert f"{len(photons)} reflections" in result.stderr
    assert "t.csv" in result.stderr.splitlines()[-1]
    assert photons.min() >= 1.0
    # Reflections below the threshold are missing from the sum, and no other light.
    image = np.fromfile(folder / "a.bin", dtype="<f4").sum(dtype=float)
    assert 0.98 * image < photons.sum() <= image * (1 + 1e-6)
    assert float(comments["wavelength [A]"]) == 1.1
    matrix = np.array(comments["A [1/A]"].split(), dtype=float).reshape(3, 3)
    hkl = np.stack([table[name] for name in "hkl"], axis=1)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(table["d [A]"], 1.0 / np.linalg.norm(hkl @ matrix.T, axis=1), rtol=1e-9)


@pytest.mark.requirement("AT-TRUTH-009")
def test_every_format_holds_the_same_reflections(run, folder):
    for name in ("t.csv", "t.h5", "t.refl"):
        assert run(LINE + f"--truth {name} --truth-min 50 --quiet").exit_code == 0
    _, table = read_csv(folder / "t.csv")
    with h5py.File(folder / "t.h5") as file:
        for name, unit in (("photons", "photons"), ("fast", "px"), ("x", "mm"), ("phi", "deg"), ("d", "A")):
            column = file["reflections"][name]
            assert column.attrs["units"] == unit
            np.testing.assert_allclose(column[:], table[f"{name} [{unit}]"], rtol=1e-9)
        assert file["settings/A"].shape == (3, 3)
        assert file["settings/A"].attrs["units"] == "1/A"
        direct = file["reflections/direct_beam"][:]
    name, version, body = msgpack.unpackb((folder / "t.refl").read_bytes(), strict_map_key=False)
    assert (name, version) == ("dials::af::reflection_table", 1)
    kept = ~direct.astype(bool)
    assert body["nrows"] == kept.sum() > 0
    bytes_each = {"int": 4, "std::size_t": 8, "double": 8, "vec3<double>": 24, "bool": 1, "cctbx::miller::index<>": 12}
    for kind, (count, data) in body["data"].values():
        assert count == body["nrows"]
        assert len(data) == count * bytes_each[kind]
    photons = np.frombuffer(body["data"]["intensity.sum.value"][1][1], "<f8")
    np.testing.assert_allclose(photons, table["photons [photons]"][kept], rtol=1e-9)
    assert table["photons [photons]"].min() >= 50.0


@pytest.mark.requirement("AT-PIC-007")
def test_spots_of_the_picture_are_the_truth(run, folder, monkeypatch):
    """The brightest rows of the file, without the direct beam, at their places in the image; predicted once."""
    pytest.importorskip("matplotlib")
    drawn, predicted = [], []

    def remember(path, image, style, notes, mask):
        drawn.append(notes.spots)
        Path(path).touch()

    def count(*arguments, **settings):
        predicted.append(arguments)
        return reflection_table(*arguments, **settings)

    monkeypatch.setattr("cubragg.view.figure.write_picture", remember)
    monkeypatch.setattr("cubragg.reflections.predict.reflection_table", count)
    assert run(LINE + "--png p.png --png-spots 20 --truth t.csv --truth-min 20").exit_code == 0
    assert len(predicted) == 1
    _, table = read_csv(folder / "t.csv")
    shown = np.flatnonzero(table["direct_beam"] == 0)[:20]
    assert len(shown) == 20
    spots, = drawn
    np.testing.assert_array_equal(spots.hkl, np.stack([table[name][shown] for name in "hkl"], axis=1))
    np.testing.assert_allclose(spots.fast_px, table["image_fast [px]"][shown], rtol=1e-9)
    np.testing.assert_allclose(spots.slow_px, table["image_slow [px]"][shown], rtol=1e-9)


@pytest.mark.requirement("AT-PIC-007")
def test_a_picture_with_spots(run, folder):
    """The picture differs from that of the rings alone where spots are, without a truth being written."""
    pytest.importorskip("matplotlib")
    for flags in ("--png rings.png --png-rings", "--png spots.png --png-rings --png-spots"):
        assert run(LINE + f"--quiet {flags}").exit_code == 0
    rings, spots = (np.asarray(Image.open(folder / f"{name}.png").convert("RGB"), dtype=int)
                    for name in ("rings", "spots"))
    assert rings.shape == spots.shape
    assert np.count_nonzero((rings != spots).any(axis=2)) > 500
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "rings.png", "spots.png"]


class Terminal(io.StringIO):
    """Takes what a terminal would show."""

    def isatty(self) -> bool:
        return True


@pytest.mark.requirement("AT-TRUTH-011")
def test_the_bar_begins_again(monkeypatch):
    """For the truth, and for the next image: a full bar of click's does not move by itself any more."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    job = build(parse(["-default_F", "1", "-cell", "50", "50", "50", "90", "90", "90"]))
    with _progress(job) as bar:
        for what in ("rendering", "truth", "rendering"):
            for done in (25, 50, 100):
                bar(what, done, 100)
    drawn = re.findall(r"(rendering|truth)  \[[#-]*\] +(\d+)%", terminal.getvalue())
    assert [(what, int(percent)) for what, percent in drawn if percent != "0"] == [
        (what, percent) for what in ("rendering", "truth", "rendering") for percent in (25, 50, 100)]


@pytest.mark.requirement("AT-TRUTH-009")
def test_each_image_of_a_series_has_its_own(run, folder):
    """Numbered like the images, that of a run from its own phi; in a table of DIALS, z goes on through the scan."""
    def table(path):
        _, _, body = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
        columns = {name: np.frombuffer(body["data"][name][1][1], "<f8").reshape(-1, 3)
                   for name in ("xyzcal.px", "xyzobs.px.value", "xyzcal.mm")}
        return columns | {"photons": np.frombuffer(body["data"]["intensity.sum.value"][1][1], "<f8")}

    assert run(LINE + "--images 2 --truth t.refl --quiet").exit_code == 0
    assert run(LINE + "-phi 0.65 --truth alone.refl --quiet").exit_code == 0
    assert run(LINE + "--images 2 --truth t.csv --quiet").exit_code == 0
    second, alone = table(folder / "t_0002.refl"), table(folder / "alone.refl")
    np.testing.assert_allclose(second["photons"], alone["photons"], rtol=1e-9)
    np.testing.assert_allclose(second["xyzcal.mm"], alone["xyzcal.mm"], rtol=1e-9)
    for name in ("xyzcal.px", "xyzobs.px.value"):
        np.testing.assert_allclose(second[name], alone[name] + (0.0, 0.0, 1.0), rtol=1e-9)
    assert 0.0 <= table(folder / "t_0001.refl")["xyzcal.px"][:, 2].min() < 1.0 <= second["xyzcal.px"][:, 2].min()
    comments, rows = read_csv(folder / "t_0002.csv")
    assert (comments["image"], float(comments["phi_start [deg]"])) == ("2", 0.65)
    assert rows["phi [deg]"].min() >= 0.65


@pytest.mark.requirement("AT-TRUTH-009")
@pytest.mark.parametrize(("line", "says"), [
    ("--truth t.txt", ("--truth", "t.txt", ".csv", ".h5", ".hdf5", ".nxs", ".refl")),
    ("--truth t", ("--truth", "t", ".csv", ".h5", ".hdf5", ".nxs", ".refl")),
    ("--truth t.csv --truth-min -1", ("--truth-min", "-1 photons", "photons")),
    ("--truth t.csv -oversample_omega", ("-oversample_omega", "", "sum", "--semantics physical")),
    ("--png p.png --png-spots -oversample_thick", ("-oversample_thick", "", "sum", "--semantics physical")),
    ("--png-spots", ("--png-spots", "--png", "picture")),
    ("--truth a.bin", ("--truth", "a.bin", "-floatfile", "write")),
])
def test_faults(line, says, run, folder):
    refused(run(LINE + line), 2, *says)
    assert not list(folder.iterdir())


@pytest.mark.requirement("AT-TRUTH-009")
def test_an_image_without_reflections(run, folder):
    assert run(LINE + "--truth t.csv --truth-min 1e30 --quiet").exit_code == 0
    lines = [line for line in (folder / "t.csv").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert run(LINE + "--truth t.h5 --truth-min 1e30 --quiet").exit_code == 0
    assert run(LINE + "--truth t.refl --truth-min 1e30 --quiet").exit_code == 0
