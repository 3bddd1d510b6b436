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
from cubragg.run.render import Image, render
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
        return job, render(plan, backend, precision=precision)
    path = Path(folder) / f"{hashlib.sha256(repr((arguments, backend, precision)).encode()).hexdigest()}.pickle"
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            image = dataclasses.replace(pickle.loads(path.read_bytes()), plan=plan)
        else:
            image = render(plan, backend, precision=precision)
            # The plan is quickly made, and holds tables that are larger than the image.
            whole = path.with_suffix(".part")
            whole.write_bytes(pickle.dumps(dataclasses.replace(image, plan=None)))
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
