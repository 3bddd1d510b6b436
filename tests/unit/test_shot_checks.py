"""Values that no shot can have are refused before the first shot; what is not found then is named by shot and field."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.draws import Draws
from cubragg.dataset.shot_checks import corners
from cubragg.errors import ConfigError
from support.experiments import small_experiment
from support.write_stills import fractions

_BASE = small_experiment(semantics="physical")
BASE = dataclasses.replace(_BASE, detector=dataclasses.replace(_BASE.detector, distance_mm=100.0),
                           beamstop=cb.BeamStop(2.0, 30.0), response=cb.Response())
STOP, DETECTOR = "beamstop.distance_mm", "detector.distance_mm"


def stills(n, vary, **settings):
    return cb.Stills(BASE, n, seed=7, vary=vary, **settings)


def drawn(name, distribution, shots, centre=None):
    return np.array(distribution.values(Draws(7, np.arange(shots, dtype=np.uint32), name), centre))


def refused(n, vary, **settings):
    """The error of a data set."""
    with pytest.raises(ConfigError) as error:
        stills(n, vary, **settings)
    return error.value


@pytest.mark.parametrize("method", ["analytic", "sampled"])
def test_a_stop_behind_the_detector_is_refused_by_its_shot(method):
    far = cb.normal(90.0, 8.0)
    error = refused(50, {STOP: far}, method=method)
    assert error.where == f"vary {STOP}, shot {drawn(STOP, far, 50).argmax()}"
    assert "the detector is at 100 mm" in error.what


def test_a_detector_before_the_stop_is_refused_by_its_shot():
    near = cb.normal(40.0, 8.0)
    error = refused(50, {DETECTOR: near})
    assert error.where == f"vary {DETECTOR}, shot {drawn(DETECTOR, near, 50).argmin()}"
    assert error.what.startswith("beamstop.distance_mm: got 30 mm")


@pytest.mark.parametrize(("vary", "where"), [
    ({STOP: cb.uniform(20.0, 101.0)}, STOP), ({STOP: cb.choice([30.0, 200.0], [1.0, 1e-9])}, STOP),
    ({STOP: cb.uniform(0.5, 4.0, relative=True)}, STOP), ({"background.air_mm[1]": cb.uniform(0.0, 110.0)},
                                                         "background.air_mm[1]"),
    ({STOP: cb.uniform(10.0, 95.0), DETECTOR: cb.uniform(90.0, 200.0)}, f"{STOP}, {DETECTOR}"),
    ({"response.psf": cb.choice(["gauss", "fiber"]), "response.psf_fwhm_um": cb.choice([0.0, 50.0], [1e-9, 1.0])},
     "response.psf"),
    ({"beam.wavelength_A": cb.uniform(-1e-3, 2.0)}, "beam.wavelength_A")])
def test_limits_that_no_shot_comes_near_are_refused(vary, where):
    base = dataclasses.replace(BASE, response=cb.Response(psf="gauss", psf_fwhm_um=30.0))
    with pytest.raises(ConfigError) as error:
        cb.Stills(base, 1, seed=7, vary=vary)
    assert error.value.where == f"vary {where}"


def test_limits_within_the_range_are_accepted():
    assert len(stills(2, {STOP: cb.uniform(0.0, 100.0), "beam.wavelength_A": cb.uniform(0.9, 1.1)})) == 2
    assert len(stills(2, {STOP: cb.choice([30.0, 200.0], [1.0, 0.0])})) == 2


def test_a_shot_that_is_extreme_in_neither_number_is_refused():
    error = refused(4, {STOP: cb.table([40.0, 60.0, 90.0, 10.0]), DETECTOR: cb.table([100.0, 58.0, 120.0, 50.0])})
    assert error.where == f"vary {STOP}, shot 1"
    assert "got 60 mm" in error.what


def test_values_that_fit_together_are_accepted_though_not_beside_those_of_the_experiment():
    data = stills(2, {STOP: cb.table([20.0, 140.0]), DETECTOR: cb.table([25.0, 150.0])})
    assert [shot.experiment.beamstop.distance_mm for shot in data] == [20.0, 140.0]


def test_a_tail_is_accepted_and_a_shot_in_it_is_named():
    """A shot beyond the last one of the data set, which is not drawn before."""
    tail = cb.normal(88.0, 4.0)
    values = drawn(STOP, tail, 3000)
    shots = int((values > 100.0).argmax())
    assert shots > 0
    data = stills(shots, {STOP: tail})
    with pytest.raises(ConfigError) as error:
        data.shot(shots).image  # noqa: B018
    assert error.value.where == f"shot {shots}, {STOP}"
    assert data.shot(shots - 1).plan.beam_stop.distance_mm == values[shots - 1]


def test_air_behind_the_detector_is_an_error_of_its_shot():
    air = cb.normal(80.0, 8.0)
    shots = int((drawn("background.air_mm[1]", air, 3000) > 100.0).argmax())
    data = stills(shots, {"background.air_mm[1]": air})
    with pytest.raises(ConfigError, match=f"shot {shots}, background.air_mm"):
        data.shot(shots).image  # noqa: B018


def test_an_unlucky_combination_of_three_values_is_an_error_of_its_shot():
    data = stills(20, {name: cb.table(column) for name, column in fractions(20).items()})
    assert data[2].crystals
    with pytest.raises(ConfigError) as error:
        data[3]
    assert error.value.where == "shot 3, response.dead_fraction"


def test_a_limit_on_two_numbers_is_exceeded_in_a_corner_if_anywhere():
    rng = np.random.default_rng(4)
    for _ in range(200):
        count = int(rng.integers(1, 40))
        x, y = rng.integers(0, 12, (2, count)).astype(float)
        a, b = rng.choice([-1.0, 1.0], 2)
        value = a * np.exp(x / rng.uniform(1.0, 9.0)) + b * y  # grows or falls with each
        places = corners(x.tolist(), y.tolist())
        assert value[places].max() == value.max()
    assert len(corners(*rng.normal(size=(2, 100_000)).tolist())) < 150


def test_crystals_that_a_shot_has_not_are_not_checked():
    """The second crystal of a shot that has one would have a mosaic spread below 0."""
    name = "crystal.mosaic_spread_deg"
    spread = cb.normal(0.02, 0.008)
    first, second = (np.array([spread.values(Draws(seed, np.arange(20, dtype=np.uint32), one), None)
                               for seed in range(100)]) for one in (name, f"{name}#1"))
    seed = int(((first > 0.0).all(axis=1) & ((second < 0.0).sum(axis=1) == 1)).argmax())
    wrong = int(second[seed].argmin())
    assert second[seed, wrong] < 0.0 < first[seed].min()
    counts = [1 if number == wrong else 2 for number in range(20)]
    assert len(cb.Stills(BASE, 20, seed=seed, vary={name: spread}, crystals=cb.table(counts))) == 20
    with pytest.raises(ConfigError) as error:
        cb.Stills(BASE, 20, seed=seed, vary={name: spread}, crystals=2)
    assert error.value.where == f"vary {name}, shot {wrong}"
