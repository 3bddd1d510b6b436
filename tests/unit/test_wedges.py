"""Several sweeps in one data set: their order, their goniometer, and the files that other programs read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.crystallography.vectors import dot
from cubragg.dataset.read_set import read_specification
from cubragg.dataset.verification import faults
from cubragg.errors import ConfigError
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt import read_expt
from cubragg.io.geometry.expt_out import expt_text
from cubragg.io.geometry.model_settings import parts_of
from cubragg.plan.make_plan import make_plan
from cubragg.reflections.predict import reflection_table
from support.experiments import small_experiment

#: Of a kappa goniometer in the laboratory of the convention, the spindle along z.
AXES = (cb.GoniometerAxis("phi", (0.0, 0.0, 1.0)), cb.GoniometerAxis("kappa", (0.3, 0.2, 0.9)),
        cb.GoniometerAxis("omega", (0.0, 0.0, 1.0)))
BASE = small_experiment(semantics="physical",
                        detector={"fast_pixels": 60, "slow_pixels": 50, "pixel_size_mm": 0.2})
KAPPA = dataclasses.replace(BASE, goniometer=cb.Goniometer(axes=AXES))


def rotation(axis, degrees):
    """By SciPy, float64 [3, 3]."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()


def stars(experiment):
    """a*, b*, c* in columns, at a spindle angle of 0 [1/A]."""
    lattice = experiment.crystal.lattice()
    return np.array((lattice.a_star, lattice.b_star, lattice.c_star)).T


def test_one_wedge_is_the_series_of_its_images():
    plain = cb.Sweep(BASE, images=3, osc_deg=0.5, start_deg=10.0, seed=2, method="sampled")
    wedge = cb.Sweep(BASE, wedges=[cb.Wedge(10.0, 3, 0.5)], seed=2, method="sampled")
    assert [np.array_equal(a.counts, b.counts) for a, b in zip(plain, wedge, strict=True)] == [True] * 3


def test_wedges_follow_one_another():
    data = cb.Sweep(BASE, osc_deg=0.5, wedges=[cb.Wedge(0.0, 2), cb.Wedge(90.0, 3, 0.1)],
                    vary={"decay": cb.of_shot("exp(-0.1 * i)")})
    assert len(data) == 5
    assert data.series == [range(2), range(2, 5)]
    ranges = [(data.experiment_at(shot).goniometer.phi_deg, data.experiment_at(shot).goniometer.osc_deg)
              for shot in range(5)]
    assert ranges == [(0.0, 0.5), (0.5, 0.5), (90.0, 0.1), (90.1, 0.1), (90.2, 0.1)]
    # Dose goes on.
    assert data.shot(4).parameters["crystal.decay"] == pytest.approx(np.exp(-0.4))


def test_inverse_beam_records_the_friedel_mates():
    data = cb.Sweep(BASE, images=5, osc_deg=1.0, start_deg=7.0, inverse_beam_deg=2.0)
    assert [(wedge.start_deg, wedge.images) for wedge in data.wedges] == [
        (7.0, 2), (187.0, 2), (9.0, 2), (189.0, 2), (11.0, 1), (191.0, 1)]

    def indices(shot):
        # The detector is the same on either side of the spindle but for half a pixel, so mates may leave it: those in
        # the middle.
        table = reflection_table(make_plan(data.experiment_at(shot)))
        inside = (abs(table.pixel_fast - 30.0) < 25.0) & (abs(table.pixel_slow - 25.0) < 20.0)
        return {tuple(hkl) for hkl in table.hkl[inside].tolist()}, {tuple(hkl) for hkl in table.hkl.tolist()}

    inside, _ = indices(0)
    _, mates = indices(2)
    assert len(inside) > 5
    assert {tuple(-index for index in hkl) for hkl in inside} <= mates


@pytest.mark.parametrize(("angles", "scan_axis", "fixed", "setting", "axis"), [
    ({"kappa": 40.0, "phi": 25.0}, None, (("phi", 25.0), ("kappa", 40.0)), (), "omega"),
    ({"kappa": 20.0, "omega": 35.0}, "phi", (), (("kappa", 20.0), ("omega", 35.0)), "phi")])
def test_axes_turn_crystal_and_spindle(angles, scan_axis, fixed, setting, axis):
    start = dataclasses.replace(AXES[1], angle_deg=10.0)
    base = dataclasses.replace(
        KAPPA, goniometer=cb.Goniometer(axes=(AXES[0], start, AXES[2])),
        crystal=dataclasses.replace(BASE.crystal, size_mm=0.01, offset_mm=(0.001, 0.002, 0.003)))
    data = cb.Sweep(base, wedges=[cb.Wedge(0.0, 1, 1.0, angles, scan_axis)])
    directions = {one.name: one.direction for one in AXES}
    product = np.eye(3)
    for name, degrees in (*fixed, *setting):
        product = rotation(directions[name], degrees) @ product
    change = product @ rotation(start.direction, 10.0).T
    turned = data.experiment_at(0)
    np.testing.assert_allclose(stars(turned), change @ stars(base), atol=1e-12)
    np.testing.assert_allclose(turned.crystal.offset_mm, change @ base.crystal.offset_mm, atol=1e-15)
    outer = np.eye(3)
    for name, degrees in setting:
        outer = rotation(directions[name], degrees) @ outer
    np.testing.assert_allclose(turned.placed().frame.spindle, outer @ directions[axis], atol=1e-12)
    # The detector is where it was, in the frame of other programs too.
    assert turned.placed().panels == base.placed().panels
    assert turned.placed().frame.dials_rotation() == base.placed().frame.dials_rotation()


def test_what_varies_turns_with_the_goniometer():
    wedges = [cb.Wedge(0.0, 1, 1.0), cb.Wedge(0.0, 1, 1.0, {"kappa": 40.0})]
    data = cb.Sweep(KAPPA, wedges=wedges, vary={"orientation": cb.table([[10.0, 20.0, 30.0]] * 2)})
    first, second = (stars(data.shot(number).crystals[0].experiment) for number in range(2))
    np.testing.assert_allclose(second, rotation(AXES[1].direction, 40.0) @ first, atol=1e-12)


def test_an_experiment_list_has_the_axes(tmp_path):
    data = cb.Sweep(KAPPA, wedges=[cb.Wedge(5.0, 2, 1.0, {"kappa": 40.0, "phi": 10.0})])
    models = models_of(data.experiment_at(0))
    path = tmp_path / "kappa.expt"
    path.write_text(expt_text("--expt", models, image=None, trusted=(-1.0, 1e6)))
    document = json.loads(path.read_text())
    (goniometer,) = document["goniometer"]
    assert goniometer["names"] == ["phi", "kappa", "omega"]
    assert goniometer["angles"] == [10.0, 40.0, 0.0]
    assert goniometer["scan_axis"] == 2
    # The crystal of the list is that at angles of 0.
    base = models_of(KAPPA)
    (crystal,) = document["crystal"]
    real = np.array([crystal[f"real_space_{name}"] for name in "abc"])
    np.testing.assert_allclose(real @ np.array(base.crystal.a_matrix).reshape(3, 3), np.eye(3), atol=1e-9)
    again = parts_of(read_expt(path))
    np.testing.assert_allclose(again.crystal.a_matrix, np.array(models.crystal.a_matrix).reshape(3, 3), atol=1e-12)
    assert [axis.name for axis in again.goniometer.axes] == ["phi", "kappa", "omega"]
    assert [axis.angle_deg for axis in again.goniometer.axes] == [10.0, 40.0, 0.0]
    assert dot(again.goniometer.axis, models.spindle) == pytest.approx(1.0)
    # At other angles of what was read it is the crystal of those angles.
    zero = dataclasses.replace(KAPPA, crystal=again.crystal, goniometer=again.goniometer, detector=again.detector,
                               beam=again.beam)
    back = cb.Sweep(zero, wedges=[cb.Wedge(0.0, 1, 1.0, {"kappa": 0.0, "phi": 0.0})]).experiment_at(0)
    np.testing.assert_allclose(stars(back), np.array(base.crystal.a_matrix).reshape(3, 3), atol=1e-12)


def test_experiments_with_axes_are_toml():
    assert cb.Experiment.from_toml(KAPPA.to_toml()) == KAPPA


def test_a_folder_has_a_master_for_each_wedge(tmp_path):
    data = cb.Sweep(KAPPA, osc_deg=1.0, seed=4, wedges=[cb.Wedge(0.0, 3), cb.Wedge(0.0, 2, angles_deg={"kappa": 40.0})])
    folder = tmp_path / "set"
    data.write(folder, workers=1, shard=2)
    assert [path.name for path in sorted(folder.glob("master*"))] == ["master-1.nxs", "master-2.nxs"]
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()[1:]]
    assert [(line["first"], line["count"]) for line in lines] == [(0, 2), (2, 1), (3, 2)]
    assert list(faults(folder)) == []
    import hdf5plugin  # noqa: F401

    with h5py.File(folder / "master-2.nxs") as file:
        assert np.array_equal(file["/entry/data/data"][1], data[4].counts)
        chain, path = [], file["/entry/sample/depends_on"].asstr()[()]
        while path != ".":
            chain.append((Path(path).name, file[path][()].tolist()))
            path = file[path].attrs["depends_on"]
        assert chain == [("phi", [0.0]), ("kappa", [40.0]), ("omega", [0.0, 1.0])]
    document = json.loads((folder / "models.expt").read_text())
    assert [(one["imageset"], one["goniometer"], one["scan"], one["crystal"], one["detector"])
            for one in document["experiment"]] == [(0, 0, 0, 0, 0), (1, 1, 1, 0, 0)]
    with h5py.File(folder / "truth-00002.h5") as file:
        assert set(file["crystals/experiment"][()].tolist()) == {1}
    again, settings = read_specification(folder / "spec.toml")
    assert again.wedges == data.wedges
    again.write(folder, **{name: getattr(settings, name) for name in vars(settings)})
    assert len((folder / "manifest.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(("settings", "where"), [
    ({}, "images"), ({"images": 3}, "osc_deg"),
    ({"images": 3, "osc_deg": 1.0, "wedges": [cb.Wedge(0.0, 2)]}, "images"),
    ({"start_deg": 3.0, "osc_deg": 1.0, "wedges": [cb.Wedge(0.0, 2)]}, "start_deg"),
    ({"wedges": [cb.Wedge(0.0, 2)]}, "osc_deg"),
    ({"images": 3, "osc_deg": 1.0, "inverse_beam_deg": 1.5}, "inverse_beam_deg"),
    ({"images": 3, "osc_deg": 1.0, "inverse_beam_deg": 0.5}, "inverse_beam_deg"),
    ({"osc_deg": 1.0, "wedges": [cb.Wedge(0.0, 2, angles_deg={"chi": 3.0})]}, "goniometer.axes"),
    ({"osc_deg": 1.0, "wedges": [cb.Wedge(0.0, 2), cb.Wedge(0.0, 2, scan_axis="chi")]}, "goniometer.scan_axis"),
    ({"osc_deg": 1.0, "wedges": [cb.Wedge(0.0, 2, angles_deg={"kappa": float("nan")})]}, "goniometer.axes, kappa")])
def test_what_no_sweep_has_is_refused(settings, where):
    with pytest.raises(ConfigError) as error:
        cb.Sweep(KAPPA, **settings)
    assert error.value.where == where


@pytest.mark.parametrize("axes", [(AXES[0], AXES[0]), ({"name": "phi"},)])
def test_axes_that_are_none_are_refused(axes):
    with pytest.raises(ConfigError, match=r"goniometer\.axes"):
        cb.Goniometer(axes=axes)
