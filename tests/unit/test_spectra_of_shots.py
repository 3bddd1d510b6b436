"""Spectra that differ from shot to shot: what is drawn, rendered, and written to NXmx files."""

from __future__ import annotations

import dataclasses
import math

import h5py
import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.draws import Draws
from cubragg.dataset.read_set import read_specification
from cubragg.dataset.spectrum_draws import Sase
from cubragg.dataset.verification import faults
from cubragg.errors import ConfigError
from support.messages import refusal
from support.write_stills import BASE

CHANNELS = (cb.Channel(1.49, 1.0, 1e-3), cb.Channel(1.5, 2.0), cb.Channel(1.52, 1.0))
#: The experiment with channels.
COLOURS = dataclasses.replace(BASE, beam=cb.Beam(wavelength_A=1.5025, spectrum=CHANNELS))
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
NAME = "/entry/instrument/beam/incident_wavelength"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files of spectra, and one of weights, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red.txt").write_text("1.51 1\n1.52 3\n")
    (tmp_path / "blue.txt").write_text("1.48 1 1e-3\n")
    (tmp_path / "weights.csv").write_text("8320,8265,8156\n1,2,1\n0,0,5\n3,1,0.5\n")
    return tmp_path


def spectrum(data, number):
    """The channels that shot ``number`` is rendered with."""
    return data[number].crystals[0].experiment.beam.spectrum


# What is drawn

@pytest.mark.parametrize(("areas", "rms", "effective"), [
    # Energies that add up to 1 have a mean square of 2 / (N (N + 1)); the other law by numerical integration.
    ("exponential", math.sqrt(2.0 / (12.0 * 16.0)), None), ("uniform", math.sqrt(4.0 / (3.0 * 15.0 * 12.0)), 11.37)])
def test_sase_has_the_moments_of_its_spikes(areas, rms, effective):
    pulses = Sase(0.002, areas=areas).drawn(Draws(3, np.arange(20_000, dtype=np.uint32), "beam.spectrum"), 1.5)
    assert pulses.shape == (20_000, 15, 3)
    k = 1.5 / pulses[:, :, 0]
    assert k.min() == pytest.approx(0.999, abs=1e-6)
    assert k.max() == pytest.approx(1.001, abs=1e-6)
    weights = pulses[:, :, 1] / pulses[:, :, 1].sum(axis=1, keepdims=True)
    centres = (weights * k).sum(axis=1)
    assert centres.mean() == pytest.approx(1.0, abs=4.0 * 0.002 * rms / math.sqrt(20_000))
    assert centres.std() == pytest.approx(0.002 * rms, rel=0.02)
    if effective is not None:
        assert np.mean(1.0 / (weights**2).sum(axis=1)) == pytest.approx(effective, abs=0.05)
    assert np.all(pulses[:, :, 2] == 2e-4)


def test_a_pulse_is_a_function_of_seed_and_shot():
    one, other = (cb.Stills(BASE, n, seed=5, vary={"spectrum": cb.sase(0.002, 4)}) for n in (3, 40))
    assert spectrum(one, 2) == spectrum(other, 2)
    assert spectrum(other, 2) != spectrum(other, 3)
    beam = other[2].crystals[0].experiment.beam
    assert beam.wavelength_A == pytest.approx(sum(c.weight * c.wavelength_A for c in beam.spectrum)
                                              / sum(c.weight for c in beam.spectrum))


def test_a_choice_of_files_and_channels(files):
    data = cb.Stills(BASE, 30, vary={"spectrum": cb.choice(["red.txt", "blue.txt", CHANNELS], [1, 1, 2])})
    found = [tuple((c.wavelength_A, c.weight, c.bandwidth) for c in spectrum(data, number) if c.weight)
             for number in range(30)]
    assert set(found) == {((1.51, 1.0, 0.0), (1.52, 3.0, 0.0)), ((1.48, 1.0, 1e-3),),
                          tuple((c.wavelength_A, c.weight, c.bandwidth) for c in CHANNELS)}
    assert 8 <= sum(len(one) == 3 for one in found) <= 22


@pytest.mark.parametrize("named", ["weights.csv", "weights.npy"])
def test_weights_are_those_of_the_experiments_channels(files, named):
    weights = np.array([[1, 2, 1], [0, 0, 5], [3, 1, 0.5]], dtype=float)
    np.save("weights.npy", weights)
    data = cb.Stills(COLOURS, 3, vary={"spectrum": cb.table(named)})
    for number in range(3):
        assert [c.weight for c in spectrum(data, number)] == weights[number].tolist()
        assert [(c.wavelength_A, c.bandwidth) for c in spectrum(data, number)] == [
            (c.wavelength_A, c.bandwidth) for c in CHANNELS]
    one_line = dataclasses.replace(BASE, crystal=data[1].crystals[0].experiment.crystal,
                                   beam=dataclasses.replace(BASE.beam, wavelength_A=1.52, fluence=COLOURS.beam.fluence))
    np.testing.assert_allclose(data[1].image.photons, cb.simulate(one_line, method="analytic").photons, rtol=1e-5)


def test_a_varied_wavelength_scales_the_channels():
    data = cb.Stills(COLOURS, 2, vary={"wavelength_A": cb.table([1.5025, 1.4])})
    assert spectrum(data, 0) == CHANNELS
    scaled = [c.wavelength_A * 1.4 / 1.5025 for c in CHANNELS]
    assert [c.wavelength_A for c in spectrum(data, 1)] == pytest.approx(scaled)
    assert data[1].crystals[0].experiment.beam.wavelength_A == pytest.approx(1.4)


@pytest.mark.parametrize(("distribution", "says"), [
    (cb.normal(0.1), "normal"), (cb.choice(["missing.txt"]), "missing.txt"), (cb.choice([[[1.5, 1.0]]]), "rows"),
    (cb.table(np.ones((2, 4))), "3 weights"), (cb.table(np.ones(2)), "shape (2,)"),
    (cb.table([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), "row 1"), (cb.table([[1.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), "row 0"),
    (cb.table(np.ones((1, 3))), "shot 1"), (cb.choice([(cb.Channel(1.5, -1.0), cb.Channel(1.5, 2.0))]), "-1")])
def test_what_is_no_spectrum_is_refused_before_the_first_shot(distribution, says):
    with pytest.raises(ConfigError) as error:
        cb.Stills(COLOURS, 2, vary={"spectrum": distribution})
    assert "spectrum" in error.value.where
    assert says in error.value.what


def test_weights_need_channels_and_a_bandwidth_excludes_a_spectrum():
    with refusal(ConfigError, "vary spectrum", "weights", "--spectrum"):
        cb.Stills(BASE, 2, vary={"spectrum": cb.table(np.ones((2, 3)))})
    with refusal(ConfigError, "vary beam.bandwidth", "beam.spectrum"):
        cb.Stills(BASE, 2, vary={"spectrum": cb.sase(0.01), "beam.bandwidth": cb.constant(0.01)})


# Files

@pytest.mark.parametrize(("beam", "vary", "shapes"), [
    (COLOURS.beam, {}, {"_1Dspectrum": (3,), "_1Dspectrum_weights": (3,), "_1Dspectrum_spread": (3,)}),
    (COLOURS.beam, {"spectrum": cb.table(np.eye(5, 3) + 0.1)},
     {"": "n", "_1Dspectrum": (3,), "_1Dspectrum_weights": ("n", 3), "_1Dspectrum_spread": (3,)}),
    (COLOURS.beam, {"wavelength_A": cb.normal(0.01)},
     {"": "n", "_1Dspectrum": ("n", 3), "_1Dspectrum_weights": (3,), "_1Dspectrum_spread": ("n", 3)}),
    (BASE.beam, {"spectrum": cb.sase(0.01, 4)},
     {"": "n", "_1Dspectrum": ("n", 4), "_1Dspectrum_weights": ("n", 4), "_1Dspectrum_spread": ("n", 4)}),
    (dataclasses.replace(BASE.beam, bandwidth=0.01), {}, {"_spread": ()}),
    (BASE.beam, {"beam.bandwidth": cb.uniform(0.01, 0.02)}, {"_spread": ("n",)}),
    (COLOURS.beam, {"spectrum": cb.choice([CHANNELS[:1]])}, {"": "n", "_spread": ("n",)})])
def test_files_have_the_spectrum_of_each_shot(tmp_path, beam, vary, shapes):
    data = cb.Stills(dataclasses.replace(BASE, beam=beam), 5, seed=2, vary=vary)
    data.write(tmp_path / "set", workers=1, shard=2, truth=())
    for name, shots in (("master.nxs", range(5)), ("shard-00000.nxs", range(2)), ("shard-00002.nxs", range(4, 5))):
        with h5py.File(tmp_path / "set" / name) as file:
            found = {key: node for key, node in file["/entry/instrument/beam"].items()
                     if key.startswith("incident_wavelength_") and not key.endswith("_weight")}
            assert {key.removeprefix("incident_wavelength"): node.shape for key, node in found.items()} == {
                key: tuple(len(shots) if edge == "n" else edge for edge in shape)
                for key, shape in shapes.items() if key}
            assert (file[NAME].attrs.get("variant") is not None) == ("_1Dspectrum" in shapes)
            for place, number in enumerate(shots):
                def of_shot(key, place=place, file=file):
                    several = file[key].ndim > (0 if key in (NAME, f"{NAME}_spread") else 1)
                    return file[key][place] if several else file[key][()]

                channels = data[number].crystals[0].experiment.beam.channels()
                assert of_shot(NAME) == data[number].crystals[0].experiment.beam.wavelength_A
                if "_spread" in shapes:
                    assert of_shot(f"{NAME}_spread") == pytest.approx(
                        FWHM * channels[0].bandwidth * channels[0].wavelength_A)
                    continue
                wavelengths, weights, spreads = np.array([(c.wavelength_A, c.weight, c.bandwidth) for c in channels]).T
                np.testing.assert_array_equal(of_shot(f"{NAME}_1Dspectrum"), wavelengths)
                np.testing.assert_array_equal(of_shot(f"{NAME}_1Dspectrum_weights"), weights)
                np.testing.assert_allclose(of_shot(f"{NAME}_1Dspectrum_spread"), FWHM * spreads * wavelengths)
    assert list(faults(tmp_path / "set")) == []


def test_a_changed_spectrum_is_found(tmp_path):
    cb.Stills(BASE, 2, vary={"spectrum": cb.sase(0.01, 4)}).write(tmp_path / "set", workers=1, shard=1, truth=())
    with h5py.File(tmp_path / "set" / "shard-00001.nxs", "r+") as file:
        file[f"{NAME}_1Dspectrum_weights"][0, 2] *= 1.001
    assert len(list(faults(tmp_path / "set"))) == 1


def test_a_shard_of_one_shot_has_the_wavelength_of_it(tmp_path):
    data = cb.Stills(BASE, 3, vary={"wavelength_A": cb.normal(0.01)})
    data.write(tmp_path / "set", workers=1, shard=1, truth=())
    expected = [shot.parameters["beam.wavelength_A"] for shot in data]
    with h5py.File(tmp_path / "set" / "master.nxs") as file:
        assert file[NAME][()].tolist() == expected
    with h5py.File(tmp_path / "set" / "shard-00001.nxs") as file:
        assert file[NAME][()].tolist() == expected[1:2]


@pytest.mark.parametrize("vary", [cb.sase(0.01, 3, areas="uniform"), cb.choice(["red.txt", CHANNELS], [1, 2])])
def test_a_specification_reproduces_the_spectra(files, vary):
    data = cb.Stills(BASE, 3, vary={"spectrum": vary})
    data.write(files / "set", workers=1, truth=())
    again, _ = read_specification(files / "set" / "spec.toml")
    assert again.parameters == data.parameters
    assert [spectrum(again, number) for number in range(3)] == [spectrum(data, number) for number in range(3)]
    if isinstance(vary, Sase):
        return
    (files / "red.txt").write_text("1.51 1\n")
    with refusal(ConfigError, "vary beam.spectrum", "red.txt"):
        read_specification(files / "set" / "spec.toml")
