"""Constants of spots: the kernels of `kernels/spot_list.cu` against NumPy, and what no bit depends on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cubragg import Channel
from cubragg.engine.analytic import compiled_spots, list_kernel
from cubragg.engine.analytic.compiled_spots import spots_by_kernels
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.passing import Passing
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.analytic.spots import spots_by_numpy
from cubragg.errors import BackendUnavailable
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from support.analytic_experiments import VARIANTS, experiment
from support.experiments import Hung, hang

#: Rounding errors of a field, over the largest number of its kind in it: some tens of operations, of which differences
#: of nearly equal numbers (positions, standardized axes) lose two or three digits.
BOUND = 1e-12
CASES = {
    **VARIANTS,
    "tilted": {"detector": {"rotx_deg": 25.0, "roty_deg": -10.0, "twotheta_deg": 15.0}},
    "curved, tilted": {"detector": {"curved": True, "rotz_deg": 7.0}, "goniometer": {"osc_deg": 1.0}},
    "all at once": {
        "crystal": {"size_mm": 0.05, "strain": 0.002, "mosaicity_deg": (0.1, 0.3, 0.2)},
        "beam": {"divergence_mrad": (1.0, 2.0), "spectrum": (Channel(0.99, 1.0, 0.004), Channel(1.01, 3.0, 0.001))},
        "detector": {"thickness_um": 450.0, "attenuation_um": 300.0, "thick_steps": 2}},
    "few sub-pixels": {"sampling": {"oversample": 5}},
}


def plan_of(name: str) -> Plan:
    return make_plan(experiment(**CASES[name]), "analytic")


def assert_same(ours: PanelSpots, numpys: PanelSpots) -> None:
    """Whole numbers are equal, and others within `BOUND`."""
    for name in ("hkl", "F", "phi", "entering", "channel"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(numpys, name), err_msg=name)
    np.testing.assert_allclose(ours.pace, numpys.pace, rtol=BOUND)
    for name in ours.records.dtype.names:
        one, other = ours.records[name], numpys.records[name]
        if one.dtype.kind == "i":
            np.testing.assert_array_equal(one, other, err_msg=name)
            continue
        # k.F / r is at most |F| / r, and 0 where the ray is perpendicular to the panel.
        scale = np.sqrt(numpys.records["square"].max()) if name == "towards" else np.abs(other).max()
        assert np.abs(one - other).max() <= BOUND * scale, name


@pytest.mark.requirement("AT-ANA-008")
@pytest.mark.parametrize("name", CASES)
def test_kernels_and_numpy_agree(name):
    spots = SpotList(plan_of(name))
    ours, = spots_by_kernels(spots.plan, spots.model, spots.passing, 1)
    numpys, = spots_by_numpy(spots.plan, spots.model, spots.passing)
    assert len(ours) > 10
    assert_same(ours, numpys)


@pytest.mark.requirement("AT-ANA-008")
def test_panels_and_their_regions():
    hung = [Hung(50, 90, 0.2, 0.2, (0.2 * first, 0.0, 0.0), offset=(first, 0)) for first in (0, 50)]
    changed = hang(experiment(sampling={"roi": (30, 85, 20, 70)}), hung)
    spots = SpotList(make_plan(changed, "analytic"))
    pairs = zip(spots_by_kernels(spots.plan, spots.model, spots.passing, 1),
                spots_by_numpy(spots.plan, spots.model, spots.passing), strict=True)
    for ours, numpys in pairs:
        assert len(ours) > 5
        assert_same(ours, numpys)


def test_no_bit_of_a_spot_depends_on_the_others_or_on_threads():
    spots = SpotList(plan_of("wide"))
    whole, = spots_by_kernels(spots.plan, spots.model, spots.passing, 1)
    threaded, = spots_by_kernels(spots.plan, spots.model, spots.passing, 2)
    assert threaded.records.tobytes() == whole.records.tobytes()
    part, = spots.passing
    chosen = np.arange(len(part.F)) % 3 == 1
    some, = spots_by_kernels(spots.plan, spots.model,
                             [Passing(part.channel, part.segments.where(chosen), part.F[chosen])], 1)
    keys = {(*hkl, phi): number for number, (hkl, phi) in enumerate(zip(whole.hkl.tolist(), whole.phi, strict=True))}
    index = [keys[(*hkl, phi)] for hkl, phi in zip(some.hkl.tolist(), some.phi, strict=True)]
    assert len(index) > 100
    assert some.records.tobytes() == whole.records[index].tobytes()


def test_an_image_without_reflections():
    spots = SpotList(plan_of("rotation"))
    part, = spots.passing
    none = np.zeros(len(part.F), dtype=bool)
    empty = [Passing(part.channel, part.segments.where(none), part.F[none])]
    assert [len(panel) for panel in spots_by_kernels(spots.plan, spots.model, empty, 1)] == [0]


def test_without_a_compiler_numpy_computes_the_spots(monkeypatch):
    def missing(*_):
        raise BackendUnavailable("no compiler")

    plan = plan_of("still")
    monkeypatch.setattr(compiled_spots, "HostKernel", missing)
    ours = SpotList(plan).panels
    for one, other in zip(ours, SpotList(dataclasses.replace(plan), "numpy").panels, strict=True):
        assert one.records.tobytes() == other.records.tobytes()


@pytest.mark.parametrize(("entry", "place", "wrong"), [
    ("bounds", 0, "grid"), ("bounds", 2, "phi has"), ("bounds", 5, "bounds is"), ("fill", 5, "F has"),
    ("fill", 7, "spots has"), ("fill", 8, "pace has")])
def test_a_launch_that_would_leave_its_arrays_is_refused(entry, place, wrong):
    spots = SpotList(plan_of("still"))
    part, = spots.passing
    count = len(part.F)
    params = list_kernel.params_of(spots.plan, spots.plan.panels[0], 0, spots.model, part.channel)
    params["count"] = count
    size = count * spots.panels[0].records.dtype.itemsize
    args = [params, *list_kernel.segment_arrays(part)]
    if entry == "bounds":
        args.append(np.empty((count, 6), dtype=np.int32))
    else:
        args += [part.F, np.arange(count, dtype=np.int32), np.empty(size, dtype=np.uint8), np.empty(count)]

    def check() -> None:
        if entry == "bounds":
            list_kernel.check_bounds(list_kernel.grid_of(count), args)
        else:
            list_kernel.check_fill("double", list_kernel.grid_of(count), args, count - 1)

    check()
    if place == 0:
        params["count"] = 5 * count + 1000
    else:
        args[place] = args[place].astype(np.int64) if wrong.endswith("is") else args[place][:-1]
    with pytest.raises((TypeError, ValueError), match=wrong):
        check()
