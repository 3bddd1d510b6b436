"""The C program's images, figures, headers and traces, from its own command lines."""

from __future__ import annotations

import numpy as np
import pytest

from cubragg.detect.nanobragg_images import int_image, noise_image, pgm_image
from cubragg.detect.noise import noise_counts
from cubragg.io.images.smv import smv_header
from cubragg.parity.pixel_trace import trace_pixel
from cubragg.units import deg_from_rad
from support import renders
from support.golden_set import arguments, cases, reference, stored

#: A pixel may differ by one unit of the last place (6e-8 to 1.2e-7): the C library's sine of
#: pi * N * h and the polynomial sine of the reduced index round differently.
VALUE = 1.2e-7
#: Between reflections sin(pi N h) passes through zero and relative error grows without bound.
OF_MAXIMUM = 1e-10
EQUAL_BITS = 0.99999

pytestmark = pytest.mark.usefixtures("elsewhere")


def rendered(case_id: str):
    """The job and the image of a case."""
    return renders.rendered(tuple(arguments(cases()[case_id])), renders.exact_backend())


def printed(values, template: str = "%g") -> list[str]:
    return [template % value for value in values]


every_case = pytest.mark.parametrize("case_id", cases())


@pytest.mark.requirement("AT-BAK-001")
@every_case
def test_float_image(case_id):
    places, expected = reference(case_id)
    _, image = rendered(case_id)
    got = image.photons.ravel()[places].astype(np.float64)
    expected = expected.astype(np.float64)
    allowed = np.maximum(VALUE * np.abs(expected), OF_MAXIMUM * expected.max())
    assert list(image.photons.shape) == cases()[case_id]["shape"]
    assert (np.abs(got - expected) <= allowed).all()


def test_share_of_pixels_equal_to_the_bit(capsys):
    equal = total = whole = 0
    for case_id in cases():
        places, expected = reference(case_id)
        same = rendered(case_id)[1].photons.ravel()[places].view(np.uint32) == expected.view(np.uint32)
        equal, total, whole = equal + int(same.sum()), total + same.size, whole + bool(same.all())
    with capsys.disabled():
        print(f"\ngolden set: {whole} of {len(cases())} images equal in every bit, "
              f"{total - equal} of {total} pixels differ")
    assert equal / total >= EQUAL_BITS


@pytest.mark.requirement("AT-GEO-004", "AT-STA-001")
@every_case
def test_figures(case_id):
    figures, (job, image) = cases()[case_id]["figures"], rendered(case_id)
    names = ("max_I", "max_at_fast_m", "max_at_slow_m", "mean", "rms", "rmsd")
    assert printed(image.figures) == printed(figures[name] for name in names)
    plan, geometry = image.plan, image.geometry
    assert int_image(image.photons, job.settings.scale, 40.0, plan.roi)[1] == pytest.approx(
        figures["intfile_scale"], rel=1e-5)
    assert (plan.oversample, len(plan.sources.wavelength_m), len(plan.mosaic.rotations), plan.phi.count) == tuple(
        figures[name] for name in ("oversample", "sources", "mosaic_domains", "phisteps"))
    assert f"{plan.fluence:g}" == f"{figures['fluence']:g}"
    assert geometry.pivot == figures["pivot"]
    for name, vector in (("fast_axis", geometry.fast), ("slow_axis", geometry.slow), ("normal_axis", geometry.normal),
                         ("pix0_m", geometry.pix0), ("dials_origin_mm", geometry.dials_origin_mm)):
        np.testing.assert_allclose(vector, figures[name], rtol=6e-6, atol=1e-15, err_msg=name)
    lattice = plan.lattice
    for name, vectors in (("real_cell_A", (lattice.a, lattice.b, lattice.c)),
                          ("reciprocal_cell_invA", (lattice.a_star, lattice.b_star, lattice.c_star))):
        np.testing.assert_allclose(vectors, figures[name], rtol=0, atol=5.1e-9, err_msg=name)
    if "misset_deg" in figures:
        assert printed((deg_from_rad(x) for x in lattice.misset_rad), "%.6f") == printed(figures["misset_deg"], "%.6f")


@pytest.mark.requirement("AT-IO-001")
@every_case
def test_header(case_id):
    job, image = rendered(case_id)
    experiment, plan = job.experiment, image.plan
    header = smv_header(image.geometry, wavelength_A=experiment.beam.wavelength_A,
                        phi_deg=experiment.goniometer.phi_deg, osc_deg=deg_from_rad(plan.phi.width),
                        twotheta_deg=experiment.detector.twotheta_deg)
    expected = cases()[case_id]["smv_header"]
    assert {key: header[key] for key in expected if key != "HEADER_BYTES"} == {
        key: value for key, value in expected.items() if key != "HEADER_BYTES"}
    assert [key for key in header if key in expected] == [key for key in expected if key in header]


@pytest.mark.requirement("AT-IO-006")
@pytest.mark.parametrize("case_id", [name for name in cases() if stored(name, "int_image") is not None])
def test_int_image(case_id):
    job, image = rendered(case_id)
    counts, _ = int_image(image.photons, job.settings.scale, job.settings.adc, image.plan.roi)
    np.testing.assert_array_equal(counts, stored(case_id, "int_image"))


@pytest.mark.requirement("AT-IO-002")
@pytest.mark.parametrize("case_id", [name for name in cases() if stored(name, "pgm") is not None])
def test_pgm_image(case_id):
    job, image = rendered(case_id)
    _, int_scale = int_image(image.photons, job.settings.scale, job.settings.adc, image.plan.roi)
    gray, scaled_by = pgm_image(image.photons, job.settings.pgm_scale, int_scale, image.figures.rmsd, image.plan.roi)
    np.testing.assert_array_equal(gray, stored(case_id, "pgm"))
    expected = cases()[case_id]["figures"]["pgm_scale"]
    assert f"{scaled_by:g}" == f"{expected:g}"


@pytest.mark.requirement("AT-NOISE-002")
@pytest.mark.parametrize("case_id", [name for name in cases() if stored(name, "noise_image") is not None])
def test_noise_image(case_id):
    job, image = rendered(case_id)
    counts = noise_counts(image.photons, image.plan.roi, job.settings.seed, "reference")
    noisy, photons, overloads = noise_image(counts, job.settings.adc, image.plan.roi)
    figures = cases()[case_id]["figures"]
    np.testing.assert_array_equal(noisy, stored(case_id, "noise_image"))
    assert (round(photons), overloads) == (figures["photons"], figures["overloads"])


@pytest.mark.parametrize(("case_id", "number"), [
    (name, number) for name, case in cases().items() for number in range(len(case.get("traces", ())))])
def test_trace(case_id, number):
    expected = cases()[case_id]["traces"][number]
    trace = trace_pixel(rendered(case_id)[1].plan, expected["fast"], expected["slow"])
    assert printed(trace.hkl, "%.6f") == printed(expected["hkl"], "%.6f")
    assert list(trace.hkl0) == expected["hkl0"]
    for name, value in (("F_cell", trace.F_cell), ("F_latt", trace.F_latt), ("I", trace.intensity),
                        ("stol_per_m", trace.stol_per_m)):
        assert f"{value:g}" == f"{expected[name]:g}", name
    for name, value in (("I_per_step", trace.intensity_per_step), ("polar", trace.polar), ("omega", trace.omega),
                        ("capture_fraction", trace.capture_fraction), ("pixel", trace.photons)):
        assert f"{value:.10g}" == f"{expected[name]:.10g}", name
    assert printed(trace.position_m) == printed(expected["pixel_pos_m"])
