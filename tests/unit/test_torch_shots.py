"""Shots for PyTorch: rendered and read samples, workers, order."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.shot_samples import RenderedShots, StoredShots, corners
from cubragg.errors import ConfigError, CubraggError
from cubragg.testing import tiny_sets

WRITTEN = {"workers": 1, "shard": 2, "labels": ("boxes", "mask", "heat")}


def stills(n: int = 5) -> cb.Stills:
    """Stills of one or no crystal before a detector with a gap, with parameters of all kinds."""
    return cb.Stills(
        tiny_sets.experiment("physical"), n, seed=3, blank=0.3, vary={
            "beam.wavelength_A": cb.normal(0.01), "crystal.shape": cb.choice(["gauss", "round"]),
            "beam.fluence": cb.constant(1e27)}, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished data set of shards of two shots."""
    path = tmp_path_factory.mktemp("torch") / "set"
    stills().write(path, **WRITTEN)
    return path


@pytest.fixture(scope="module")
def library():
    """cubragg.torch, where PyTorch is installed."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from cubragg import torch

    return torch


def same(one, other) -> bool:
    """Whether two samples are equal."""
    return (np.array_equal(one.image, other.image) and one.labels.keys() == other.labels.keys()
            and all(np.array_equal(one.labels[name], other.labels[name]) for name in one.labels)
            and one.parameters.keys() == other.parameters.keys()
            and all(np.array_equal(one.parameters[name], other.parameters[name]) for name in one.parameters))


def test_shots_are_the_same_rendered_and_read(folder):
    rendered, stored = RenderedShots(stills(), None, 10.0, False), StoredShots(folder, None)
    assert len(rendered) == len(stored) == 5
    assert rendered.labels == stored.labels == ("boxes", "mask", "heat")
    for number in (4, 0, 3, 1, 2):  # also back to a shard that was closed
        assert same(stored.sample(number, 1), rendered.sample(number, 1))
    lit = stored.sample(next(number for number in range(5) if stills()[number].crystals), None)
    assert lit.image.dtype == np.float32
    assert lit.image.max() > 10.0
    assert len(lit.labels["boxes"]) > 0
    assert lit.labels["mask"].max() >= len(lit.labels["boxes"])


def test_boxes_hold_the_pixels_of_the_mask(folder):
    for number in range(5):
        labels = StoredShots(folder, None).sample(number, None).labels
        inside = np.zeros(labels["mask"].shape, dtype=bool)
        for left, top, right, bottom in labels["boxes"].astype(int):
            inside[top:bottom, left:right] = True
            assert labels["mask"][top:bottom, left:right].any()
        assert not labels["mask"][~inside].any()


def test_boxes_without_pixels_are_left_out():
    assert corners(np.array([[2, 4, 1, 1], [-1, -1, -1, -1]])).tolist() == [[2.0, 1.0, 5.0, 2.0]]
    assert corners(np.zeros((0, 4), dtype=int)).shape == (0, 4)


def test_files_are_not_taken_over_by_another_process(folder, monkeypatch):
    shots = StoredShots(folder, ("mask",))
    first = shots.sample(0, None)
    opened = shots._shard(0)
    monkeypatch.setattr("cubragg.dataset.shot_samples.os.getpid", lambda: -5)
    assert shots._shard(0) is not opened
    assert same(shots.sample(0, None), first)
    assert same(pickle.loads(pickle.dumps(shots)).sample(0, None), first)


def test_few_shards_are_open_at_once(tmp_path):
    stills(12).write(tmp_path / "set", workers=1, shard=1, truth=("h5",))
    shots = StoredShots(tmp_path / "set", ())
    for number in range(12):
        shots.sample(number, None)
    assert len(shots._opened) == 4


def test_what_cannot_be_read_is_an_error(folder, tmp_path):
    with pytest.raises(CubraggError, match="without shards"):
        StoredShots(tmp_path, None)
    stills(2).write(tmp_path / "plain", workers=1)
    assert StoredShots(tmp_path / "plain", None).labels == ()
    with pytest.raises(CubraggError, match="none: got no folder"):
        StoredShots(tmp_path / "none", None)
    for labels, message in ((("masks",), "'masks'.*boxes, mask, heat"), ("mask", "'mask'.*sequence")):
        for shots in (lambda labels=labels: RenderedShots(stills(), labels, 10.0, False),
                      lambda labels=labels: StoredShots(folder, labels)):
            with pytest.raises(ConfigError, match=f"labels: got {message}"):
                shots()
    with pytest.raises(ConfigError, match="label_min: got -1 photons"):
        RenderedShots(stills(), None, -1.0, False)
    with pytest.raises(CubraggError, match=r"mask.*--labels"):
        StoredShots(tmp_path / "plain", ("mask",))
    (tmp_path / "plain" / "summary.json").unlink()
    with pytest.raises(CubraggError, match="not finished"):
        StoredShots(tmp_path / "plain", ())


@pytest.mark.torch
def test_a_sample_is_tensors(library, folder):
    import torch

    shots = library.ShotDataset(stills(), label_min=10.0)
    sample = shots[-1]
    assert sample["shot"] == 4
    assert (sample["image"].shape, sample["image"].dtype) == ((1, 64, 96), torch.float32)
    assert (sample["mask"].dtype, sample["heat"].dtype) == (torch.int64, torch.float32)
    assert sample["parameters"]["beam.wavelength_A"].item() == stills()[4].parameters["beam.wavelength_A"]
    assert [sample["shot"] for sample in shots] == list(range(5))
    with pytest.raises(IndexError, match="shot 5 of a sequence of 5"):
        shots[5]
    for settings, where in (({"photons": True}, "photons"), ({"label_min": 10.0}, "label_min")):
        with pytest.raises(ConfigError, match=rf"{where}: .*Stills.read"):
            library.ShotDataset(folder, **settings)
    with pytest.raises(ConfigError, match="source: got Experiment"):
        library.ShotDataset(stills().experiment)
    assert library.ShotDataset(folder, transform=lambda sample: sample["shot"])[2] == 2
    assert [sample["shot"] for sample in library.ShotDataset(stills()[1:5:2], labels=())] == [1, 3]
    assert "5 shots with boxes, mask, heat" in repr(shots)
    photons = library.ShotDataset(stills(), labels=(), photons=True)[4]
    assert set(photons) == {"image", "parameters", "shot"}
    np.testing.assert_array_equal(photons["image"][0], stills()[4].image.on_host)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on a machine with one CPU
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["rendered", "read"])
def test_workers_give_the_same_batches(library, folder, kind, start):
    """In a parent that has rendered and holds files open."""
    from torch.utils.data import DataLoader

    shots = library.ShotDataset(stills() if kind == "rendered" else folder)
    batches = [list(DataLoader(shots, 2, num_workers=workers, collate_fn=library.collate,
                               multiprocessing_context=start if workers else None)) for workers in (0, 2)]
    assert [batch["shot"].tolist() for batch in batches[0]] == [[0, 1], [2, 3], [4]]
    for one, other in zip(*batches, strict=True):
        assert one.keys() == other.keys()
        for name in ("image", "mask", "heat", "shot"):
            assert one[name].equal(other[name])
        assert all(a.equal(b) for a, b in zip(one["boxes"], other["boxes"], strict=True))
        assert str(one["parameters"]) == str(other["parameters"])
