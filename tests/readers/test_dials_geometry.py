"""Geometry to and from DIALS itself: it reads our experiment lists, and we put reflections where it predicts them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, StructureFactors
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.detect.noise import noise_counts
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt import read_expt
from cubragg.io.geometry.expt_out import expt_text
from cubragg.io.geometry.sniff import read_models
from cubragg.run.render import simulate
from support.command import simulated
from support.dials import dials_python, ran
from support.experiments import Hung, hung
from support.marks import slow_after
from support.nexus_file import write

pytestmark = [pytest.mark.dials, pytest.mark.slow]

#: Rounding of what two programs compute in double precision from lengths of some 100 mm.
SAME = 1e-9
#: Between the centre of a rendered spot and its prediction [pixel].
OF_A_PIXEL = 0.02


def in_dials(folder: Path, script: str, *arguments: object):
    """What a script prints as JSON in its last line."""
    (folder / "script.py").write_text(script)
    return json.loads(ran(dials_python(), "script.py", *map(str, arguments), folder=folder).splitlines()[-1])


LOAD = """
import json, sys
from dxtbx.model.experiment_list import ExperimentListFactory
e, = ExperimentListFactory.from_json_file(sys.argv[1], check_format=sys.argv[2] == "images")
g, s, c = e.goniometer, e.scan, e.crystal
found = {
    "s0": e.beam.get_s0(), "normal": e.beam.get_polarization_normal(), "fraction": e.beam.get_polarization_fraction(),
    "panels": [{"origin": p.get_origin(), "fast": p.get_fast_axis(), "slow": p.get_slow_axis(),
                "size": p.get_image_size(), "pixel": p.get_pixel_size(), "offset": p.get_raw_image_offset(),
                "mask": [list(m) for m in p.get_mask()], "thickness": p.get_thickness(), "mu": p.get_mu(),
                "strategy": p.get_px_mm_strategy().name(), "trusted": p.get_trusted_range()} for p in e.detector],
    "axis": g and g.get_rotation_axis(), "scan": s and s.get_oscillation(), "A": c.get_A(),
    "group": c.get_space_group().type().lookup_symbol()}
if sys.argv[2] == "images":
    images = [e.imageset.get_raw_data(i)[0] for i in range(len(e.imageset))]
    found["sums"], found["shape"] = [float(sum(pixels.as_1d())) for pixels in images], images[0].all()
    found["range"] = s and s.get_image_range()
print(json.dumps(found))
"""


def some_panels() -> tuple[Hung, ...]:
    """Three modules that are not quite where they should be."""
    mask = np.ones((60, 80), dtype=bool)
    mask[10:20, 5:9] = False
    mask[55:, 70:] = False
    return (Hung(80, 60, 0.1, 0.1, (0.0, 0.0, 0.0), mask=mask, trusted=(-1.0, 1000.0)),
            Hung(80, 60, 0.1, 0.1, (8.7, 0.02, 0.3), (0.999, 0.02, 0.01), (-0.02, 0.999, 0.0), (87, 0)),
            Hung(80, 60, 0.1, 0.1, (0.1, 6.9, -0.2), (1.0, 0.0, 0.03), (0.0, 1.0, 0.0), (0, 69), name="low"))


def experiment(convention: str, panels: tuple[Hung, ...] = (), **goniometer) -> Experiment:
    detector = Detector(convention=convention, rotx_deg=3.0, roty_deg=-2.0, twotheta_deg=10.0, fast_pixels=180,
                        slow_pixels=150, distance_mm=150.0, thickness_um=320.0, attenuation_um=250.0)
    detector = hung(detector, panels) if panels else detector
    return Experiment(Crystal((50.0, 60.0, 70.0, 80.0, 85.0, 95.0), misset_deg=(10.0, 20.0, 30.0)),
                      StructureFactors(100.0), Beam(wavelength_A=0.97, kahn_factor=0.9), detector,
                      Goniometer(**goniometer))


@pytest.mark.requirement("AT-FROM-010")
@pytest.mark.parametrize("convention", slow_after(1, ["mosflm", "adxv", "xds", "dials"]))
@pytest.mark.parametrize("panels", [(), some_panels()], ids=["one", "three"])
def test_dials_has_our_models(tmp_path, convention, panels):
    """Beam, every panel, axis, scan and A, orientation included."""
    models = models_of(experiment(convention, panels, phi_deg=7.0, osc_deg=0.25))
    (tmp_path / "ours.expt").write_text(expt_text("--expt", models, image=None, trusted=(-1.0, 65535.0)))
    theirs = in_dials(tmp_path, LOAD, "ours.expt", "models")
    beam = models.beam
    assert np.allclose(theirs["s0"], np.array(beam.direction) / 0.97, rtol=0, atol=SAME)
    assert theirs["s0"][2] == -1.0 / 0.97
    assert np.allclose(theirs["normal"], beam.polarization_normal, rtol=0, atol=SAME)
    assert theirs["fraction"] == 0.95
    assert np.allclose(theirs["axis"], (1.0, 0.0, 0.0), rtol=0, atol=SAME)
    assert theirs["scan"] == [7.0, 0.25]
    assert theirs["group"] == "P 1"
    assert np.allclose(theirs["A"], models.crystal.a_matrix, rtol=0, atol=SAME)
    assert len(theirs["panels"]) == len(models.panels)
    for panel, other in zip(models.panels, theirs["panels"], strict=True):
        for name, mine in (("origin", panel.origin_mm), ("fast", panel.fast), ("slow", panel.slow)):
            assert np.allclose(other[name], mine, rtol=0, atol=SAME)
        assert other["size"] == [panel.fast_pixels, panel.slow_pixels]
        assert other["pixel"] == [*panel.pixel_mm]
        assert other["offset"] == list(panel.offset)
        assert other["strategy"] == "ParallaxCorrectedPxMmStrategy"
        assert (other["thickness"], other["mu"]) == (pytest.approx(0.32), pytest.approx(4.0))
        assert other["trusted"] == list(panel.trusted or (-1.0, 65535.0))
        dark = np.zeros((panel.slow_pixels, panel.fast_pixels), dtype=bool)
        for f0, s0, f1, s1 in other["mask"]:
            dark[s0:s1, f0:f1] = True
        assert np.array_equal(dark, np.zeros_like(dark) if panel.mask is None else ~panel.mask)


@pytest.mark.requirement("AT-FROM-011")
def test_dials_reads_the_image_of_an_experiment_list(tmp_path, monkeypatch):
    """The image written in the same run, with our models over its header."""
    monkeypatch.chdir(tmp_path)
    line = ("-default_F 100 -cell 50 -lambda 1 -N 3 -detpixels 60 -detpixels_s 50 -detector_rotx 9 -phi 5 -osc 1 "
            "-oversample 1 -seed 1 -noisefile a_0001.img --expt a.expt --quiet")
    assert simulated(line) == (0, "")
    theirs = in_dials(tmp_path, LOAD, "a.expt", "images")
    from cubragg.io.images.smv import read_smv

    counts = read_smv("a_0001.img").pixels
    assert (theirs["shape"], theirs["sums"]) == ([50, 60], [float(counts.sum())])
    assert not np.allclose(theirs["panels"][0]["slow"], (0.0, -1.0, 0.0))


@pytest.mark.requirement("AT-FROM-011")
@pytest.mark.parametrize("images", slow_after(1, [
    "--nxmx s1.h5", "-cbffile c.cbf", "-noisefile n.img --smv-flavor adsc"]))
def test_dials_reads_a_series_by_its_experiment_list(tmp_path, monkeypatch, images):
    """All three images, in one file or numbered, each at its angle."""
    monkeypatch.chdir(tmp_path)
    line = ("-default_F 100 -cell 50 -lambda 1 -N 3 -detpixels 60 -detpixels_s 50 -phi 5 -osc 0.5 -oversample 1 -seed "
            f"1 -fluence 1e27 --images 3 {images} -floatfile f.bin --expt s.expt --quiet")
    assert simulated(line) == (0, "")
    theirs = in_dials(tmp_path, LOAD, "s.expt", "images")
    photons = [np.fromfile(f"f_000{number}.bin", "<f4") for number in (1, 2, 3)]
    pedestal = 40.0 * 3000 if "img" in images else 0.0
    expected = [noise_counts(image.reshape(50, 60), (0, 59, 0, 49), 1, shot=number).sum() + pedestal
                for number, image in enumerate(photons)]
    assert (theirs["sums"], theirs["range"], theirs["scan"]) == (expected, [1, 3], [5.0, 0.5])
    assert len(set(expected)) == 3


MAKE = """
import json, sys
from dxtbx.model import BeamFactory, Crystal, Detector, GoniometerFactory, ParallaxCorrectedPxMmStrategy, ScanFactory
from dxtbx.model.experiment_list import Experiment, ExperimentList
from scitbx.array_family import flex
from scitbx import matrix
kind = sys.argv[1]
detector = Detector()
root = detector.hierarchy() if kind == "panels" else detector
if kind == "panels":
    root.set_frame((0.9, 0.1, -0.05), (0.1, -0.9, 0), (-40, 35, -100))
tilt = matrix.col((1, 2, 3)).axis_and_angle_as_r3_rotation_matrix(11, deg=True)
for number in range(3 if kind == "panels" else 1):
    p = root.add_panel()
    if kind == "panels":
        p.set_local_frame((1, 0.01 * number, 0), (-0.01 * number, 1, 0.02), (number * 27.0, 0.3 * number, -number))
        p.set_image_size((500, 1400))
        p.set_raw_image_offset((540 * number, 0))
    else:
        p.set_local_frame(*[tilt * matrix.col(x) for x in ((1, 0, 0), (0, -1, 0), (-45, 30, -100))])
        p.set_image_size((1600, 1400))
    p.set_name("p%d" % number)
    p.set_pixel_size((0.05, 0.05))
    p.set_trusted_range((-1, 10**6))
    if kind == "thick":
        p.set_thickness(0.45); p.set_mu(20.0); p.set_material("Si")
        p.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(20.0, 0.45))
beam = BeamFactory.make_beam(sample_to_source=(0.002, -0.003, 1), wavelength=1.0)
omega = matrix.col((0.999, 0.01, 0.02)).normalize().elems
goniometer = GoniometerFactory.multi_axis(
    flex.vec3_double([(1, 0, 0), (0.6, 0, 0.8), omega, (0, 1, 0)]), flex.double([10, 20, 0, 5]),
    flex.std_string(["phi", "kappa", "omega", "swing"]), 2)
U = matrix.col((3, 1, 2)).axis_and_angle_as_r3_rotation_matrix(40, deg=True)
crystal = Crystal(*[U * matrix.col(x) for x in ((30, 0, 0), (-3, 40, 0), (4, -5, 50))], space_group_symbol="P1")
scan = ScanFactory.make_scan((1, 40), [0.1] * 40, (20, 0.5), {i: 0 for i in range(40)})
experiments = ExperimentList([Experiment(beam=beam, detector=detector, goniometer=goniometer, scan=scan,
                                         crystal=crystal)])
experiments.as_file("theirs.expt")
from dials.array_family import flex
from dials.algorithms.spot_prediction import ScanStaticReflectionPredictor
found = ScanStaticReflectionPredictor(experiments[0], dmin=1.3).for_ub(crystal.get_A())
print(json.dumps([(list(h), panel, list(xyz)) for h, panel, xyz in
                  zip(found["miller_index"], found["panel"], found["xyzcal.px"])]))
"""


@pytest.mark.requirement("AT-FROM-003")
def test_panels_of_a_hierarchy_lie_where_dials_has_them(tmp_path):
    """Groups within groups; spindle and A with fixed and setting rotations."""
    in_dials(tmp_path, MAKE, "panels")
    theirs = in_dials(tmp_path, LOAD, "theirs.expt", "models")
    models = read_expt(tmp_path / "theirs.expt")
    for panel, other in zip(models.panels, theirs["panels"], strict=True):
        for name, mine in (("origin", panel.origin_mm), ("fast", panel.fast), ("slow", panel.slow)):
            assert np.allclose(other[name], mine, rtol=0, atol=SAME)
    rotations = in_dials(tmp_path, """
import json
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx import matrix
e, = ExperimentListFactory.from_json_file("theirs.expt", check_format=False)
S, F = (matrix.sqr(x) for x in (e.goniometer.get_setting_rotation(), e.goniometer.get_fixed_rotation()))
axis = matrix.col(e.goniometer.get_rotation_axis_datum())
print(json.dumps([list(S * axis), list(S * F * matrix.sqr(e.crystal.get_A()))]))
""")
    assert np.allclose(models.spindle, rotations[0], rtol=0, atol=SAME)
    assert np.allclose(models.crystal.a_matrix, rotations[1], rtol=0, atol=SAME)


@pytest.mark.requirement("AT-FROM-040")
def test_modules_of_an_nxmx_file_lie_where_dials_has_them(tmp_path):
    """And its spindle, by dxtbx's reader."""
    write(tmp_path / "a.nxs")
    theirs = in_dials(tmp_path, """
import json
import h5py
from dxtbx.nexus import get_dxtbx_detector, get_dxtbx_goniometer, nxmx
with h5py.File("a.nxs") as file:
    entry, = nxmx.NXmx(file).entries
    goniometer = get_dxtbx_goniometer(entry.samples[0])
    detector = get_dxtbx_detector(entry.instruments[0].detectors[0], 1.2)
    print(json.dumps({
        "panels": [{"origin": p.get_origin(), "fast": p.get_fast_axis(), "slow": p.get_slow_axis(),
                    "pixel": p.get_pixel_size(), "thickness": p.get_thickness()} for p in detector],
        "axis": goniometer.get_rotation_axis()}))
""")
    models = read_models(tmp_path / "a.nxs")
    assert np.allclose(models.spindle, theirs["axis"], rtol=0, atol=SAME)
    for panel, other in zip(models.panels, theirs["panels"], strict=True):
        for name, mine in (("origin", panel.origin_mm), ("fast", panel.fast), ("slow", panel.slow)):
            assert np.allclose(other[name], mine, rtol=0, atol=SAME)
        assert other["pixel"] == pytest.approx([*panel.pixel_mm])
        assert other["thickness"] == pytest.approx(panel.thickness_um / 1000.0)


def isolated(predicted, panel_offsets, count):
    """Some reflections with no other near, on the detector and in rotation, spread over the image."""
    places = np.array([np.add(xyz[:2], panel_offsets[panel]) for _, panel, xyz in predicted])
    angles = np.array([xyz[2] for _, _, xyz in predicted])
    alone = []
    for number, (_, panel, xyz) in enumerate(predicted):
        near = (np.abs(places - places[number]).max(axis=1) < 30.0) & (np.abs(angles - xyz[2]) < 8.0)
        inside = 30.0 < xyz[0] < 1570.0 if len(panel_offsets) == 1 else 30.0 < xyz[0] < 470.0
        if near.sum() == 1 and inside and 30.0 < xyz[1] < 1370.0 and 8.0 < xyz[2] < 32.0:
            alone.append((panel, (*places[number], xyz[2])))
    return alone[::max(1, len(alone) // count)][:count]


def centroid(job, place, **detector):
    """Where a reflection is rendered [pixel], all of its rocking curve."""
    x, y, z = place
    phi = 20.0 + 0.5 * z
    base = job.experiment
    roi = (int(x) - 14, int(x) + 14, int(y) - 14, int(y) + 14)
    image = simulate(dataclasses.replace(
        base, goniometer=dataclasses.replace(base.goniometer, phi_deg=phi - 1.5, osc_deg=3.0, phi_steps=150),
        detector=dataclasses.replace(base.detector, **detector),
        sampling=dataclasses.replace(base.sampling, roi=roi))).photons
    spot = np.asarray(image, dtype=np.float64)[roi[2]:roi[3] + 1, roi[0]:roi[1] + 1]
    spot = np.where(spot > 1e-3 * spot.max(), spot, 0.0)
    slow, fast = np.indices(spot.shape)
    return (np.array([(spot * (fast + 0.5)).sum(), (spot * (slow + 0.5)).sum()]) / spot.sum() + (roi[0], roi[2]))


# Spots of -gauss_xtal are about 0.001 per Angstrom wide, 0.8 pixel here: 0.93 / (N a) in each direction in physical
# semantics, in nanobragg semantics of 10 x 10 x 10 cells.
def imported(tmp_path, semantics="physical"):
    cells = "-N 10" if semantics == "nanobragg" else "-Na 33 -Nb 25 -Nc 20"
    line = (f"-default_F 100 --from {tmp_path / 'theirs.expt'} {cells} -gauss_xtal -oversample 2 "
            f"--semantics {semantics}")
    return build(parse(line.split()))


@pytest.mark.requirement("AT-FROM-012")
@pytest.mark.parametrize("kind", slow_after(1, ["panels", "one"]))
@pytest.mark.parametrize("semantics", slow_after(1, ["physical", "nanobragg"]))
def test_reflections_are_where_dials_predicts_them(tmp_path, kind, semantics):
    """Tilted panels, a goniometer with fixed and setting axes, a beam that is not quite along z."""
    predicted = in_dials(tmp_path, MAKE, kind)
    job = imported(tmp_path, semantics)
    offsets = [panel.offset for panel in job.experiment.detector.panels] or [(0, 0)]
    chosen = isolated(predicted, offsets, 6)
    assert len(chosen) == 6
    off = [centroid(job, place) - place[:2] for _, place in chosen]
    print(np.round(off, 4))
    assert np.abs(off).max() < OF_A_PIXEL


@pytest.mark.requirement("AT-FROM-013")
def test_a_thick_sensor_moves_reflections_as_dials_predicts(tmp_path):
    """With the sensor within a fiftieth of a pixel, without it several pixels' tenths off.

    The sensor takes up nearly all photons: DIALS's mean depth, 1/mu - (t + 1/mu) exp(-mu t), is that of the
    absorbed ones only then.
    """
    predicted = in_dials(tmp_path, MAKE, "thick")
    job = imported(tmp_path)
    chosen = isolated(predicted, [(0, 0)], 3)
    thick = [centroid(job, place) - place[:2] for _, place in chosen]
    thin = [centroid(job, place, thickness_um=0.0) - place[:2] for _, place in chosen]
    print(np.round(thick, 4), np.round(thin, 4))
    assert np.abs(thick).max() < OF_A_PIXEL
    assert np.abs(thin).max() > 0.2
