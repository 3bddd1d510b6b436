"""The arrays of a plan that all its images share, in the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cubragg.device.device_memory import DeviceMemory
from cubragg.engine import kernel_params
from cubragg.engine.culling import cull_axes_of
from cubragg.engine.variant import Variant
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Fraction of the free device memory that is used, and largest size of the buffers of a row band [bytes].
_MEMORY_FRACTION = 0.8
_BAND_BYTES = 64 * 2**20


class PlanArrays:
    """F2 grid, its upper bounds and sources on the current device.

    An F2 grid that does not fit into device memory stays in pinned host memory, which the kernels read across the bus
    (zero-copy, unified addressing): rendering is slower, but possible.

    Attributes
    ----------
    f2_grid, f2_bounds, f2_grid_on_host
        The grid, its bounds for culling, and whether the grid stays in host memory.

    Parameters
    ----------
    plan, variant
        The plan, and the options of its kernels.
    memory, memory_bytes
        The device's memory, and how much of it may be used; a fraction of what is free if ``None``.
    f2_bounds
        Returns the bounds; called with culling only.
    """

    def __init__(self, cupy: Any, plan: Plan, variant: Variant, memory: DeviceMemory, memory_bytes: int | None,
                 f2_bounds: Callable[[], np.ndarray]) -> None:
        self._cupy, self._plan, self._variant, self._memory = cupy, plan, variant, memory
        f2_grid, sources = kernel_params.f2_grid_of(plan, variant.precision), kernel_params.sources_of(plan)
        budget = int(_MEMORY_FRACTION * memory.free_bytes()) if memory_bytes is None else memory_bytes
        bounds = f2_bounds() if variant.culled else np.zeros(1, dtype=np.float32)
        budget -= sources.nbytes + bounds.nbytes
        budget -= 2 * (kernel_params.cell_axes_of(plan).nbytes + self.cull_axes(plan).nbytes)
        widest = max((panel.shape[1] for panel in plan.panels), default=0)
        self.f2_grid_on_host = f2_grid.nbytes > budget - 2 * self._pixel_bytes * widest
        self.f2_grid: Any = memory.mapped(f2_grid) if self.f2_grid_on_host else memory.uploaded(f2_grid)
        self._sources, self.f2_bounds = memory.uploaded(sources), memory.uploaded(bounds)
        if not self.f2_grid_on_host:
            budget -= f2_grid.nbytes
        self._band_bytes = min(budget // 2, _BAND_BYTES)
        # The streams of the buffers do not wait for the current stream.
        cupy.cuda.get_current_stream().synchronize()

    @property
    def masked(self) -> bool:
        """Whether any panel has a mask."""
        return any(panel.mask is not None for panel in self._plan.panels)

    @property
    def _pixel_bytes(self) -> int:
        """Bytes of a column of pixels, and of their mask, as high as a tile."""
        return self._variant.tile[1] * (np.dtype(np.float32).itemsize + self.masked)

    def most_rows(self, panel: PanelPlan) -> int:
        """Return the largest number of rows of tiles in a row band of a panel; two bands fit into the memory."""
        return max(1, self._band_bytes // (self._pixel_bytes * panel.shape[1]))

    def cull_axes(self, plan: Plan) -> np.ndarray:
        """Return the cell axes and duals of a plan for culling; [1, 1] without culling."""
        return cull_axes_of(plan) if self._variant.culled else np.zeros((1, 1), dtype=np.float32)

    def sources_of(self, plan: Plan) -> Any:
        """Return the table of sources on the device; it is uploaded again for a plan with other rays."""
        if plan.sources is self._plan.sources:
            return self._sources
        sources = self._memory.uploaded(kernel_params.sources_of(plan))
        self._cupy.cuda.get_current_stream().synchronize()
        return sources
