#!/usr/bin/env python3
"""Random command lines, rendered by cubragg and by the C program, and compared bit by bit.

    python scripts/fuzz_parity.py --c-bin PATH [--count N] [--seed S] [--backend NAME]

A line is drawn flag by flag over the table of flags, in random order and with repetitions, on small
detectors. Float image, SMV image with its header, PGM picture, noise image (with the C program's generator)
and dump of structure factors are compared. A line that disagrees is shrunk to the smallest one that still
does, printed, and appended to a YAML file in the form of tests/parity_cases.yaml. Exit status 1 if any line
disagrees.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzzing.command_lines import Group, check_table, draw_line, write_lists

from cubragg.cli.build import Job, build
from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.detect.nanobragg_images import int_image, noise_image, pgm_image
from cubragg.detect.noise import noise_counts
from cubragg.errors import CubraggError
from cubragg.io.images.pgm import read_pgm
from cubragg.io.images.smv import smv_header
from cubragg.io.reflections.fdump import write_fdump
from cubragg.plan.make_plan import make_plan
from cubragg.run.render import simulate
from cubragg.run.simulated_image import SimulatedImage
from cubragg.units import deg_from_rad, rad_from_deg

#: As in the golden tests: a unit of the last place, or nothing beside the maximum.
VALUE, OF_MAXIMUM = 1.2e-7, 1e-10
MOST_SAMPLES = 1_500_000
SECONDS_FOR_C = 60
SHRINK_TRIALS = 600
#: Without a seed both programs draw one; without a size the default is a million pixels.
KEPT = ("-seed", "-detpixels")
OUTPUTS = "-floatfile c.float -intfile c.int -pgmfile c.pgm -noisefile c.noise -noprogress"


def prepare(folder: Path, program: str) -> None:
    """Write the input files that lines name."""
    write_lists(folder)
    common = ("-cell 50 -default_F 50 -pixel 0.4 -detpixels_f 14 -detpixels_s 11 -distance 70 -lambda 1.3 -Xbeam 3 "
              "-Ybeam 2 -hkl flat.hkl -dump known.dump -floatfile c.float -nonoise -nopgm")
    for name, more in (("header", "-phi 4 -osc 2"), ("mask", "-xds")):
        _call(program, [*common.split(), *more.split(), "-intfile", f"{name}.img"], folder)
    data = bytearray((folder / "mask.img").read_bytes())
    for place in range(512, len(data), 10):
        data[place:place + 2] = b"\0\0"
    (folder / "mask.img").write_bytes(bytes(data))
    shutil.move(folder / "known.dump", folder / "kept.dump")


def _call(program: str, words: list[str], folder: Path) -> int:
    try:
        return subprocess.run([program, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=SECONDS_FOR_C, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode
    except subprocess.TimeoutExpired:
        return -1


@dataclass
class Verdict:
    """Result of one line: ``kind`` is equal, close, apart, refused, crash or costly, ``said`` a description.

    ``where`` lists the files that disagree; a line is shrunk as long as the same files disagree.
    """

    kind: str
    said: str = ""
    where: tuple[str, ...] = ()


class Fuzzer:
    """Runs both programs on lines, in one folder."""

    def __init__(self, program: str, folder: Path, backend: str = "auto") -> None:
        self._program, self._folder, self._backend = program, folder, backend

    def judge(self, groups: list[Group]) -> Verdict:
        """Render a line with both programs and compare."""
        words = [word for group in groups for word in group]
        self._clean()
        try:
            job = build(parse(words))
            plan = make_plan(job.experiment)
        except (CommandLineError, CubraggError) as error:
            return Verdict("refused", str(error))
        fast_min, fast_max, slow_min, slow_max = plan.roi
        pixels = (fast_max - fast_min + 1) * (slow_max - slow_min + 1)
        layers = max((panel.layers.count for panel in plan.panels), default=1)
        if pixels * plan.samples * layers > MOST_SAMPLES or plan.geometry.fast_pixels > 200:
            return Verdict("costly")
        status = _call(self._program, [*words, *OUTPUTS.split()], self._folder)
        if status != 0:
            return Verdict("crash", f"the C program ended with {status}")
        try:
            image = simulate(job.experiment, backend=self._backend, threads=1, precision="double", plan=plan)
        except CubraggError as error:
            return Verdict("refused", str(error))
        except Exception as error:  # a bug is a finding like any other, and is shrunk
            return Verdict("apart", f"{type(error).__name__}: {error}", (type(error).__name__,))
        return self._compare(job, image)

    def _clean(self) -> None:
        for name in ("c.float", "c.int", "c.pgm", "c.noise", "new.dump", "ours.dump", "Fdump.bin"):
            (self._folder / name).unlink(missing_ok=True)
        shutil.copyfile(self._folder / "kept.dump", self._folder / "known.dump")

    def _compare(self, job: Job, image: SimulatedImage) -> Verdict:
        theirs = np.fromfile(self._folder / "c.float", dtype="<f4")
        ours = image.photons.ravel()
        if theirs.size != ours.size:
            return Verdict("apart", f"{theirs.size} pixels in C, {ours.size} here", ("size",))
        same = (ours.view(np.uint32) == theirs.view(np.uint32)) | (np.isnan(ours) & np.isnan(theirs))
        if not same.all():
            return self._distance(ours.astype(np.float64), theirs.astype(np.float64), ~same)
        if not np.isfinite(ours).all():
            # The C program converts what is no number to an integer here: undefined, so nothing to agree with.
            return Verdict("equal", "not finite", ("float",))
        faults = self._other_files(job, image)
        said = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        return Verdict("apart" if faults else "equal", said, tuple(faults))

    @staticmethod
    def _distance(ours: np.ndarray, theirs: np.ndarray, different: np.ndarray) -> Verdict:
        brightest = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0))
        expected = theirs[different]
        with np.errstate(invalid="ignore"):
            off = np.abs(ours[different] - expected)
            close = bool((off <= np.maximum(VALUE * np.abs(expected), OF_MAXIMUM * brightest)).all())
        said = f"{off.size} of {ours.size} pixels differ, by {off.max() / (brightest or 1.0):.2g} of the maximum"
        return Verdict("close" if close else "apart", said, ("float",))

    def _other_files(self, job: Job, image: SimulatedImage) -> dict[str, str]:
        """Files that do not agree although the float images do, and how."""
        settings, plan = job.settings, image.plan
        faults = {}
        counts, scale = int_image(image.photons, settings.scale, settings.adc, plan.roi)
        theirs, written = _smv_of_c(self._folder / "c.int", counts.shape)
        faults["SMV"] = _difference(counts, theirs)
        experiment = job.experiment
        header = smv_header(image.geometry, wavelength_A=experiment.beam.wavelength_A,
                            phi_deg=deg_from_rad(rad_from_deg(experiment.goniometer.phi_deg)),
                            osc_deg=deg_from_rad(plan.phi.width), twotheta_deg=deg_from_rad(image.geometry.twotheta))
        written.pop("HEADER_BYTES", None)
        faults["header"] = ", ".join(f"{key} {header.get(key)} here, {value} in C" for key, value in written.items()
                                     if header.get(key) != value)
        gray, _ = pgm_image(image.photons, settings.pgm_scale, scale, image.figures.rmsd, plan.roi)
        faults["PGM"] = _difference(gray, read_pgm(self._folder / "c.pgm").gray)
        counted = noise_counts(image.photons, plan.roi, settings.seed, "reference")
        noisy, _, _ = noise_image(counted, settings.adc, plan.roi)
        faults["noise"] = _difference(noisy, _smv_of_c(self._folder / "c.noise", counts.shape)[0])
        factors, dump = experiment.structure_factors, self._folder / "new.dump"
        if factors.grid is not None and dump.exists():
            write_fdump(self._folder / "ours.dump", factors.grid, factors.origin)
            same = dump.read_bytes() == (self._folder / "ours.dump").read_bytes()
            faults["dump"] = "" if same else "bytes differ"
        return {name: fault for name, fault in faults.items() if fault}

    def shrink(self, groups: list[Group]) -> list[Group]:
        """The smallest line found that still disagrees: without groups, then with simpler numbers."""
        where, trials, progress = self.judge(groups).where, 0, True
        while progress and trials < SHRINK_TRIALS:
            progress = False
            for smaller in _smaller(groups):
                trials += 1
                if trials > SHRINK_TRIALS:
                    break
                verdict = self.judge(smaller)
                if verdict.kind == "apart" and verdict.where == where:
                    groups, progress = smaller, True
                    break
        return groups


def _smv_of_c(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels and header of an SMV file, also where the header runs over its 512 bytes and shifts the pixels."""
    data = path.read_bytes()
    start = len(data) - 2 * shape[0] * shape[1]
    lines = (line.partition("=") for line in data[:start].decode("latin-1").split("\n"))
    return (np.frombuffer(data, "<u2", offset=start).reshape(shape),
            {key: value.rstrip(";") for key, equals, value in lines if equals})


def _difference(ours: np.ndarray, theirs: np.ndarray) -> str:
    different = int((ours != theirs).sum())
    return f"{different} of {ours.size} pixels differ" if different else ""


def _smaller(groups: list[Group]) -> Iterator[list[Group]]:
    for place in range(len(groups)):
        if groups[place][0] in KEPT:
            continue
        yield [*groups[:place], *groups[place + 1:]]
    for place, group in enumerate(groups):
        if group[0] in KEPT:
            continue
        for position, word in enumerate(group):
            with contextlib.suppress(ValueError):
                value = float(word)
                # Cell parameters of 0 or 1 would not be realistic.
                least = () if group[0] == "-cell" else ("0", "1")
                for simpler in dict.fromkeys((*least, f"{value:.0f}", f"{value:.1g}", f"{value:.2g}")):
                    if len(simpler) < len(word):
                        changed = (*group[:position], simpler, *group[position + 1:])
                        yield [*groups[:place], changed, *groups[place + 1:]]


def main() -> None:
    """Draw, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--c-bin", required=True, help="the C program")
    parser.add_argument("--count", type=int, default=1000, help="lines that both programs render (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the lines (default 1)")
    parser.add_argument("--backend", default="auto", help="what renders (default auto)")
    parser.add_argument("--failures", type=Path, default=Path("reports/fuzz_failures.yaml"),
                        help="file that disagreeing lines are appended to (default reports/fuzz_failures.yaml)")
    options = parser.parse_args()
    check_table()
    program, failures = str(Path(options.c_bin).resolve()), options.failures.resolve()
    results: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        fuzzer = Fuzzer(program, Path(name), options.backend)
        prepare(Path(name), program)
        number = not_finite = 0
        while results["equal"] + results["close"] + results["apart"] < options.count:
            number += 1
            groups = draw_line(random.Random(f"{options.seed}/{number}"))
            verdict = fuzzer.judge(groups)
            results[verdict.kind] += 1
            not_finite += verdict.said == "not finite"
            if verdict.kind == "refused":
                refusals[verdict.said] += 1
            if verdict.kind in ("apart", "crash", "close"):
                print(f"{options.seed}/{number} {verdict.kind}: {verdict.said}", flush=True)
            if verdict.kind == "crash":
                print(f"    {shlex.join(word for group in groups for word in group)}", flush=True)
            if verdict.kind == "apart":
                _keep(fuzzer, groups, f"fuzz-{options.seed}-{number}", failures)
    judged = results["equal"] + results["close"] + results["apart"]
    print(f"{judged} lines rendered by both programs: {results['equal']} equal in every bit of every file, "
          f"{results['close']} within tolerance, {results['apart']} apart; "
          f"drawn besides: {results['refused']} refused here, "
          f"{results['crash']} not rendered by the C program, {results['costly']} too large")
    print(f"    {not_finite} of the equal ones are not finite: of these, only the float image is compared")
    for said, times in refusals.most_common(8):
        print(f"    refused {times} times: {said}")
    sys.exit(results["apart"] > 0)


def _keep(fuzzer: Fuzzer, groups: list[Group], name: str, failures: Path) -> None:
    """Shrink a line that disagrees, print it, append it to the file."""
    smallest = fuzzer.shrink(groups)
    verdict = fuzzer.judge(smallest)
    line = shlex.join(word for group in smallest for word in group)
    print(f"    {line}\n    {verdict.said}", flush=True)
    failures.parent.mkdir(parents=True, exist_ok=True)
    with failures.open("a") as file:
        file.write(f"- id: {name}\n  flags: >-\n    {line}\n  # {verdict.said}\n")


if __name__ == "__main__":
    main()
