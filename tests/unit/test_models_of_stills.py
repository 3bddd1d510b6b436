"""models.expt of stills: the detector and the beam of each shot, each once."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset import models_expt
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt_out import expt_document
from support.write_stills import BASE

TILTED = dataclasses.replace(BASE, detector=dataclasses.replace(BASE.detector, roty_deg=8.0, rotz_deg=-3.0,
                                                                twotheta_deg=5.0))
MOVES = {"distance_mm": cb.normal(1.0), "beam_centre_mm": cb.normal(0.3), "wavelength_A": cb.choice([1.4, 1.5])}


@pytest.mark.parametrize(("vary", "format_", "distinct"), [
    (MOVES, "nxmx", 6), ({"detector.shift_mm[1]": cb.normal(0.5), "crystal.cell": cb.normal(0.001)}, "nxmx", 6),
    (MOVES, "cbf", 6), ({"detector.rotation_deg": cb.normal(0.4), "distance_mm": cb.normal(1.0)}, "nxmx", 6),
    ({"distance_mm": cb.table([60.0, 61.0, 60.0, 60.0, 61.0, 60.0])}, "nxmx", 2), ({}, "nxmx", 1)])
def test_each_shot_has_its_detector_and_its_beam(vary, format_, distinct, tmp_path):
    data = cb.Stills(BASE if format_ == "cbf" else TILTED, 6, seed=3, vary=vary)  # a CBF has no tilted detector
    data.write(tmp_path / "set", workers=1, shard=4, truth=(), format=format_)
    document = json.loads((tmp_path / "set" / "models.expt").read_text())
    assert len(document["detector"]) == distinct
    assert len(document["beam"]) == len({shot.experiment.beam.wavelength_A for shot in data})
    for shot, entry in zip(data, document["experiment"], strict=True):
        assert document["beam"][entry["beam"]]["wavelength"] == shot.experiment.beam.wavelength_A
        panels = document["detector"][entry["detector"]]["panels"]
        for found, panel in zip(panels, models_of(shot.experiment).panels, strict=True):
            np.testing.assert_allclose(found["origin"], panel.origin_mm, rtol=0, atol=1e-9)
            np.testing.assert_allclose(found["fast_axis"], panel.fast, rtol=0, atol=1e-12)


def test_shots_without_a_crystal_have_no_detector(tmp_path):
    data = cb.Stills(TILTED, 8, seed=3, vary=MOVES, blank=0.5)
    data.write(tmp_path / "set", workers=1, truth=())
    document = json.loads((tmp_path / "set" / "models.expt").read_text())
    shots = [shot for shot in data if shot.crystals]
    assert 0 < len(shots) < 8
    assert [entry["imageset"] for entry in document["experiment"]] == [shot.number for shot in shots]
    for shot, detector in zip(shots, document["detector"], strict=True):
        np.testing.assert_allclose(detector["panels"][0]["origin"], models_of(shot.experiment).panels[0].origin_mm,
                                   rtol=0, atol=1e-9)


def test_a_detector_that_only_moves_is_described_once(tmp_path, monkeypatch):
    """Its mask and its JSON took most of the time: 50 ms a shot of an EIGER2 16M."""
    described = []

    def described_once(*given, **named):
        described.append(given)
        return expt_document(*given, **named)

    monkeypatch.setattr(models_expt, "expt_document", described_once)
    cb.Stills(TILTED, 5, vary=MOVES).write(tmp_path / "set", workers=1, truth=())
    assert len(described) == 1
