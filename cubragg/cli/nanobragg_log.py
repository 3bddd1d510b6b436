"""``--log nanobragg``: print on stdout what nanoBragg.c prints of the same run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg.cli.flags import DEFAULT_NAMES

if TYPE_CHECKING:
    from cubragg.cli.build import Job, Output, Settings
    from cubragg.cli.run_figures import ImageFigures
    from cubragg.plan.plan import Plan

_PROGRAM = "nanoBragg"


def wanted(settings: Settings) -> bool:
    """Return whether the C program's text is printed: with ``--log nanobragg``, or if this program has its name."""
    named = Path(sys.argv[0]).name == _PROGRAM
    return not settings.quiet and (settings.log or ("nanobragg" if named else "summary")) == "nanobragg"


def before(job: Job, plan: Plan, targets: Mapping[str, Output]) -> str:
    """Return the text before rendering."""
    from cubragg.parity.printout import lines_before

    factors, count = _structure_factors(job, targets)
    seed = job.settings.seed if "noise" in targets else None
    mask, image = (job.replay.get(f"input.{kind}") for kind in ("mask", "image"))
    return "\n".join(lines_before(job.experiment, plan, images=[path for path in (mask, image) if path is not None],
                                  matrix=job.replay.get("input.matrix"), factors=factors, reflections=count, mask=mask,
                                  seed=seed))


def _structure_factors(job: Job, targets: Mapping[str, Output]) -> tuple[Iterator[str], int]:
    """Return the lines about reading structure factors, and the number of reflections."""
    from cubragg.io.files.text import data_lines, read_text
    from cubragg.io.reflections.read import list_kind
    from cubragg.parity.printout import lines_of_list

    found, path = job.experiment.structure_factors, job.replay.get("input.hkl")
    if found.grid is None:
        return iter(()), 0
    if not job.from_hkl:
        return iter((f"reading Fs from {job.replay.get('output.dump', DEFAULT_NAMES['dump'])}",)), found.grid.size
    dump = targets["dump"].path if "dump" in targets else None
    count = sum(1 for _ in data_lines(read_text(path))) if list_kind(path) == "text" else found.grid.size
    return lines_of_list(path, found.default_F, dump), count


def after(plan: Plan, figures: ImageFigures, targets: Mapping[str, Output]) -> str:
    """Return the text after rendering an image, whose files are ``targets``."""
    from cubragg.parity.printout import lines_after, solid_angle_line

    statistics, conversion = figures.statistics, figures.conversion
    noise = None if conversion.noise_photons is None else (conversion.noise_photons, conversion.overloads)
    scales = {"int": conversion.int_scale, "pgm": conversion.pgm_scale or 0.0}
    files = {kind: targets[kind].path for kind in ("float", "int", "pgm", "noise") if kind in targets}
    slow, fast = plan.shape
    lines = lines_after(statistics[:3], statistics[3:], scales, files, slow * fast, noise)
    return "\n".join(["", solid_angle_line(plan), *lines])
