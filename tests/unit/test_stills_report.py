"""Lattices that DIALS finds of stills, beside the true ones."""

from __future__ import annotations

import dataclasses
import json
import re

import h5py
import msgpack
import numpy as np
import pytest

import cubragg as cb
from cubragg.crystallography.vectors import rotate_axis
from support.experiments import small_experiment
from support.scripts import script

REPORT = script("dials_report").stills_report
TRUE = np.diag([42.0, 47.0, 58.0])


def turned(axes: np.ndarray, angle_deg: float) -> np.ndarray:
    """Axes by rows, turned about an oblique axis."""
    about = tuple((np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)).tolist())
    return np.array([rotate_axis(tuple(row), about, np.radians(angle_deg)) for row in axes.tolist()])


@pytest.mark.parametrize(("choice", "multiple"), [
    (np.eye(3), 1), ([[0, 0, -1], [0, 1, 0], [1, 0, 0]], 1), ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], 1),
    ([[0, 0, 1], [1, -1, 0], [1, 1, 0]], 2), ([[3, 0, 0], [0, 1, 0], [0, 0, 1]], 3),
    ([[0.5, 0, 0], [0, 1, 0], [0, 0, 1]], 0), ([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]], 0)])
def test_lattices_are_compared_in_any_axes(choice, multiple):
    found = REPORT.compare_lattices(turned(np.array(choice) @ TRUE * 1.001, 0.1), TRUE)
    assert (found.multiple, found.same) == (multiple, multiple == 1)
    if multiple:
        assert found.orientation_deg == pytest.approx(0.1, abs=1e-6)
        np.testing.assert_allclose(found.cell_errors, 1e-3, rtol=1e-6)


def test_stills_are_read_shard_by_shard(tmp_path):
    """Two shards of two stills: the true lattice, one not indexed, one of twice the volume, and another one."""
    def crystal(axes):
        return {f"real_space_{name}": row for name, row in zip("abc", axes.tolist(), strict=True)}

    def experiments(images, axes):
        return {"experiment": [{"imageset": place, "crystal": place} for place in range(len(images))],
                "imageset": [{"single_file_indices": [image]} for image in images],
                "crystal": [crystal(one) for one in axes]}

    (tmp_path / "models.expt").write_text(json.dumps(experiments(range(4), [TRUE] * 4)))
    double = np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]]) @ TRUE
    for number, indexed in enumerate(({0: turned(TRUE, 0.02)}, {0: turned(double, 0.03), 1: 1.2 * TRUE})):
        part = tmp_path / f"shard-{number:05d}"
        part.mkdir()
        (part / "indexed.expt").write_text(json.dumps(experiments([*indexed], [*indexed.values()])))
        (part / "imported.expt").write_text(json.dumps(experiments([0, 1], [])))
        spots = np.array([0, 0, 1, 1, 1], dtype="<i4")
        (part / "strong.refl").write_bytes(msgpack.packb(
            ["dials::af::reflection_table", 1, {"nrows": 5, "identifiers": {}, "data": {
                "id": ["int", [5, spots.tobytes()]]}}]))
    stills = REPORT.stills_result(tmp_path, tmp_path)
    assert [(one.shot, one.spots) for one in stills] == [(0, 2), (1, 3), (2, 2), (3, 3)]
    assert [one.lattice and one.lattice.multiple for one in stills] == [1, None, 2, 0]
    text = REPORT.stills_tables(stills)
    for row in (r"\| indexed .* \| 3 \(75.0 %\)", r"\| as the true lattice .* \| 1 \(25.0 %\)", "0.0250",
                "2 times the volume", "not indexed", "another lattice"):
        assert re.search(row, text), row


def test_distances_of_strong_spots_from_the_truth(tmp_path):
    """Of two shots in shards of their own: spots 0, 5 and 0.5 pixel from a reflection, one on a panel without any."""
    names = ("shot", "panel", "fast", "slow")
    with h5py.File(tmp_path / "truth-00000.h5", "w") as file:
        for name, column in zip(names, ([0, 0, 1], [0, 0, 1], [10.0, 90.0, 50.0], [20.0, 90.0, 60.0]), strict=True):
            file[f"reflections/{name}"] = np.array(column)
    spots = ([(0, 10.0, 20.0), (0, 13.0, 24.0), (1, 10.0, 20.0)], [(1, 50.0, 60.5)])  # panel, fast, slow
    for number, rows in enumerate(spots):
        part = tmp_path / f"shard-{number:05d}"
        part.mkdir()
        (part / "imported.expt").write_text(json.dumps({"imageset": [{"single_file_indices": [0]}]}))
        panel, *_ = columns = np.array(rows).T
        places = np.column_stack([columns[1], columns[2], np.zeros(len(rows))])
        (part / "strong.refl").write_bytes(msgpack.packb(["dials::af::reflection_table", 1, {
            "nrows": len(rows), "identifiers": {}, "data": {
                "id": ["int", [len(rows), np.zeros(len(rows), dtype="<i4").tobytes()]],
                "panel": ["std::size_t", [len(rows), panel.astype("<u8").tobytes()]],
                "xyzobs.px.value": ["vec3<double>", [len(rows), places.tobytes()]]}}]))
    distances = REPORT.distances_px(tmp_path, tmp_path)
    np.testing.assert_allclose(distances, [0.0, 5.0, np.inf, 0.5])
    text = REPORT.stills_tables([REPORT.Still(0, 3, None)], distances)
    assert re.search(r"\| strong spots; farther .* \| 4; 2 ", text)


@pytest.mark.parametrize(("source", "settings"), [({}, []), ({"space_group": "P 21 21 21"}, ["space_group=P212121"])])
def test_the_crystal_that_is_given_to_dials(source, settings, tmp_path):
    base = small_experiment(semantics="physical")
    crystal = cb.Crystal((42.0, 47.0, 58.0, 90.0, 90.0, 90.0), cells=(9, 9, 9))
    data = cb.Stills(dataclasses.replace(base, crystal=crystal), 1)
    if source:
        data.source = {**source, "file": str(tmp_path / "a.pdb"), "sha256": "0" * 64}
    data.write(tmp_path / "set", workers=1, truth=())
    known = script("dials_report").dials_route.known_crystal(tmp_path / "set")
    assert known == ["unit_cell=42,47,58,90,90,90", *settings, "candidate_outlier_rejection=False"]
