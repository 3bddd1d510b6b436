"""Images of command lines, each rendered once in a run of the tests, whichever of its processes asks first."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import pickle
from functools import cache
from pathlib import Path

from cubragg.cli.build import Job, build
from cubragg.cli.parser import parse
from cubragg.errors import BackendUnavailable
from cubragg.plan.plan import make_plan
from cubragg.run.image import Image
from cubragg.run.render import simulate
from support import RENDERS_FOLDER


@cache
def rendered(arguments: tuple[str, ...], backend: str, precision: str = "double") -> tuple[Job, Image]:
    """The job of a command line and its image.

    Raises
    ------
    BackendUnavailable
        If the backend cannot run here.
    """
    job = build(parse(arguments))
    plan = make_plan(job.experiment)
    folder = os.environ.get(RENDERS_FOLDER)
    if folder is None:
        return job, simulate(job.experiment, backend=backend, precision=precision, plan=plan)
    path = Path(folder) / f"{hashlib.sha256(repr((arguments, backend, precision)).encode()).hexdigest()}.pickle"
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            image = dataclasses.replace(pickle.loads(path.read_bytes()), plan=plan, experiment=job.experiment)
        else:
            image = simulate(job.experiment, backend=backend, precision=precision, plan=plan)
            # Experiment and plan are quickly made, and hold tables that are larger than the image.
            whole = path.with_suffix(".part")
            whole.write_bytes(pickle.dumps(dataclasses.replace(image, plan=None, experiment=None)))
            whole.rename(path)
    image.photons.flags.writeable = False
    return job, image


@cache
def exact_backend() -> str:
    """The fastest backend of this machine's CPU; in double precision all have the same bits."""
    from cubragg.device.host_build import find_compiler

    try:
        find_compiler()
    except BackendUnavailable:
        return "numpy"
    return "cpu"
