"""The C program's images from the kernels as compiled for aarch64 (NEON), under emulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from aarch64.emulated import emulate
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.engine.host.host_engine import HostEngine
from cubragg.plan.make_plan import make_plan
from support.golden_set import arguments, cases, reference

#: Largest difference as a fraction of the image's maximum: AT-BAK-001 and AT-BAK-002.
BOUNDS = {"double": 1e-8, "mixed": 5e-6, "single": 5e-5}
#: Every kernel: shapes, structure factors, curved and thick detectors, sources, running products, masks.
CASES = ("p008-triclinic", "p020-comprehensive", "f-round_xtal", "f-gauss_xtal", "f-tophat_spots",
         "f-interpolate-inrange", "f-mask", "f-div-range", "f-oversample2-omega", "f-thick-abs", "f-curved")

pytestmark = [pytest.mark.aarch64, pytest.mark.slow, pytest.mark.usefixtures("elsewhere")]


@pytest.mark.requirement("AT-BAK-013")
@pytest.mark.parametrize(("case_id", "precision"), [
    *((case_id, "double") for case_id in CASES),
    *product(("p020-comprehensive", "f-gauss_xtal", "f-interpolate-inrange"), ("mixed", "single"))])
def test_image(case_id, precision, monkeypatch):
    emulate(monkeypatch)
    places, expected = reference(case_id)
    plan = make_plan(build(parse(arguments(cases()[case_id]))).experiment)
    image = HostEngine(plan, precision).render().ravel()[places].astype(np.float64)
    difference = np.abs(image - expected)
    if precision == "double":
        difference -= 1.2e-7 * np.abs(expected)  # a unit of the last place of a float
    assert difference.max() <= BOUNDS[precision] * expected.max()
