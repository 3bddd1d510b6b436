"""Spectra in files and in experiments."""

from __future__ import annotations

import pytest

from cubragg import Beam, Channel, ConfigError, Crystal, Experiment, FormatError, StructureFactors
from cubragg.io.geometry.spectrum import read_spectrum
from cubragg.plan.make_plan import make_plan

CHANNELS = (Channel(0.99, 1.0, 1e-3), Channel(1.0, 2.0), Channel(1.01, 1.0))


@pytest.mark.parametrize("text", [
    "0.99 1\n1.0 3\n", "lambda,weight\n0.99,1\n1.0,3\n", "# eV\n12523.656565656566 1\n12398.42 3 0 # a line\n"])
def test_files(tmp_path, text):
    (tmp_path / "a").write_text(text)
    channels = read_spectrum(tmp_path / "a")
    assert [channel.weight for channel in channels] == [1.0, 3.0]
    assert [channel.wavelength_A for channel in channels] == pytest.approx([0.99, 1.0], rel=1e-12)


@pytest.mark.parametrize(("text", "words"), [
    ("", "no channel"), ("1.0\n", ":1: got one column"), ("1.0 1\n1.0 x\n", ":2: got 'x'"),
    ("1.0 -1\n", ":1: got -1"), ("-1 1\n", ":1: got -1"), ("1 0\n", "no channel"),
    ("1.0 1 0.001\n1.0 1 0.001 7 8\n", ":2: got 5 columns"), ("1.0 1\n12500 1\n", ":2: got 12500 .*wavelengths"),
    ("12500 1\n12400 1\n0.99 1\n", ":3: got 0.99 .*energies")])
def test_bad_files(tmp_path, text, words):
    (tmp_path / "a").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_spectrum(tmp_path / "a")


def test_a_spectrum_comes_back_from_toml():
    experiment = Experiment(Crystal(cell=(50.0, 50.0, 50.0, 90.0, 90.0, 90.0)), StructureFactors(1.0),
                            Beam(spectrum=CHANNELS))
    assert Experiment.from_toml(experiment.to_toml()) == experiment


def test_weights_are_fractions_and_a_beam_outside_its_spectrum_is_refused():
    crystal = Crystal(cell=(50.0, 50.0, 50.0, 90.0, 90.0, 90.0))
    plan = make_plan(Experiment(crystal, StructureFactors(1.0), Beam(spectrum=CHANNELS)))
    assert [channel.fraction for channel in plan.spreads.channels] == [0.25, 0.5, 0.25]
    with pytest.raises(ConfigError) as refused:
        Beam(wavelength_A=1.5, spectrum=CHANNELS)
    assert refused.value.where == "beam.wavelength_A"
