"""The comparison tests of specs/parallel.md: cases and limits from parity_cases.yaml, on every backend.

By default images are compared with the golden data. With NB_RUN_PARALLEL=1 and NB_C_BIN=<program> the C program
renders every command line here and now. A case that fails (any case, with --parity-artifacts or
CUBRAGG_PARITY_ARTIFACTS=1) leaves its images, figures and the trace of its worst pixel under reports/.
"""

from __future__ import annotations

import datetime
import itertools
import json
import math
import os
import random
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from cubragg.cli.build import Job, build
from cubragg.cli.parser import parse
from cubragg.compare.metrics import Metrics, compare_images
from cubragg.compare.peaks import find_peaks, match_peaks
from cubragg.crystallography.vectors import combine, cross, dot, norm, unit
from cubragg.detect.noise import noise_counts
from cubragg.engine.select import BACKENDS
from cubragg.errors import BackendUnavailable
from cubragg.parity.pixel_trace import format_trace, trace_pixel
from cubragg.plan.plan import Plan
from cubragg.run.render import simulate
from cubragg.run.simulated_image import SimulatedImage
from cubragg.units import deg_from_rad
from cubragg.view.png import write_png
from support.golden_set import DATA, arguments, cases, reference
from support.renders import rendered
from support.scripts import script

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

DOCUMENT = yaml.safe_load((HERE / "parity_cases.yaml").read_text())
C_PROGRAM = os.environ.get("NB_C_BIN", "") if os.environ.get("NB_RUN_PARALLEL") == "1" else ""
#: Larger is better for these; every other limit is a maximum.
MINIMA = ("correlation", "peaks_matched")
TRACED_PIXELS = 24
#: Between reflections a square crystal's amplitude passes through 0, where relative error has no bound.
DARK = 1e-9


class Line(NamedTuple):
    """One command line of a case; ``golden`` names the golden image, if there is one."""

    name: str
    arguments: tuple[str, ...]
    golden: str | None


def lines_of(case: dict[str, Any]) -> list[Line]:
    """The command lines of a case."""
    lines = [Line(name, tuple(arguments(cases()[name])), name) for name in case.get("golden", ())]
    if "flags" in case:
        for number, more in enumerate(case.get("each", [""]), start=1):
            words = shlex.split(f"{case['flags']} {more}".replace("{in}", str(DATA / "inputs")))
            lines.append(Line(f"{case['id']}-{number}", tuple(words), None))
    return lines


@cache
def missing(backend: str) -> str:
    """Why a backend cannot run here; empty if it can."""
    try:
        rendered(tuple(arguments(cases()["p025-max"])), backend)
    except BackendUnavailable as error:
        return str(error)
    return ""


@cache
def c_image(line: tuple[str, ...], folder: Path) -> np.ndarray:
    """The C program's float image."""
    words = list(line)
    if "-misset_seed" in words:
        # The 2025 build also takes this flag for -misset: harmless where -misset random comes after it.
        place = words.index("-misset_seed")
        words = [*words[place:place + 2], *words[:place], *words[place + 2:]]
    slow, fast = build(parse(line)).experiment.detector.shape()
    # A folder for each run: the dump that one leaves would be read by the next.
    with tempfile.TemporaryDirectory(dir=folder) as own:
        subprocess.run([C_PROGRAM, *words, "-floatfile", "c.bin", "-nonoise", "-nopgm", "-noprogress"], cwd=own,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**os.environ, "OMP_NUM_THREADS": "1"})
        return np.fromfile(Path(own) / "c.bin", dtype="<f4").reshape(slow, fast)


def expected_image(line: Line, shape: tuple[int, int], folder: Path) -> np.ndarray | None:
    """The image to compare with, NaN where it is not known; ``None``: only the C program could tell."""
    if C_PROGRAM:
        return c_image(line.arguments, folder)
    if line.golden is None:
        return None
    places, values = reference(line.golden)
    image = np.full(shape, np.nan, dtype=np.float32)
    image.ravel()[places] = values
    return image


def measured(metrics: Metrics) -> dict[str, float]:
    """The figures that limits are set for."""
    return {
        "correlation": metrics.correlation,
        "rmse_of_max": metrics.rmse / metrics.max_b if metrics.max_b > 0.0 else metrics.rmse,
        "max_difference_of_max": metrics.max_difference_of_max,
        "sum_ratio": abs(metrics.sum_ratio - 1.0),
        "peak_distance_px": metrics.max_peak_distance if metrics.pairs else 0.0,
        "peaks_matched": metrics.matched_fraction,
    }


def faults(figures: dict[str, float], limits: dict[str, float]) -> list[str]:
    """What is beyond its limit; a figure that is not a number always is."""
    found = []
    for name, limit in limits.items():
        value = figures[name]
        if not (value >= limit if name in MINIMA else value <= limit):
            found.append(f"{name} is {value!r}, limit {limit!r}")
    return found


# Properties: each takes the case and its (plan, image) pairs and gives figures by the names of the case's limits.

Rendered = list[tuple[Job, SimulatedImage]]


def brightest(image: np.ndarray) -> tuple[float, float]:
    """Place (fast, slow) of the maximum [pixel from the outer corner], pixels that tie up to rounding averaged."""
    slow, fast = np.nonzero(image >= image.max() * (1.0 - 1e-6))
    return float(fast.mean()) + 0.5, float(slow.mean()) + 0.5


def peak_at_beam(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """The forward peak is where the beam hits the detector."""
    distances = []
    for _, image in results:
        fast, slow = brightest(image.photons)
        geometry = image.geometry
        distances.append(max(abs(fast - geometry.fbeam / geometry.pixel_size),
                             abs(slow - geometry.sbeam / geometry.pixel_size)))
    return {"beam_distance_px": max(distances)}


def first_reflection(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """0 0 1 of a crystal with c along the fast axis is at distance * tan(asin(lambda / c))."""
    distances = []
    for job, image in results:
        geometry, beam = image.geometry, job.experiment.beam
        angle = math.asin(beam.wavelength_A / norm(image.plan.lattice.c))
        expected = (geometry.fbeam + geometry.distance * math.tan(angle)) / geometry.pixel_size
        across = geometry.sbeam / geometry.pixel_size
        row = image.photons[int(across)].astype(np.float64)
        near = np.arange(row.size)[(np.arange(row.size) > expected - 2.5) & (np.arange(row.size) < expected + 2.5)]
        distances.append(abs(near[row[near].argmax()] + 0.5 - expected))
    return {"bragg_distance_px": max(distances)}


def log_slope(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """Slope of the maximum against x on logarithmic scales."""
    peaks = [image.figures.max_photons for _, image in results]
    slope = np.polyfit(np.log(case["x"]), np.log(peaks), 1)[0]
    return {"slope_error": abs(float(slope) - case["slope"])}


def kahn_ratio(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """Quotient of two images that differ in the Kahn factor, against the formula."""
    (_, below), (job, above) = results
    plan, kahn = above.plan, job.experiment.beam.kahn_factor
    errors = []
    for fast, slow in some_pixels(plan, above.photons):
        geometry, edge = plan.geometry, plan.geometry.pixel_size
        direction = unit(combine(((fast + 0.5) * edge, geometry.fast), ((slow + 0.5) * edge, geometry.slow),
                                 (1.0, geometry.pix0)))
        magnetic = unit(cross(geometry.polar, geometry.beam))
        electric = unit(cross(geometry.beam, magnetic))
        cosine_sqr = dot(direction, geometry.beam) ** 2
        twice_psi = 2.0 * math.atan2(dot(direction, magnetic), dot(direction, electric))
        expected = (1.0 + cosine_sqr - kahn * math.cos(twice_psi) * (1.0 - cosine_sqr)) / (1.0 + cosine_sqr)
        errors.append(abs(float(above.photons[slow, fast]) / float(below.photons[slow, fast]) / expected - 1.0))
    return {"ratio_error": max(errors)}


def some_pixels(plan: Plan, photons: np.ndarray) -> Iterator[tuple[int, int]]:
    """First, last, brightest and random bright enough pixels of the region (fast, slow)."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    region = photons[slow_min:slow_max + 1, fast_min:fast_max + 1]
    slow, fast = np.nonzero(region > DARK * region.max())
    pick = np.random.default_rng(1).integers(0, len(slow), TRACED_PIXELS)
    chosen = {0, len(slow) - 1, int(region[slow, fast].argmax()), *pick.tolist()}
    for place in sorted(chosen):
        yield int(fast[place]) + fast_min, int(slow[place]) + slow_min


def scalar_program(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """Pixels against the trace: the same text written a second time, on Python floats in the C program's order."""
    worst = 0.0
    for _, image in results:
        for fast, slow in some_pixels(image.plan, image.photons):
            traced = trace_pixel(image.plan, fast, slow).photons
            worst = max(worst, abs(float(image.photons[slow, fast]) - traced) / abs(traced))
    return {"relative_error": worst}


def pixels_different(a: np.ndarray, b: np.ndarray) -> int:
    """Pixels not equal in every bit."""
    return int((a.view(np.uint32) != b.view(np.uint32)).sum())


def same_image(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """All command lines say the same."""
    return {"pixels_different": max(pixels_different(image.photons, results[0][1].photons) for _, image in results)}


def threads(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """One, two and three threads give the same bits."""
    most = 0
    for job, image in results:
        for count in (1, 2, 3):
            again = simulate(job.experiment, backend=backend, precision="double", threads=count)
            most = max(most, pixels_different(again.photons, image.photons))
    return {"pixels_different": most}


def noise(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """Strong peaks stay in place under counting noise, and so does the sum."""
    shifts, unmatched, sigmas = [0.0], 0, 0.0
    for _, image in results:
        clean = image.photons.astype(np.float64)
        expected = clean[_region(image.plan)].sum()
        peaks = find_peaks(clean, fraction=0.5)
        for seed in case["seeds"]:
            counts = noise_counts(image.photons, image.plan.roi, seed, "reference")
            pairs = match_peaks(peaks, find_peaks(counts, fraction=0.3), radius=3.0)
            shifts += [pair.distance for pair in pairs]
            unmatched += len(peaks) - len(pairs)
            sigmas = max(sigmas, abs(counts.sum() - expected) / math.sqrt(expected))
    return {"peak_shift_px": max(shifts), "unmatched_peaks": unmatched, "sum_sigmas": sigmas}


def _region(plan: Plan) -> tuple[slice, slice]:
    fast_min, fast_max, slow_min, slow_max = plan.roi
    return slice(slow_min, slow_max + 1), slice(fast_min, fast_max + 1)


def benchmark(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """Workloads of scripts/bench.py run, in blocks of many pixels: what makes the measured ratio possible."""
    bench, most = script("bench"), 0.0
    for name in case["workloads"]:
        calls: list[tuple[int, int]] = []

        def count(done: int, total: int, calls: list[tuple[int, int]] = calls) -> None:
            calls.append((done, total))

        job = build(parse(shlex.split(bench.workloads()[name].flags)))
        simulate(job.experiment, backend=backend, precision="double", progress=count)
        most = max(most, len(calls) / (calls[-1][1] / 2**20))
    return {"blocks_per_megapixel": most}


def aliasing(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """Finer sub-pixels change the image less and less."""
    images = [image.photons.astype(np.float64) for _, image in results]
    changes = [float(np.abs(fine - coarse).max() / fine.max()) for coarse, fine in itertools.pairwise(images)]
    return {"change_ratio": changes[-1] / changes[0], "last_change_of_max": changes[-1]}


def oblique_angles(case: dict[str, Any], results: Rendered, backend: str) -> dict[str, float]:
    """The angles that the nanoBragg setting of an oblique cell really has."""
    lattice = results[0][1].plan.lattice
    sides = ((lattice.b, lattice.c), (lattice.c, lattice.a), (lattice.a, lattice.b))
    angles = [deg_from_rad(math.acos(dot(x, y) / norm(x) / norm(y))) for x, y in sides]
    return {"angle_error_deg": max(abs(angle - made) for angle, made in zip(angles, case["made"], strict=True))}


CHECKS: dict[str, Callable[[dict[str, Any], Rendered, str], dict[str, float]]] = {
    check.__name__: check for check in (peak_at_beam, first_reflection, log_slope, kahn_ratio, scalar_program,
                                        same_image, threads, noise, benchmark, aliasing, oblique_angles)}


# Running a case

class Outcome(NamedTuple):
    """What one command line of a case gave; ``expected`` is ``None`` where nothing was compared."""

    line: Line
    image: SimulatedImage
    expected: np.ndarray | None
    figures: dict[str, float]
    faults: list[str]


def compare(case: dict[str, Any], line: Line, backend: str, folder: Path) -> Outcome:
    """One command line against the image that it should give."""
    _, image = rendered(line.arguments, backend)
    expected = expected_image(line, image.photons.shape, folder)
    if expected is None:
        return Outcome(line, image, None, {}, [])
    figures = measured(compare_images(image.photons, expected, roi=image.plan.roi, mask=image.plan.mask))
    limits = {**DOCUMENT["defaults"], **case.get("thresholds", {})}
    return Outcome(line, image, expected, figures, [f"{line.name}: {fault}" for fault in faults(figures, limits)])


def leave_artifacts(at_id: str, case_id: str, outcome: Outcome, folder: Path) -> None:
    """Everything that one needs to look into a case, in reports/<date>-<id>/<case>/<line>-<backend>/."""
    target = ROOT / "reports" / f"{datetime.date.today()}-{at_id}" / case_id / (
        f"{outcome.line.name}-{outcome.image.backend}")
    target.mkdir(parents=True, exist_ok=True)
    photons, words = outcome.image.photons, shlex.join(outcome.line.arguments)
    (target / "metrics.json").write_text(json.dumps(
        {"figures": outcome.figures, "faults": outcome.faults, "backend": outcome.image.backend,
         "reference": C_PROGRAM or "golden data"}, indent=1) + "\n")
    program = f"{C_PROGRAM or 'nanoBragg'} {words} -floatfile c.bin -nonoise -nopgm"
    (target / "commands.txt").write_text(f"cubragg {words} -floatfile ours.bin\n{program}\n")
    np.save(target / "ours.npy", photons)
    worst = np.unravel_index(int(photons.argmax()), photons.shape)
    if outcome.expected is not None:
        np.save(target / "reference.npy", outcome.expected)
        difference = np.nan_to_num(np.abs(photons - outcome.expected))
        write_png(target / "difference.png", difference)
        worst = np.unravel_index(int(difference.argmax()), photons.shape) if difference.any() else worst
    plan = outcome.image.plan
    if not plan.rules.per_sample:
        (target / "worst_pixel.txt").write_text(format_trace(trace_pixel(plan, int(worst[1]), int(worst[0]))))


def marks(case: dict[str, Any], backend: str) -> list[pytest.MarkDecorator]:
    """A case that is known to fail on a backend must fail, until its entry in the fix plan is closed."""
    failure = case.get("open", {}).get(backend)
    return [pytest.mark.gpu] * (backend == "cuda") + (
        [pytest.mark.xfail(reason=f"open: {failure}")] if failure else [])


EVERY_CASE = [pytest.param(at_id, case, backend, id=f"{at_id}-{case['id']}-{backend}", marks=marks(case, backend))
              for at_id, its_cases in DOCUMENT["cases"].items() for case in its_cases for backend in BACKENDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder to work in: a dump file left in the current one would be read."""
    path = tmp_path_factory.mktemp("parity")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


@pytest.mark.parametrize(("at_id", "case", "backend"), EVERY_CASE)
def test_case(at_id, case, backend, folder, request):
    if missing(backend):
        pytest.skip(missing(backend))
    outcomes = [compare(case, line, backend, folder) for line in lines_of(case)]
    found = [fault for outcome in outcomes for fault in outcome.faults]
    if "check" in case:
        results = [rendered(outcome.line.arguments, backend) for outcome in outcomes]
        figures = CHECKS[case["check"]](case, results, backend)
        assert set(figures) == set(case["limits"])
        found += faults(figures, case["limits"])
    wanted = request.config.getoption("--parity-artifacts", default=False) or os.environ.get(
        "CUBRAGG_PARITY_ARTIFACTS") == "1"
    for outcome in outcomes:
        # A property that fails concerns all command lines of its case.
        if wanted or outcome.faults or (found and "check" in case):
            leave_artifacts(at_id, case["id"], outcome, folder)
    assert not found


def test_artifacts_of_a_case_that_fails(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setitem(DOCUMENT["defaults"], "correlation", 1.5)
    case = {"id": "planted", "golden": ["p025-max"]}
    outcome = compare(case, lines_of(case)[0], "numpy", folder)
    leave_artifacts("AT-PARALLEL-025", "planted", outcome, folder)
    assert outcome.faults == ["p025-max: correlation is 1.0, limit 1.5"]
    left = next(tmp_path.glob("reports/*-AT-PARALLEL-025/planted/p025-max-numpy"))
    assert sorted(path.name for path in left.iterdir()) == [
        "commands.txt", "difference.png", "metrics.json", "ours.npy", "reference.npy", "worst_pixel.txt"]


@pytest.mark.requirement("AT-TOOLS-004")
def test_random_lines_have_a_rule_for_every_flag():
    script("fuzz_parity").check_table()


def test_random_lines_mostly_mean_something(tmp_path, monkeypatch):
    """Drawn lines are read, and a line is the same line again for the same seed."""
    fuzz = script("fuzz_parity")
    monkeypatch.chdir(tmp_path)
    lines = [fuzz.draw_line(random.Random(f"7/{number}")) for number in range(60)]
    assert lines == [fuzz.draw_line(random.Random(f"7/{number}")) for number in range(60)]
    for line in lines:
        assert parse([word for group in line for word in group])


@pytest.mark.requirement("AT-TOOLS-004")
def test_a_line_that_disagrees_is_shrunk_to_what_matters(monkeypatch, tmp_path):
    fuzz = script("fuzz_parity")

    def judge(groups):
        words = [word for group in groups for word in group]
        apart = "-curved_det" in words and "-twotheta" in words and float(words[words.index("-twotheta") + 1]) > 3.0
        return fuzz.Verdict("apart" if apart else "equal", "planted", ("float",) if apart else ())

    fuzzer = fuzz.Fuzzer("none", tmp_path)
    monkeypatch.setattr(fuzzer, "judge", judge)
    line = [("-N", "5"), ("-twotheta", "17.318"), ("-seed", "4711"), ("-polar", "0.5"), ("-curved_det",)]
    assert fuzzer.shrink(line) == [("-twotheta", "17"), ("-seed", "4711"), ("-curved_det",)]


def test_every_comparison_has_a_case(capsys):
    """One id for each number of specs/parallel.md but 19, which was never given."""
    numbers = {at_id for at_id in DOCUMENT["cases"] if at_id.startswith("AT-PARALLEL-")}
    assert numbers == {f"AT-PARALLEL-{number:03d}" for number in range(1, 30) if number != 19}
    names = [case["id"] for its_cases in DOCUMENT["cases"].values() for case in its_cases]
    assert len(set(names)) == len(names)
    lines = sum(len(lines_of(case)) for its_cases in DOCUMENT["cases"].values() for case in its_cases)
    with capsys.disabled():
        here = ", ".join(backend for backend in BACKENDS if not missing(backend))
        print(f"\nparity: {len(names)} cases with {lines} command lines for {len(DOCUMENT['cases'])} ids, on {here}, "
              f"against {C_PROGRAM or 'golden data'}")
