"""The truth of data sets in Parquet, read by pyarrow and compared with that in HDF5."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.verification import faults
from cubragg.errors import ConfigError
from support.messages import refusal
from support.write_stills import BASE, stills

pq = pytest.importorskip("pyarrow.parquet")
#: Shots without a crystal, with one and with several; a fluence and a name as parameters of the shot.
VARY = {"crystal.cell": cb.normal(0.002, relative=True), "beam.fluence": cb.gamma(4, 1e29),
        "crystal.shape": cb.choice(["gauss", "round"])}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a set of the method analytic, a shard for each of its eight shots."""
    folder = tmp_path_factory.mktemp("data") / "set"
    data = cb.Stills(BASE, 8, seed=2, vary=VARY, crystals=cb.choice([1, 3]), blank=0.4)
    data.write(folder, workers=1, shard=1, truth=("h5", "parquet"))
    return folder


def table(folder, name):
    """A table over all shards, which pyarrow refuses where their columns differ."""
    files = sorted(folder.glob(f"{name}-*.parquet"))
    assert len(files) == 8
    assert len({str(pq.read_schema(file)) for file in files}) == 1
    return pq.read_table(files)


def truths(folder):
    for path in sorted(folder.glob("truth-*.h5")):
        with h5py.File(path) as file:
            yield file


def test_reflections_are_those_of_the_hdf5_truth(written):
    found = table(written, "reflections")
    full = [{name: column[()] for name, column in file["reflections"].items()} for file in truths(written)
            if len(file["reflections/shot"])]
    assert len(full) < 8, "a shot without a crystal"
    assert set(found.column_names) == full[0].keys()
    for name in found.column_names:
        expected = np.concatenate([part[name] for part in full])
        assert found[name].to_numpy().dtype == expected.dtype
        np.testing.assert_array_equal(found[name].to_numpy(), expected)
    units = {field.name: (field.metadata or {}).get(b"unit") for field in found.schema}
    assert (units["photons"], units["image_fast"], units["d"], units["h"]) == (b"photons", b"px", b"A", None)


def test_crystals_have_their_own_parameters(written):
    found = table(written, "crystals")
    shots, matrices, cells, given = [], [], [], []
    for file in truths(written):
        if "shot" not in file["crystals"]:
            continue
        shots.append(file["crystals/shot"][()])
        matrices.append(file["crystals/A_dials"][()])
        cells.append(file["crystals/cell"][()])
        given += [file["parameters"]["crystal.cell" + (f"#{number}" if number else "")][0]
                  for number in file["crystals/crystal"][()]]
    np.testing.assert_array_equal(found["shot"].to_numpy(), np.concatenate(shots))
    assert found["crystal"].to_numpy().max() == 2
    np.testing.assert_array_equal(np.array(found["A_dials"].to_pylist()).reshape(-1, 3, 3), np.concatenate(matrices))
    np.testing.assert_array_equal(np.array(found["cell"].to_pylist()), np.concatenate(cells))
    np.testing.assert_array_equal(np.array(found["crystal.cell"].to_pylist()), np.array(given))
    assert set(found["crystal.shape"].to_pylist()) == {"gauss", "round"}


def test_shots_have_theirs(written):
    found = table(written, "parameters")
    assert found.column_names == ["shot", "crystals", "beam.fluence"]
    for name in ("crystals", "beam.fluence"):
        expected = np.concatenate([file["parameters"][name][()] for file in truths(written)])
        np.testing.assert_array_equal(found[name].to_numpy(), expected)
    assert found["shot"].to_pylist() == [*range(8)]


def test_a_changed_table_is_found(written, tmp_path):
    folder = tmp_path / "set"
    stills(4).write(folder, workers=1, shard=2, truth=("parquet",))
    assert list(faults(folder)) == []
    path = folder / "reflections-00001.parquet"
    before = pq.read_table(path)
    photons = before["photons"].to_numpy().copy()
    photons[0] *= 1.0001
    pq.write_table(before.set_column(before.column_names.index("photons"), "photons", [photons]), path)
    assert [fault.partition(":")[0] for fault in faults(folder)] == [str(path)]


def test_without_pyarrow_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with refusal(ConfigError, "write.truth", "parquet", "pip install 'cubragg[parquet]'"):
        stills(2).write(tmp_path / "set", workers=1, truth=("parquet",))
    assert not (tmp_path / "set").exists()
