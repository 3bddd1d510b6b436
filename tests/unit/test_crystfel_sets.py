"""What CrystFEL reads of a data set: its geometry file refers to the images, and the stream has the truth."""

from __future__ import annotations

import dataclasses
import json
import re

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.crystallography.bravais import bravais_of
from cubragg.dataset.verification import faults
from cubragg.errors import ConfigError
from cubragg.io.geometry.crystfel import read_geom
from support.command import invoke
from support.write_stills import BASE, stills

#: A tilted detector of two panels and a gap.
TILTED = dataclasses.replace(BASE, detector=cb.Detector(panels=(
    cb.Panel(60, 30, (70.0, 6.0, -4.0), (0.02, 0.0, 0.2), (0.0, -0.2, 0.0), name="m0"),
    cb.Panel(60, 30, (70.0, -2.0, -4.0), (0.0, 0.0, 0.2), (-0.02, -0.2, 0.0), (0, 40), "m1"))))
MOVES = {"detector.distance_mm": cb.uniform(60.0, 80.0), "detector.beam_centre_mm": cb.normal(0.5),
         "beam.wavelength_A": cb.normal(1.5, 0.02)}
SHIFTS = ("detector_shift_x", "detector_shift_y")
_PER_NM = 0.1


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folders of sets, some of whose shots are blank: of a tilted detector, and of one that moves."""
    folder = tmp_path_factory.mktemp("data")
    for name, vary in (("still", {"beam.wavelength_A": cb.normal(1.5, 0.02)}), ("moves", MOVES)):
        data = cb.Stills(TILTED, 6, seed=3, vary=vary, crystals=2, blank=0.3)
        data.write(folder / name, workers=1, shard=3, truth=("h5", "stream"))
    return folder


def geometry(path):
    """``key = value`` of a geometry file, numbers of directions in their order."""
    found = dict(re.findall(r"^(\S+) = (.*)$", path.read_text(), re.MULTILINE))
    return {key: [float(x) for x in re.findall(r"([-+]\S+)[xyz]", value)] if key.endswith(("/fs", "/ss")) else value
            for key, value in found.items()}


def chunks(folder):
    """The chunks of the streams of a set: name and text."""
    for path in sorted(folder.glob("truth-*.stream")):
        head, *found = path.read_text().split("----- Begin chunk -----\n")
        assert head.startswith("CrystFEL stream format 2.3\n")
        assert head.partition("----- Begin geometry file -----\n")[2] == (
            (folder / "models.geom").read_text() + "----- End geometry file -----\n")
        yield from found


def number(chunk, name):
    return float(re.search(rf"^{re.escape(name)} ?(\S+)", chunk, re.MULTILINE)[1])


def crystals(chunk):
    """Reciprocal axes by rows [1/A], and lines of reflections, of the crystals of a chunk."""
    for crystal in chunk.split("--- Begin crystal\n")[1:]:
        stars = [[float(x) for x in row] for row in re.findall(r"^[abc]star = (\S+) (\S+) (\S+) nm\^-1", crystal, re.M)]
        lines = re.search(r"panel\n(.*)End of reflections", crystal, re.DOTALL)
        yield np.array(stars) * _PER_NM, [line.split() for line in lines[1].splitlines()] if lines else []


@pytest.mark.parametrize("name", ["still", "moves"])
def test_the_geometry_refers_to_data_of_every_file(written, name):
    found = geometry(written / name / "models.geom")
    assert (found["dim0"], found["dim1"], found["dim2"]) == ("%", "ss", "fs")
    paths = [found["data"], found["wavelength"].removesuffix(" A"), found["mask"]]
    lengths = [value.removesuffix(" m") for key, value in found.items() if key in ("clen", *SHIFTS)]
    for file, count in (("master.nxs", 6), ("shard-00000.nxs", 3), ("shard-00001.nxs", 3)):
        with h5py.File(written / name / file) as images:
            assert images[paths[0]].shape == (count, 70, 60)
            assert images[paths[1]].shape == (count,)
            assert images[paths[2]].shape == (70, 60)
            assert np.array_equal(images[paths[2]][30:40] != 0, np.ones((10, 60), dtype=bool))
            for path in lengths if name == "moves" else ():
                assert images[path].shape == (count,)
    assert list(faults(written / name)) == []


def test_our_reader_has_the_panels(written):
    models = read_geom(written / "still" / "models.geom")
    assert [panel.name for panel in models.panels] == ["m0", "m1"]
    assert "incident_wavelength" in models.missing_wavelength
    document = json.loads((written / "still" / "models.expt").read_text())
    for panel, theirs in zip(models.panels, document["detector"][0]["panels"], strict=True):
        np.testing.assert_allclose(panel.origin_mm, theirs["origin"], atol=1e-9)
        np.testing.assert_allclose(panel.fast, theirs["fast_axis"], atol=1e-12)
        np.testing.assert_allclose(panel.slow, theirs["slow_axis"], atol=1e-12)
        assert panel.mask is None


def test_crystals_and_reflections_are_those_of_the_hdf5_truth(written):
    shots, blank = [], 0
    for place, chunk in enumerate(chunks(written / "still")):
        assert f"Image filename: master.nxs\nEvent: //{place}\n" in chunk
        with h5py.File(written / "still" / f"truth-{place // 3:05d}.h5") as file:
            rows = {name: column[()] for name, column in file["reflections"].items()}
            matrices = file["crystals/A_dials"][()][file["crystals/shot"][()] == place]
            wavelength = file["parameters/beam.wavelength_A"][place % 3]
        assert number(chunk, "photon_energy_eV =") == pytest.approx(12398.4198 / wavelength, rel=1e-6)
        found = list(crystals(chunk))
        blank += not found
        assert number(chunk, "hit =") == bool(found)
        assert len(found) == len(matrices)
        for crystal, (stars, lines) in enumerate(found):
            np.testing.assert_allclose(stars * (-1.0, 1.0, -1.0), matrices[crystal].T, atol=1e-11)
            chosen = (rows["shot"] == place) & (rows["crystal"] == crystal) & ~rows["direct_beam"]
            assert len(lines) == chosen.sum() > 0
            for column, name in enumerate(("h", "k", "l")):
                assert [int(line[column]) for line in lines] == rows[name][chosen].tolist()
            for column, name, near in ((3, "photons", 1e-4), (7, "image_fast", 1e-3), (8, "image_slow", 1e-3)):
                np.testing.assert_allclose([float(line[column]) for line in lines], rows[name][chosen], atol=near)
            np.testing.assert_allclose([float(line[4]) for line in lines], np.sqrt(rows["photons"][chosen]), atol=1e-4)
            assert [line[9] for line in lines] == [f"m{panel}" for panel in rows["panel"][chosen]]
            peaks, backgrounds = (np.array([float(line[column]) for line in lines]) for column in (5, 6))
            np.testing.assert_allclose(backgrounds, 1000.0, rtol=1e-4)
            assert np.all(peaks >= backgrounds * (1.0 - 1e-6))
            shots.append(place)
    assert 0 < blank < 6
    assert len(shots) == 2 * (6 - blank)


def test_peaks_are_the_bright_reflections(written):
    """Five standard deviations of the photons in their pixel, the brightest of those in a pixel."""
    total = 0
    for chunk in chunks(written / "still"):
        expected = {}
        for _, lines in crystals(chunk):
            for line in lines:
                intensity, peak, background, f, s = (float(line[place]) for place in (3, 5, 6, 7, 8))
                if peak - background >= 5.0 * np.sqrt(peak):
                    total += 1
                    place = expected.setdefault((int(f), int(s), line[9]), [0.0, 0.0, 0.0])
                    if intensity > place[2]:
                        place[:] = f, s, intensity
        head, listed = chunk.split("Peaks from peak search\n  fs/px   ss/px (1/d)/nm^-1   Intensity  Panel\n")
        peaks = [line.split() for line in listed.partition("End of peak list\n")[0].splitlines()]
        assert number(head, "num_peaks =") == len(peaks) == len(expected)
        for (*_, panel), (f, s, intensity) in expected.items():
            (found,) = (peak for peak in peaks if peak[4] == panel and abs(float(peak[0]) - f) < 0.006
                        and abs(float(peak[1]) - s) < 0.006)
            assert float(found[3]) == pytest.approx(intensity, abs=0.01)
        finest = max((float(peak[2]) for peak in peaks), default=0.0)
        assert number(head, "peak_resolution =") == pytest.approx(finest, abs=0.01)
    assert total > 10
    assert "Peaks are predicted, not found" in (written / "still" / "truth-00000.stream").read_text()


@pytest.mark.parametrize(("model", "cell", "lattice"), [
    ("helix_bundle.pdb", "", ("orthorhombic", "P", "*")), ("quartz.cif", "", ("hexagonal", "P", "c")),
    ("helix_bundle.pdb", "-cell 42 47 58 90 95 90", ("triclinic", "P", "*"))])
def test_crystals_have_the_lattice_of_the_space_group(tmp_path, model, cell, lattice):
    line = (f"stills {model} -detpixels 40 -pixel 1 --distance 40 -n 2 --seed 1 --dmin 3 --truth stream {cell} "
            f"--workers 1 --quiet -o {tmp_path / 'set'}")
    assert invoke(line).exit_code == 0
    again = f"stills {tmp_path / 'set' / 'spec.toml'} --workers 1 --quiet -o {tmp_path / 'again'}"
    assert invoke(again).exit_code == 0
    for folder in ("set", "again"):
        for path, ending in (("truth-00000.stream", "*"), ("models.cell", None)):
            text = (tmp_path / folder / path).read_text()
            found = [dict(re.findall(rf"^{name} = (\S+)$()", text, re.MULTILINE)) or None
                     for name in ("lattice_type", "centering", "unique_axis")]
            expected = [None if value == "*" and ending is None else {value: ""} for value in lattice]
            assert found == expected, path


@pytest.mark.parametrize(("symbol", "cell", "lattice"), [
    ("P 1", (40, 50, 60, 70, 80, 100), ("triclinic", "P", "*")),
    ("C 1 2 1", (40, 50, 60, 90, 100, 90), ("monoclinic", "C", "b")),
    ("P 1 1 21", (40, 50, 60, 90, 90, 100), ("monoclinic", "P", "c")),
    ("I 2 2 2", (40, 50, 60, 90, 90, 90), ("orthorhombic", "I", "*")),
    ("P 41 21 2", (40, 40, 60, 90, 90, 90), ("tetragonal", "P", "c")),
    ("P 31 2 1", (40, 40, 60, 90, 90, 120), ("hexagonal", "P", "c")),
    ("R 3:H", (40, 40, 60, 90, 90, 120), ("hexagonal", "H", "c")),
    ("R 3:R", (40, 40, 40, 70, 70, 70), ("rhombohedral", "R", "*")),
    ("F 2 3", (40, 40, 40, 90, 90, 90), ("cubic", "F", "*")),
    ("P 41 21 2", (40, 45, 60, 90, 90, 90), ("triclinic", "P", "*")),
    ("P 21", (40, 50, 60, 90, 100, 90), ("monoclinic", "P", "b")),
    (None, (40, 40, 40, 90, 90, 90), ("triclinic", "P", "*"))])
def test_lattices_of_space_groups(symbol, cell, lattice):
    assert bravais_of(symbol, cell) == lattice


@pytest.mark.parametrize("name", ["still", "moves"])
def test_spots_are_where_crystals_and_geometry_have_them(written, name):
    """The geometry by the rules of crystfel_geometry(5), in the laboratory with z along the beam and y up."""
    found = geometry(written / name / "models.geom")
    angles_deg = []
    for place, chunk in enumerate(chunks(written / name)):
        shift = np.zeros(2)
        clen = float(found["clen"].removesuffix(" m")) if name == "still" else number(
            chunk, "header/float//entry/crystfel/clen =")
        with h5py.File(written / name / "master.nxs") as file:
            if name == "moves":
                shift = np.array([file[f"/entry/crystfel/shift_{axis}"][place] for axis in "xy"])
                assert file["/entry/crystfel/clen"][place] == pytest.approx(clen)
                assert number(chunk, "header/float//entry/crystfel/shift_y =") == pytest.approx(shift[1])
        wave = 12398.4198 / number(chunk, "photon_energy_eV =")
        for stars, lines in crystals(chunk):
            for h, k, l, *_, fs, ss, panel in lines:  # noqa: E741
                fast, slow = float(fs), float(ss) - float(found[f"{panel}/min_ss"])
                res = float(found[f"{panel}/res"])
                at = fast * np.array(found[f"{panel}/fs"]) + slow * np.array(found[f"{panel}/ss"])
                at[:2] += float(found[f"{panel}/corner_x"]), float(found[f"{panel}/corner_y"])
                at = at / res
                at[:2] += shift
                at[2] += clen + float(found[f"{panel}/coffset"])
                ray = np.array((0.0, 0.0, 1.0 / wave)) + np.array([int(h), int(k), int(l)]) @ stars
                cosine = ray @ at / np.linalg.norm(ray) / np.linalg.norm(at)
                angles_deg.append(np.degrees(np.arccos(cosine)))
    assert len(angles_deg) > 100
    # A pixel is 0.16 deg. Blocks of 3 to 5 cells make spots of a degree, which edges cut.
    assert np.median(angles_deg) < 0.05
    assert max(angles_deg) < 1.0


def test_shifts_are_those_of_the_parameters(written):
    with h5py.File(written / "moves" / "master.nxs") as file:
        distance = file["/entry/parameters/detector.distance_mm"][()]
        clen = file["/entry/crystfel/clen"][()]
        np.testing.assert_allclose(1000.0 * np.ptp(clen), np.ptp(distance), atol=1.0)  # a tilted detector's centre
        assert np.argmax(clen) == np.argmax(distance)


def test_wedges_have_a_geometry_each(tmp_path):
    data = cb.Sweep(BASE, osc_deg=1.0, wedges=[cb.Wedge(0.0, 2), cb.Wedge(180.0, 3)])
    data.write(tmp_path / "set", workers=1, truth=("stream",))
    names = {path.name for path in (tmp_path / "set").glob("models-*")}
    assert names == {"models-1.geom", "models-1.cell", "models-2.geom", "models-2.cell"}
    texts = [path.read_text() for path in sorted((tmp_path / "set").glob("truth-*.stream"))]
    found = re.findall(r"Image filename: (\S+)\nEvent: //(\d+)\nImage serial number: (\d+)\n", "".join(texts))
    assert found == [("master-1.nxs", "0", "1"), ("master-1.nxs", "1", "2"), ("master-2.nxs", "0", "3"),
                     ("master-2.nxs", "1", "4"), ("master-2.nxs", "2", "5")]


def test_images_of_their_own_files(tmp_path):
    masked = np.ones((50, 60), dtype=bool)
    masked[10:12, 20:30] = False
    data = cb.Stills(dataclasses.replace(BASE, sampling=cb.Sampling(mask=masked)), 3, seed=4)
    data.write(tmp_path / "set", workers=1, shard=2, format="cbf", truth=("h5", "stream"))
    found = geometry(tmp_path / "set" / "models.geom")
    assert float(found["photon_energy"].split()[0]) == pytest.approx(12398.4198 / 1.5, rel=1e-6)
    assert "data" not in found
    models = read_geom(tmp_path / "set" / "models.geom")
    assert np.array_equal(models.panels[0].mask, masked)
    for place, chunk in enumerate(chunks(tmp_path / "set")):
        assert f"Image filename: image_{place + 1:05d}.cbf\nEvent: //\n" in chunk
        (_, lines), = crystals(chunk)
        with h5py.File(tmp_path / "set" / f"truth-{place // 2:05d}.h5") as file:
            assert len(lines) == np.count_nonzero(file["reflections/shot"][()] == place)


@pytest.mark.parametrize(("vary", "settings", "says"), [
    ({}, {"format": "smv"}, "smv"), ({"wavelength_A": cb.normal(0.01)}, {"format": "cbf"}, "beam.wavelength_A"),
    ({"distance_mm": cb.normal(1.0)}, {"format": "cbf"}, "detector.distance_mm"),
    ({"detector.rotation_deg[0]": cb.normal(0.1)}, {}, "detector.rotation_deg")])
def test_images_that_no_geometry_describes(tmp_path, vary, settings, says):
    data = cb.Stills(BASE, 2, vary=vary)
    with pytest.raises(ConfigError) as error:
        data.write(tmp_path / "set", workers=1, truth=("stream",), **settings)
    assert error.value.where == "write.truth"
    assert says in error.value.what
    assert not (tmp_path / "set").exists()
    data.write(tmp_path / "set", workers=1, truth=(), **settings)
    assert not [*(tmp_path / "set").glob("*.geom")]


def test_a_changed_stream_is_found(tmp_path):
    stills(2).write(tmp_path / "set", workers=1, shard=1, truth=("stream",))
    path = tmp_path / "set" / "truth-00001.stream"
    path.write_text(path.read_text().replace("astar = +", "astar = -", 1))
    assert [fault.partition(":")[0] for fault in faults(tmp_path / "set")] == [str(path)]
