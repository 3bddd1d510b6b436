"""Whole images of the host-compiled kernels: the golden set, and anything that NumPy can render."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cubragg import Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.device import host_build
from cubragg.engine import kernel_params
from cubragg.engine.host import panel_launches
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.host.launch import host_kernel
from cubragg.engine.variant import host_variant
from cubragg.plan.make_plan import make_plan
from support.experiments import large, random_grid, small_experiment
from support.image_bodies import *  # noqa: F403 - the tests of the shared bodies
from support.image_bodies import OF_MAXIMUM_IN_LESS, precisions, share_of_maximum
from support.messages import refusal

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def renderer():
    """The kernels compiled for the CPU."""
    return HostEngine


@pytest.fixture
def backend():
    return "cpu"


@pytest.mark.requirement("AT-BAK-002")
@precisions
@pytest.mark.parametrize("cells", [20, 200, 1000, 5000])
def test_error_against_cells(precision, cells):
    experiment = Experiment(
        Crystal(cell=(79, 79, 38, 90, 90, 90), cells=(cells,) * 3, mosaic_spread_deg=0.5, mosaic_domains=4),
        StructureFactors(100.0), detector=Detector(fast_pixels=1024, slow_pixels=1024),
        goniometer=Goniometer(1.0, 1.0, phi_steps=2), sampling=Sampling(oversample=1, roi=(0, 1023, 480, 543)))
    plan = make_plan(experiment)
    error = share_of_maximum(HostEngine(plan, precision).render(), HostEngine(plan).render())
    assert error <= OF_MAXIMUM_IN_LESS[precision]


# Many tiles


def test_wide_grid_indices():
    experiment = dataclasses.replace(large(), structure_factors=random_grid(np.random.default_rng(9), 5))
    plan = make_plan(experiment)
    ours = HostEngine(plan)
    narrow = ours.render(1)
    wide = dataclasses.replace(host_variant(plan, "double"), wide_grid=True)
    image = np.zeros_like(narrow)
    args = (kernel_params.params_of(plan, plan.panels[0], "double"), kernel_params.f2_grid_of(plan, "double"),
            kernel_params.cell_axes_of(plan), kernel_params.sources_of(plan), kernel_params.mask_of(plan.panels[0]),
            np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32), image)
    host_kernel(wide, "render")(kernel_params.grid_of(plan.panels[0], wide.tile), (wide.block,), args)
    assert (image == narrow).all()


@pytest.mark.requirement("AT-BAK-003")
@pytest.mark.parametrize("precision", ["double", "mixed", "single"])
def test_threads_and_launches_do_not_touch_a_bit(precision, monkeypatch):
    plan = make_plan(large(goniometer={"osc_deg": 2.0, "phi_steps": 70, "phi_deg": 1.0}))
    one = HostEngine(plan, precision).render(1)
    calls = []
    monkeypatch.setattr(panel_launches, "_LAUNCH_S", 0.0)  # a launch for every row of tiles
    rows = HostEngine(plan, precision).render(3, lambda done, total: calls.append((done, total)))
    assert one.tobytes() == rows.tobytes()
    assert calls == [(min(8 * 150 * row, 150 * 70), 150 * 70) for row in range(1, 10)]


# The launcher


def launch(**changed):
    """Launch with arguments replaced by name."""
    plan = make_plan(small_experiment())
    variant = host_variant(plan, "double")
    args = {"params": kernel_params.params_of(plan, plan.panels[0], "double"),
            "f2_grid": kernel_params.f2_grid_of(plan, "double"),
            "cell_axes": kernel_params.cell_axes_of(plan), "sources": kernel_params.sources_of(plan),
            "mask": kernel_params.mask_of(plan.panels[0]), "f2_bounds": np.zeros(1, dtype=np.float32),
            "cull_axes": np.zeros(1, dtype=np.float32), "image": np.zeros(plan.shape, dtype=np.float32)} | changed
    block = args.pop("block", (variant.block,))
    host_kernel(variant, "render")(kernel_params.grid_of(plan.panels[0], variant.tile), block, tuple(args.values()))


@pytest.mark.parametrize(("changed", "error", "says"), [
    ({"image": np.zeros((20, 24))}, TypeError, ("image", "float64", "float32")),
    ({"image": np.zeros((24, 20), dtype=np.float32).T}, ValueError, ("image", "", "contiguous")),
    ({"image": np.zeros((19, 24), dtype=np.float32)}, ValueError, ("image", "456", "480")),
    ({"cell_axes": np.zeros(8)}, ValueError, ("cell_axes", "8", "9")),
    ({"params": np.zeros(())}, TypeError, ("render", "", "first", "struct")),
    ({"block": (32,)}, ValueError, ("render", "(32,)", "128")),
    ({"more": np.zeros(1)}, TypeError, ("render", "9", "argument")),
])
def test_launcher_checks_its_arguments(changed, error, says):
    with refusal(error, *says):
        launch(**changed)


def test_launcher_refuses_a_region_above_the_image():
    plan = make_plan(small_experiment())
    params = kernel_params.params_of(plan, plan.panels[0], "double")
    params["first_row"] = 3
    with pytest.raises(ValueError, match="beyond the rows of the image"):
        launch(params=params)


def test_flags_keep_the_order_of_sums():
    assert "-ffast-math" not in host_build.FLAGS
    assert "-ffp-contract=off" in host_build.FLAGS
