"""Images of command lines, each rendered once in a run of the tests, whichever of its processes asks first."""

from __future__ import annotations

import dataclasses
from functools import cache

from cubragg.cli.build import Job, build
from cubragg.cli.parser import parse
from cubragg.errors import BackendUnavailable
from cubragg.plan.make_plan import make_plan
from cubragg.run.render import simulate
from cubragg.run.simulated_image import SimulatedImage
from support.shared_run import once


@cache
def rendered(arguments: tuple[str, ...], backend: str, precision: str = "double") -> tuple[Job, SimulatedImage]:
    """The job of a command line and its image.

    Raises
    ------
    BackendUnavailable
        If the backend cannot run here.
    """
    job = build(parse(arguments))
    plan = make_plan(job.experiment)

    def render() -> SimulatedImage:
        image = simulate(job.experiment, backend=backend, precision=precision, plan=plan)
        # Experiment and plan are quickly made, and hold tables that are larger than the image.
        return dataclasses.replace(image, plan=None, experiment=None)

    image = dataclasses.replace(once(("image", arguments, backend, precision), render), plan=plan,
                                experiment=job.experiment)
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
