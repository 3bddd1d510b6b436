"""Renders one image on several GPUs, each of which renders a share of its row bands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from cubragg.detect.epilogue import Epilogue
from cubragg.engine.cuda.analytic_cuda_engine import AnalyticCudaEngine
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.cuda.device_threads import together
from cubragg.engine.cuda.row_bands import Share
from cubragg.engine.panel_loop import Progress
from cubragg.plan.plan import Plan


class SplitCudaEngine:
    """Renders a plan on several GPUs; implements `select.Engine`.

    The row bands of all devices have the tiles of an image of one device, so that devices of one model render the bits
    of one of them.

    Parameters
    ----------
    plan, precision, cull
        As for `CudaEngine` and `AnalyticCudaEngine`; the tile and culling of the first device are those of all.
    devices
        Numbers of the devices.

    Raises
    ------
    ConfigError
        As `AnalyticCudaEngine`.
    BackendUnavailable, KernelBuildError
        As `CudaEngine`; the message has the number of the device.
    """

    def __init__(self, plan: Plan, precision: str, devices: Sequence[int], cull: float | None = 0.0) -> None:
        shares = [(device, Share(number, len(devices))) for number, device in enumerate(devices)]
        self.engines: Sequence[CudaEngine | AnalyticCudaEngine]
        if plan.method == "analytic":
            self.engines = [AnalyticCudaEngine(plan, precision, *share) for share in shares]
        else:
            first = CudaEngine(plan, precision, devices[0], cull=cull, share=shares[0][1])
            self.engines = [first, *(CudaEngine(plan, precision, device, culling=first.culling, share=share)
                                     for device, share in shares[1:])]
        self.culling = self.engines[0].culling
        self._plan = plan

    @property
    def interpolation_stopped_at(self) -> tuple[int, int] | None:
        """The (fast, slow) pixel at which interpolation stopped on the first panel with one, or ``None``."""
        stops = {panel: pixel for engine in self.engines if isinstance(engine, CudaEngine)
                 for panel, pixel in engine.panel_stops.items()}
        return stops[min(stops)] if stops else None

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._plan = plan
        for engine in self.engines:
            engine.set_plan(plan)

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons; ``threads`` is ignored."""
        image = np.zeros(self._plan.shape, dtype=np.float32)
        self._list_spots()
        calls = [partial(_render_into, engine, image) for engine in self.engines]
        together(calls, progress, sum(panel.pixel_count for panel in self._plan.panels))
        return image

    def render_counts(self, epilogue: Epilogue, progress: Progress | None = None) -> np.ndarray | None:
        """Render the counts of the image, int32 [slow, fast]; see `select.CountingEngine`."""
        counts, complete = np.zeros(self._plan.shape, dtype=np.int32), [False] * len(self.engines)
        self._list_spots()

        def render(number: int, report: Progress) -> None:
            complete[number] = self.engines[number].render_counts(epilogue, report, counts) is not None

        together([partial(render, number) for number in range(len(self.engines))], progress,
                 sum(panel.pixel_count for panel in self._plan.panels))
        return counts if all(complete) else None

    def _list_spots(self) -> None:
        """Compute spots once, before threads of all devices use them."""
        first = self.engines[0]
        if isinstance(first, AnalyticCudaEngine):
            first.list_spots()


def _render_into(engine: CudaEngine | AnalyticCudaEngine, image: np.ndarray, progress: Progress) -> np.ndarray:
    return engine.render(progress=progress, into=image)
