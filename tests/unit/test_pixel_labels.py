"""Labels of pixels by reflection, against images of single reflections."""

from __future__ import annotations

import dataclasses
import itertools

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.errors import ConfigError
from cubragg.experiment.spectrum_channels import Channel
from cubragg.reflections import pixel_labels, reflection_pixels
from support.messages import refusal

INDICES = np.array([one for one in itertools.product(range(-6, 7), range(-7, 8), range(-8, 9)) if any(one)])
AMPLITUDES = np.random.default_rng(3).gamma(2.0, 50.0, len(INDICES))
BASE = cb.Experiment(
    cb.Crystal(cell=(40, 50, 60, 90, 100, 90), misset_deg=(10, 20, 30), cells=(25, 25, 25), mosaicity_deg=0.3,
               shape="gauss"),
    cb.StructureFactors.from_list(INDICES, AMPLITUDES), cb.Beam(wavelength_A=1.2, fluence=1e25),
    cb.Detector(distance_mm=80.0, pixel_size_mm=0.15, fast_pixels=300, slow_pixels=280))


def experiments():
    """What differs in the spots of reflections: channels, layers, turns, bent spots; panels, masks and a beam stop."""
    lit = dataclasses.replace(BASE.beam, divergence_mrad=0.5, spectrum=tuple(
        Channel(wavelength, 1.0, 0.002) for wavelength in (1.17, 1.19, 1.2, 1.22)))
    yield "still", BASE
    yield "channels", dataclasses.replace(BASE, beam=lit)
    yield "turning", dataclasses.replace(BASE, goniometer=cb.Goniometer(10.0, 1.5))
    layers = dataclasses.replace(BASE.detector, thickness_um=300.0, attenuation_um=250.0, thick_steps=3)
    yield "layers", dataclasses.replace(BASE, detector=layers, goniometer=cb.Goniometer(0.0, 0.2))
    panels = [cb.Panel(140, 280, (80.0, 21.0, z), (0.0, 0.0, 0.15), (0.0, -0.15, 0.0), offset, name)
              for z, offset, name in ((-22.0, (0, 0), "left"), (1.0, (160, 0), "right"))]
    mask = np.random.default_rng(1).random((280, 300)) > 0.1
    mask[:, 140:160] = False
    yield "panels", dataclasses.replace(BASE, detector=cb.Detector(panels=tuple(panels)),
                                        sampling=cb.Sampling(mask=mask), beamstop=cb.BeamStop(10.0, 40.0))


#: Broad spots, in which a sample a pixel is enough.
BROAD = dataclasses.replace(
    BASE, crystal=dataclasses.replace(BASE.crystal, cells=(9, 8, 7), mosaicity_deg=None),
    beam=dataclasses.replace(BASE.beam, fluence=1e28), sampling=cb.Sampling(oversample=1))


def alone(experiment, index, method):
    """The image of one reflection."""
    place = np.flatnonzero((index == INDICES).all(axis=1))
    factors = cb.StructureFactors.from_list(np.vstack([INDICES[place], [0, 0, 0]]), np.append(AMPLITUDES[place], 0.0))
    return cb.simulate(dataclasses.replace(experiment, structure_factors=factors), method=method).photons


def labelled(min_photons=10.0, experiment=BASE, crystals=1, **rendering):
    shot = cb.Stills(experiment, 1, vary={"orientation": cb.constant((10.0, 20.0, 30.0))}, crystals=crystals,
                     **rendering)[0]
    return shot, shot.labels(min_photons)


@pytest.mark.parametrize(("experiment", "method"), [(BASE, "analytic"), (BROAD, "sampled")])
def test_pixels_are_those_of_the_reflection_alone(experiment, method):
    shot, labels = labelled(experiment=experiment, method=method)
    table = shot.reflections
    bright = np.flatnonzero(table.photons >= 10.0)
    assert len(bright) > 20
    images = {row: alone(experiment, table.hkl[row], method) for row in bright[:8].tolist()}
    for row, image in images.items():
        expected = np.flatnonzero(image.reshape(-1) >= pixel_labels.FRACTION * image.max())
        assert np.array_equal(labels.pixel[labels.row == row], expected)
        np.testing.assert_allclose(labels.photons[labels.row == row], image.reshape(-1)[expected], rtol=1e-5)
        slow, fast = np.divmod(expected, 300)
        assert labels.boxes[row].tolist() == [fast.min(), fast.max(), slow.min(), slow.max()]
        assert labels.pixels[row] == len(expected)
        own = labels.mask.reshape(-1)[expected] == row + 1
        assert own.all() or labels.overlapped[row]
        relative = (image / image.max()).reshape(-1)[expected][own]
        np.testing.assert_allclose(labels.heat.reshape(-1)[expected][own], relative, rtol=1e-5)


@pytest.mark.parametrize(("name", "experiment"), [*experiments()])
@pytest.mark.parametrize("fraction", [0.0, pixel_labels.FRACTION])
def test_kernels_find_the_pixels_that_numpy_finds(name, experiment, fraction, monkeypatch):
    monkeypatch.setattr(pixel_labels, "FRACTION", fraction)
    monkeypatch.setattr(reflection_pixels, "LAUNCH_PIXELS", 5000)  # several launches
    tables = cb.Stills(experiment, 1, vary={"orientation": cb.constant((10.0, 20.0, 30.0))})[0].reflections.tables
    ours, numbers = (pixel_labels.labels_of(tables, tables[0].plan.shape, 10.0, 2, backend)
                     for backend in ("cpu", "numpy"))
    assert len(ours.row) > 50
    assert np.array_equal(ours.row, numbers.row)
    assert np.array_equal(ours.pixel, numbers.pixel)
    np.testing.assert_allclose(ours.photons, numbers.photons, rtol=1e-10)
    if name == "panels":
        assert not ours.mask[~experiment.sampling.mask].any()


@pytest.mark.parametrize("goniometer", [cb.Goniometer(), cb.Goniometer(5.0, 1.5, phi_steps=4)])
@pytest.mark.parametrize("fraction", [1e-6, pixel_labels.FRACTION])
def test_the_method_sampled_has_the_same_pixels_by_kernels_and_numpy(goniometer, fraction, monkeypatch):
    """Panels with a mask and two sources, whose images are added."""
    monkeypatch.setattr(pixel_labels, "FRACTION", fraction)
    panels = dict(experiments())["panels"]
    experiment = dataclasses.replace(
        BROAD, detector=panels.detector, goniometer=goniometer,
        sampling=dataclasses.replace(BROAD.sampling, mask=panels.sampling.mask),
        beam=dataclasses.replace(BROAD.beam, divergence_mrad=1.0))
    shot, ours = labelled(1000.0, experiment, method="sampled")
    tables = shot.reflections.tables
    numbers = pixel_labels.labels_of(tables, shot.plan.shape, 1000.0, 2, "numpy")
    assert len(ours.row) > 200
    assert np.array_equal(ours.row, numbers.row)
    assert np.array_equal(ours.pixel, numbers.pixel)
    np.testing.assert_allclose(ours.photons, numbers.photons, rtol=1e-9)
    assert not ours.mask[~experiment.sampling.mask].any()
    if fraction == 1e-6:
        assert len(tables[0].hkl[tables[0].photons >= 1000.0]) > 20
        found = np.bincount(ours.row, ours.photons, ours.reflections)[tables[0].photons >= 1000.0]
        np.testing.assert_allclose(found, tables[0].photons[tables[0].photons >= 1000.0], rtol=1e-5)


def test_faint_reflections_have_no_pixels():
    shot, labels = labelled(1000.0)
    faint = shot.reflections.photons < 1000.0
    assert faint.any()
    assert (labels.pixels[faint] == 0).all()
    assert (labels.boxes[faint] == -1).all()
    assert (labels.pixels[~faint] > 0).all()
    assert set(np.unique(labels.mask)) <= {0, *(np.flatnonzero(~faint) + 1).tolist()}


@pytest.mark.parametrize(("name", "experiment"), [*experiments()])
def test_pixels_hold_all_photons_of_a_reflection(monkeypatch, name, experiment):
    monkeypatch.setattr(pixel_labels, "FRACTION", 0.0)
    shot, labels = labelled(0.0, experiment)
    if name != "panels":  # the table has the shade of the beam stop at the middle of a spot
        np.testing.assert_allclose(np.bincount(labels.row, labels.photons, labels.reflections),
                                   shot.reflections.photons, rtol=1e-5)
    image = np.bincount(labels.pixel, labels.photons, 300 * 280).reshape(280, 300)
    faint = shot.image.photons - image  # of reflections with less than a photon
    assert faint.max() < 1.0
    assert faint.min() > -1e-3 * image.max()


def test_crystals_overlap():
    shot, labels = labelled(crystals=2)
    count = labels.reflections // 2
    assert len(shot.reflections) == labels.reflections
    assert np.array_equal(labels.overlapped, labels.pixels)
    assert np.array_equal(labels.boxes[:count], labels.boxes[count:])


def test_a_shot_without_a_crystal_has_no_labels():
    labels = cb.Stills(BASE, 1, blank=1.0)[0].labels()
    assert labels.reflections == 0
    assert not labels.mask.any()
    assert not labels.heat.any()
    assert labels.boxes.shape == (0, 4)
    assert labels.overlapped.shape == labels.pixels.shape == (0,)


def test_labels_are_written(tmp_path):
    import hdf5plugin  # noqa: F401

    data = cb.Stills(BASE, 3, seed=5)
    data.write(tmp_path / "set", workers=1, shard=3, labels=("boxes", "mask", "heat"))
    with h5py.File(tmp_path / "set" / "truth-00000.h5") as file:
        boxes = {name: column[()] for name, column in file["labels/boxes"].items()}
        assert len(boxes["fast_min"]) == len(file["reflections/h"])
        for number in range(3):
            labels = data[number].labels()
            rows = file["reflections/shot"][()] == number
            assert np.array_equal(file["labels/mask"][number], labels.mask)
            assert np.array_equal(file["labels/heat"][number], labels.heat)
            assert np.array_equal(boxes["slow_max"][rows], labels.boxes[:, 3])
            assert np.array_equal(boxes["overlapped"][rows], labels.overlapped)


def test_labels_need_the_hdf5_of_the_truth(tmp_path):
    for settings in ({"labels": ["boxes"], "truth": ["refl"]}, {"labels": ["dots"]}):
        with pytest.raises(ConfigError) as caught:
            cb.Stills(BASE, 1).write(tmp_path / "set", **settings)
        assert caught.value.where == "write.labels"
    assert not (tmp_path / "set").exists()


def test_labels_are_described_in_a_line_and_need_photons_above_zero():
    shot = cb.Stills(BASE, 1)[0]
    assert "pixels of" in repr(shot.labels())
    assert len(repr(shot.labels())) < 100
    for call in (shot.labels, shot.reflections_above):
        with refusal(ConfigError, "min_photons", "-1 photons"):
            call(-1)
