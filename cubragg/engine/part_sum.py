"""Renders plans that consist of parts: the image is the sum of the images of its parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np

from cubragg.engine.panel_loop import Progress
from cubragg.plan.plan import Plan


class _Renders(Protocol):
    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image."""

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan."""


def first_part(plan: Plan) -> Plan:
    """Return the plan that an engine is made for: the first part, or the plan itself."""
    return plan.parts[0] if plan.parts else plan


def render_plan(engine: _Renders, plan: Plan, threads: int | None, progress: Progress | None, *,
                prepared: bool = False) -> np.ndarray:
    """Render a plan: float32 [slow, fast], in photons.

    ``prepared``: the engine was made for the `first_part` of this plan, else for that of one that it may replace.
    """
    if not prepared:
        engine.set_plan(first_part(plan))
    if not plan.parts:
        return engine.render(threads, progress)
    total = np.zeros(plan.shape)
    for number, part in enumerate(plan.parts):
        if number > 0:
            engine.set_plan(part)
        total += engine.render(threads, of_part(progress, number, len(plan.parts)))
    return total.astype(np.float32)


def render_plans_on_gpu(engine: Any, plans: Iterable[Plan], on_device: bool, progress: Progress | None
                        ) -> Iterator[Any]:
    """Render plans on a `CudaEngine`, which copies an image to the host while the next is computed.

    Yields
    ------
    float32 [slow, fast] in photons, NumPy or, with ``on_device``, CuPy arrays.
    """
    counts: deque[int] = deque()

    def flattened() -> Iterator[Plan]:
        for plan in plans:
            parts = plan.parts or (plan,)
            counts.append(len(parts))
            yield from parts

    total: Any = None
    done = 0
    for image in engine.images(flattened(), on_device=on_device, progress=progress):
        total = image if counts[0] == 1 else image.astype(np.float64) + (0.0 if total is None else total)
        done += 1
        if done == counts[0]:
            yield total.astype(np.float32) if counts.popleft() > 1 else total
            total, done = None, 0


def of_part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Return a callback for one of several parts, which reports progress of all of them."""
    return None if progress is None else partial(_report, progress, number, parts)


def _report(progress: Progress, number: int, parts: int, done: int, total: int) -> None:
    progress(number * total + done, parts * total)
