"""Traces step by step, their two forms, and the first quantity in which two of them part."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.errors import ConfigError, FormatError
from cubragg.parity import trace_compare as traces
from cubragg.parity.pixel_trace import MAX_SAMPLES, PixelTrace, format_trace, trace_pixel, trace_steps
from cubragg.parity.plan_steps import Step
from cubragg.parity.trace_compare import first_divergence, format_steps, from_json, parse_printout, printout_divergence
from cubragg.plan.make_plan import make_plan
from support.experiments import random_experiment, small_experiment
from support.messages import refusal

FAST, SLOW = 7, 9
RICH = {
    "crystal": {"mosaic_spread_deg": 0.6, "mosaic_domains": 2},
    "beam": {"dispersion_percent": 1.0, "dispersion_steps": 2, "kahn_factor": 0.9},
    "detector": {"thickness_um": 300.0, "attenuation_um": 500.0, "thick_steps": 2, "rotx_deg": 5.0},
    "goniometer": {"phi_deg": 3.0, "osc_deg": 1.0, "phi_steps": 2},
    "sampling": {"oversample": 2},
}


@pytest.fixture(scope="module")
def plan():
    return make_plan(small_experiment(**RICH))


@pytest.fixture(scope="module")
def steps(plan):
    return trace_steps(plan, FAST, SLOW)[1]


def changed(plan, **parts):
    """The plan with some of its resolved parts replaced: an error planted behind the settings."""
    return dataclasses.replace(plan, **parts)


def changed_panel(plan, **parts):
    """The plan with some numbers of its panel replaced."""
    return changed(plan, panels=(plan.panels[0]._replace(**parts),))


def parted_on_panel(plan, steps, **parts):
    return first_divergence(trace_steps(changed_panel(plan, **parts), FAST, SLOW)[1], steps)


def parted(plan, steps, **parts):
    return first_divergence(trace_steps(changed(plan, **parts), FAST, SLOW)[1], steps)


def values_of(steps, name, stage=None):
    return [step.values for step in steps if step.name == name and stage in (None, step.stage)]


# what a trace holds

def test_every_sample_is_there(plan, steps):
    layers = plan.panels[0].layers.count
    sub_pixels = layers * plan.oversample ** 2
    assert (layers, plan.oversample, len(plan.sources.wavelength_m)) == (2, 2, 2)
    assert len(values_of(steps, "position")) == sub_pixels == 8
    assert len(values_of(steps, "scattering vector")) == 2 * sub_pixels
    assert len(values_of(steps, "hkl")) == len(values_of(steps, "I")) - 1 == 8 * sub_pixels
    assert steps[-1].name == "photons"
    assert steps[0][:3] == ("experiment", "wavelength", (1.5e-10,))
    assert {step.stage for step in steps} >= {"detector", "crystal", "rotation", "beam", "sampling", "pixel",
                                              "layer 1, sub-pixel 1 0 (slow fast), source 1, phi 0, domain 1"}


def test_steps_follow_from_one_another(plan, steps):
    """Those of one sample, worked out again from those before it."""
    stage = "layer 1, sub-pixel 0 1 (slow fast), source 1, phi 1, domain 0"
    sample = {step.name: step.values for step in steps if stage.startswith(step.stage)}
    x, y, z = sample["position"]
    path = math.hypot(x, y, z)
    assert sample["direction"] == pytest.approx((x / path, y / path, z / path), rel=1e-14)
    q = [(d - i) / sample["wavelength"][0] for d, i in zip(sample["direction"], sample["incident"], strict=True)]
    assert sample["scattering vector"] == pytest.approx(q, rel=1e-9)
    assert sample["stol"] == pytest.approx((math.hypot(*q) / 2.0,), rel=1e-9)
    for name, index in zip("abc", sample["hkl"], strict=True):
        assert sum(e * 1e-10 * c for e, c in zip(sample[name], q, strict=True)) == pytest.approx(index, rel=1e-8)
    assert sample["hkl0"] == tuple(math.ceil(index - 0.5) for index in sample["hkl"])
    parts = [sample[f"F_latt along {axis}"][0] for axis in "abc"]
    assert sample["F_latt"][0] == pytest.approx(math.prod(parts), rel=1e-14)
    assert sample["term"][0] == pytest.approx((100.0 * sample["F_latt"][0]) ** 2, rel=1e-14)
    assert sum(term for term, in values_of(steps, "term")) == pytest.approx(values_of(steps, "I", "pixel")[0][0])


def test_it_ends_at_the_pixel_of_the_image(plan, steps):
    assert values_of(steps, "photons")[0][0] == float(NumpyEngine(plan).render(1)[SLOW, FAST])


@pytest.mark.parametrize("seed", range(12))
def test_taking_it_down_changes_nothing(seed):
    plan = make_plan(random_experiment(seed))
    rendered = np.ones(plan.shape, dtype=bool) if plan.mask is None else plan.mask
    slow, fast = next((s, f) for s in range(plan.roi[2], plan.roi[3] + 1) for f in range(plan.roi[0], plan.roi[1] + 1)
                      if rendered[s, f])
    trace, taken = trace_steps(plan, fast, slow)
    assert format_trace(trace) == format_trace(trace_pixel(plan, fast, slow))
    assert first_divergence(taken, trace_steps(plan, fast, slow)[1], 0.0) is None


def test_samples_cut_or_skipped_are_in_the_trace():
    cut = trace_steps(make_plan(small_experiment(sampling={"dmin_A": 50.0})), 0, 0)[1]
    assert values_of(cut, "resolution") == [("cut by dmin",)]
    assert values_of(cut, "hkl") == []
    skipped = trace_steps(make_plan(small_experiment(crystal={"shape": "tophat", "cells": (40, 40, 40)})), 3, 4)[1]
    assert values_of(skipped, "F_cell") == [("not looked up",)]
    json.loads(traces.to_json(PixelTrace(3, 4), skipped, "1"))


def test_too_many_samples_are_refused():
    plan = make_plan(small_experiment(crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": 600},
                                      sampling={"oversample": 10}))
    assert trace_pixel(plan, 3, 4).photons > 0.0
    with refusal(ConfigError, "trace", "60000 samples", f"{MAX_SAMPLES}", "--last"):
        trace_steps(plan, 3, 4)


@pytest.mark.parametrize(("settings", "pixel", "says"), [
    ({"semantics": "physical"}, (3, 4), ("semantics", "physical", "nanobragg", "trace")),
    ({"sampling": {"roi": (2, 5, 3, 6)}}, (1, 4),
     ("trace", "1 4", "2 to 5 fast", "3 to 6 slow")),
])
def test_pixels_that_cannot_be_traced(settings, pixel, says):
    with refusal(ConfigError, *says):
        trace_steps(make_plan(small_experiment(**settings)), *pixel)


# its two forms

@pytest.mark.requirement("AT-TOOLS-002")
def test_text_has_15_digits_and_ends_like_the_c_program(plan):
    trace, taken = trace_steps(plan, FAST, SLOW)
    text = format_steps(trace, taken)
    lines = text.splitlines()
    assert lines[0] == "experiment"
    assert lines[1] == "  wavelength                 1.5e-10 m"
    first = values_of(taken, "position")[0]
    assert f"    position                 {first[0]:.15g} {first[1]:.15g} {first[2]:.15g} m" in lines
    assert lines.count("  sub-pixel 0 0 (slow fast)") == 2
    assert sum(line == "        domain 1" for line in lines) == 32
    assert text.endswith("as the C program prints it\n" + format_trace(trace))


@pytest.mark.requirement("AT-TOOLS-002")
def test_json_gives_back_every_bit(plan, steps, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(traces.to_json(trace_pixel(plan, FAST, SLOW), steps, "1.0"))
    fast, slow, read = from_json(path)
    assert (fast, slow) == (FAST, SLOW)
    assert read == steps
    assert first_divergence(read, steps, 0.0) is None


@pytest.mark.parametrize(("text", "says"), [
    ("{}", ("", "trace", "'steps'")),
    ("[1]", ("", "trace", "indices must be integers")),
    ('{"fast": 1, "slow": 2, "steps": [{"stage": "a", "name": "b", "values": [[]], "unit": "", "scale": 0}]}',
     ("", "trace", "neither")),
])
def test_json_that_is_no_trace(tmp_path, text, says):
    path = tmp_path / "x.json"
    path.write_text(text)
    with refusal(FormatError, str(path), *says, "cubragg trace --json"):
        from_json(path)


# planted errors are named by the quantity in which they were planted

def test_equal_traces_do_not_part(plan, steps):
    assert parted(plan, steps) is None


@pytest.mark.requirement("AT-TOOLS-002")
def test_planted_distance(plan, steps):
    panel = plan.panels[0]
    found = parted_on_panel(plan, steps, distance=panel.distance * (1.0 + 1e-6))
    assert found[:3] == ("detector", "distance", "m")
    assert found.relative == pytest.approx(1e-6, rel=1e-5)
    assert found.absolute == pytest.approx(1e-6 * panel.distance, rel=1e-5)


def test_planted_distance_as_a_user_would(steps):
    other = make_plan(small_experiment(**{**RICH, "detector": {**RICH["detector"], "distance_mm": 60.00006}}))
    assert first_divergence(trace_steps(other, FAST, SLOW)[1], steps)[:2] == ("detector", "distance")


@pytest.mark.requirement("AT-TOOLS-002")
def test_planted_swapped_axes(plan, steps):
    panel = plan.panels[0]
    found = parted_on_panel(plan, steps, fast=panel.slow, slow=panel.fast)
    assert found[:2] == ("detector", "fast axis")
    assert found.ours == panel.slow
    assert found.theirs == panel.fast


def test_planted_wavelengths(plan, steps):
    other = make_plan(small_experiment(**{**RICH, "beam": {**RICH["beam"], "wavelength_A": 1.5000015}}))
    assert first_divergence(trace_steps(other, FAST, SLOW)[1], steps)[:2] == ("experiment", "wavelength")
    table = plan.sources
    wavelengths = table.wavelength_m.copy()
    wavelengths[1] *= 1.0 + 1e-7
    found = parted(plan, steps, sources=table._replace(wavelength_m=wavelengths))
    assert found[:2] == ("beam", "source 1 wavelength")
    assert found.relative == pytest.approx(1e-7, rel=1e-5)


def test_planted_orientation_of_one_domain(plan, steps):
    vectors = plan.cell_axes.copy()
    vectors[1, 0, 2] *= 1.0 + 1e-6
    found = parted(plan, steps, cell_axes=vectors)
    assert found[:2] == ("layer 0, sub-pixel 0 0 (slow fast), source 0, phi 1, domain 0", "c")


def test_planted_fluence_and_pix0(plan, steps):
    assert parted(plan, steps, fluence=plan.fluence * (1.0 + 1e-6))[:2] == ("beam", "fluence")
    x, y, z = plan.panels[0].origin
    found = parted_on_panel(plan, steps, origin=(x, y + 1e-6, z))
    assert found[:2] == ("detector", "pix0")
    assert found.absolute == pytest.approx(1e-6, rel=1e-5)


def test_planted_errors_in_the_formulas(plan, steps, monkeypatch):
    """An engine that computes something else, not one with other input."""
    from cubragg.parity import pixel_trace as engine

    lattice = engine._Tracer._lattice_factor
    polarization = engine._Tracer._polarization
    monkeypatch.setattr(engine._Tracer, "_polarization", lambda *args: polarization(*args) * (1.0 + 1e-6))
    assert parted(plan, steps)[:2] == ("layer 0, sub-pixel 0 0 (slow fast), source 0", "polarization")
    monkeypatch.setattr(engine._Tracer, "_polarization", polarization)
    monkeypatch.setattr(engine._Tracer, "_lattice_factor", lambda *args: lattice(*args) * (1.0 + 1e-4))
    assert parted(plan, steps)[:2] == ("layer 0, sub-pixel 0 0 (slow fast), source 0, phi 0, domain 0", "F_latt")


def test_rounding_is_no_divergence(plan, steps):
    assert parted_on_panel(plan, steps, distance=math.nextafter(plan.panels[0].distance, 1.0)) is None


def test_another_number_of_steps_is_a_divergence(steps):
    assert first_divergence(steps[:-1], steps) == (
        "pixel", "photons", "", None, steps[-1].values, pytest.approx(math.nan, nan_ok=True),
        pytest.approx(math.nan, nan_ok=True), len(steps))
    assert first_divergence(steps, steps[:-1]).theirs is None
    other = [*steps[:-1], Step("pixel", "counts", (1.0,))]
    assert first_divergence(steps, other)[:2] == ("pixel", "photons")


def test_a_divergence_in_words():
    ours, theirs = Step("detector", "pix0", (1.0, 2.0, 4.0), "m"), Step("detector", "pix0", (1.0, 2.5, 4.0), "m")
    assert str(first_divergence([ours, ours], [ours, theirs])) == (
        "first divergence: detector: pix0 [m], after 1 quantity that agrees\n"
        "  here      1 2 4\n  there     1 2.5 4\n  off by    0.5 absolute, 0.125 relative")
    assert str(first_divergence([Step("detector", "pivot", ("beam",))], [Step("detector", "pivot", ("sample",))])) == (
        "first divergence: detector: pivot, after 0 quantities that agree\n  here      beam\n  there     sample")
    assert "no such step" in str(first_divergence([ours], []))


# what the C program prints

PRINTOUT = """\
mosflm convention selected.
pivoting detector around direct beam spot
Unit Cell: 50 60 70 90 90 90
volume = 210000 A^3
real-space cell vectors (Angstrom):
     a           b           c
X: 50.00000000  0.00000000  0.00000000
Y:  0.00000000 60.00000000  0.00000000
Z:  0.00000000  0.00000000 70.00000000
reciprocal-space cell vectors (Angstrom^-1):
     a_star      b_star      c_star
X:  0.02000000  0.00000000  0.00000000
Y:  0.00000000  0.01666667  0.00000000
Z:  0.00000000  0.00000000  0.01428571
phi0 = 0
  created a total of 1 sources:
-10 -0 0   1 1.5e-10
  created a total of 1 mosaic domains
  parallelpiped xtal: 5x4x3 cells
  wave=1.5e-10 meters +/- 0% in 0 steps
  Kahn polarization factor: 0.000000
  incident fluence: 1.25932e+29 photons/m^2
  distance=0.06 detsize=0.012x0.01  pixel=0.0005 meters (24x20 pixels)
  sensor is 0 m thick in 1 layers with mu= -1
  DIRECTION_OF_DETECTOR_X-AXIS= 0 0 1
  1 mosaic domains over mosaic spread of 0 degrees
  1x1 pixel oversample steps
"""


@pytest.fixture(scope="module")
def upright():
    return make_plan(small_experiment(crystal={"misset_deg": None}))


def printout(plan, **lines):
    trace = trace_pixel(plan, FAST, SLOW)
    text = PRINTOUT + format_trace(trace) + "\nmax_I = 3\n"
    for old, new in lines.items():
        assert lines[old][0] in text, old
        text = text.replace(*new)
    return trace, text


def test_what_is_printed_is_found(upright):
    _, text = printout(upright)
    found = parse_printout(text, FAST, SLOW)
    assert found["crystal", "b*"].values == (0.0, 0.01666667, 0.0)
    assert found["crystal", "shape"].values == ("square",)
    assert found["beam", "source 0 incident"].values == (1.0, 0.0, -0.0)
    assert found["detector", "pixels"].values == (24.0, 20.0)
    assert found["pixel", "hkl0"].allowed == (0.0, 0.0, 0.0)
    assert found["detector", "distance"].allowed[0] == pytest.approx(0.5e-7, rel=1e-5)
    assert found["pixel", "a"].values == (50.0, 0.0, 0.0)
    assert len(found) == 42


def test_a_printout_that_agrees(upright):
    assert printout_divergence(upright, *printout(upright)) == (None, 42)


@pytest.mark.parametrize(("old", "new", "stage", "name"), [
    ("wave=1.5e-10", "wave=1.50001e-10", "experiment", "wavelength"),
    ("distance=0.06 ", "distance=0.0600001 ", "detector", "distance"),
    ("X-AXIS= 0 0 1", "X-AXIS= 0 -1 0", "detector", "fast axis"),
    ("direct beam spot", "sample", "detector", "pivot"),
    ("parallelpiped", "ellipsoidal", "crystal", "shape"),
    ("Y:  0.00000000 60.00000000", "Y:  0.00000000 60.00000002", "crystal", "b"),
    ("-10 -0 0   1 1.5e-10", "-10 0.001 0   1 1.5e-10", "beam", "source 0 incident"),
    ("Kahn polarization factor: 0.000000", "polarization effect disabled", "beam", "Kahn factor"),
    (" F_cell=100 ", " F_cell=101 ", "pixel", "F_cell"),
])
def test_a_printout_that_parts(upright, old, new, stage, name):
    trace, text = printout(upright, planted=(old, new))
    found, count = printout_divergence(upright, trace, text)
    assert found[:2] == (stage, name)
    assert found.number == count


def test_a_pixel_that_is_not_printed(upright):
    with refusal(FormatError, "the C program", f"{FAST} {SLOW}", "line", "-roi", "-mask"):
        parse_printout(PRINTOUT, FAST, SLOW)


def test_a_pixel_behind_a_warning_without_line_end(upright):
    trace = trace_pixel(upright, FAST, SLOW)
    text = "WARNING: further warnings will not be printed! " + format_trace(trace)
    assert printout_divergence(upright, trace, text)[0] is None
