"""Engine of the backend ``cpu``: the kernels of `kernels/`, compiled by the C++ compiler of the machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cubragg.device.host_build import available_cores
from cubragg.engine import kernel_params
from cubragg.engine.culling import Culling
from cubragg.engine.host.launch import engine_text
from cubragg.engine.host.panel_launches import PanelLaunches
from cubragg.engine.order_dependent import first_index, pixel_photons
from cubragg.engine.panel_loop import Progress, render_panels, row_bands
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


class PanelEngine:
    """Renders a plan with host-compiled kernels; implements `select.Engine`.

    After `render`, ``interpolation_stopped_at`` is the (fast, slow) pixel at which interpolation stopped, or ``None``.

    Parameters
    ----------
    plan
        From `make_plan`.
    precision
        ``double``, ``mixed`` (Miller indices in double, lattice factors in single) or
        ``single`` (double at tile centres only).
    cull, culling
        Fraction of the peak below which terms may be skipped (``None``: every term is evaluated); and a given
        culling, for all panels; ``None``: selected by `select_culling`. The attribute ``culling`` is the one in use.

    Raises
    ------
    BackendUnavailable
        If there is no C++ compiler.
    KernelBuildError
        If the kernels do not compile.
    """

    #: Entry point that renders a panel.
    entry = "render"

    def __init__(self, plan: Plan, precision: str = "double", cull: float | None = 0.0,
                 culling: Culling | None = None) -> None:
        self._launches = PanelLaunches(plan, self.entry, self.source_text(plan.crystal_shape), precision, cull, culling)
        self._plan, self.culling = plan, self._launches.culling
        self.interpolation_stopped_at: tuple[int, int] | None = None

    @staticmethod
    def source_text(shape: str) -> str:
        """Return the source text with the entry point, for a shape of crystal."""
        return engine_text(shape)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._launches.set_plan(plan)
        self._plan, self.culling = plan, self._launches.culling

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons."""
        self._launches.kernel.threads = threads or available_cores()
        image, self.interpolation_stopped_at = render_panels(self._plan, self._render_panel, progress)
        return image

    def _render_panel(self, panel: PanelPlan, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Render a panel: its image, and the pixel at which interpolation stopped, or ``None``."""
        image = np.zeros(panel.shape, dtype=np.float32)
        first = first_index(self._plan, panel)
        stop = self._launches.stop_index(panel, first)
        self._run(panel, first, stop, image, progress)
        for index in {first, stop} - {None}:
            assert index is not None
            fast, slow = panel.pixel_at(index)
            image[slow, fast] = self._pixel_photons(panel, index, first)
        return image, None if stop is None else panel.pixel_at(stop)

    def _pixel_photons(self, panel: PanelPlan, index: int, first: int | None) -> np.float32:
        """Return the photons of an order-dependent pixel, by its roi index; ``first`` is that of the first one."""
        return pixel_photons(self._plan, panel, index, first_pass=index == first)

    def _run(self, panel: PanelPlan, first: int | None, stop: int | None, image: np.ndarray, progress: Progress | None
             ) -> None:
        """Run the entry point over a panel; the pixels ``first`` and ``stop`` (roi indices) are rendered afterwards."""
        self._launches.run(panel, stop, kernel_params.mask_of(panel), (image,), progress)


class HostEngine(PanelEngine):
    """Renders images, whole or in bands of rows; arguments as of `PanelEngine`."""

    def bands(self, threads: int | None, pixels: int) -> Iterator[tuple[int, np.ndarray]]:
        """Render the image of a single panel, in physical semantics, in bands; see `select.BandedEngine`."""
        (panel,), height = self._plan.panels, self._launches.tile_rows
        self._launches.kernel.threads = threads or available_cores()
        _, end = kernel_params.grid_of(panel, self.culling.tile)
        for tiles, rows, image in row_bands(panel, height, end, pixels):
            self._launches.run(panel, None, kernel_params.mask_of(panel, rows), (image,), None, tiles)
            yield rows.start, image
