"""``--truth``: the files, as their readers see them, and the faults."""

from __future__ import annotations

import csv

import h5py
import msgpack
import numpy as np
import pytest

LINE = ("-cell 60 62 66 90 95 90 -default_F 100 -lambda 1.1 -N 12 -gauss_xtal -fudge 0.2 -distance 110 -pixel 0.3 "
        "-detpixels 80 -misset 11 23 37 -fluence 1e28 -phi 0.05 -osc 0.6 -phisteps 4 -oversample 2 -floatfile a.bin ")


def read_csv(path):
    """Comments as name -> text, and the table as name -> numbers."""
    lines = path.read_text().splitlines()
    comments = dict(line[2:].split(": ", 1) for line in lines if line.startswith("#"))
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    return comments, {name: np.array(column, dtype=float)
                      for name, column in zip(header, zip(*rows, strict=True), strict=True)}


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


@pytest.mark.parametrize(("line", "sentence"), [
    ("--truth t.txt", "--truth: got 't.txt'; the truth is written as .csv, .h5, .hdf5, .nxs or .refl"),
    ("--truth t", "--truth: got 't'; the truth is written as .csv, .h5, .hdf5, .nxs or .refl"),
    ("--truth t.csv --truth-min -1", "--truth-min: got -1 photons; the photons must be >= 0 photons"),
    ("--truth t.csv -oversample_omega", "-oversample_omega: multiplies the running sum of a pixel, so that its light "
     "belongs to no reflection; predicted reflections need --semantics physical or none of these"),
    ("--png p.png --png-spots -oversample_thick", "-oversample_thick: multiplies the running sum of a pixel, so that "
     "its light belongs to no reflection; predicted reflections need --semantics physical or none of these"),
    ("--truth a.bin", "--truth: got 'a.bin', which -floatfile writes; every file needs its own name"),
])
def test_faults(line, sentence, run, folder):
    result = run(LINE + line)
    assert result.exit_code == 2
    assert result.stderr == f"Error: {sentence}\n"
    assert not list(folder.iterdir())


def test_an_image_without_reflections(run, folder):
    assert run(LINE + "--truth t.csv --truth-min 1e30 --quiet").exit_code == 0
    lines = [line for line in (folder / "t.csv").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert run(LINE + "--truth t.h5 --truth-min 1e30 --quiet").exit_code == 0
    assert run(LINE + "--truth t.refl --truth-min 1e30 --quiet").exit_code == 0
