"""Engine of the method analytic with kernels compiled for the CPU. `specs/analytic.md`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.device.host_build import HostKernel
from cubragg.device.kernel_source import host_text
from cubragg.engine import kernel_params
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.analytic.water_map import add_water
from cubragg.engine.culling import Culling
from cubragg.engine.host.host_engine import available_cores
from cubragg.engine.panel_loop import Progress, render_panels, row_bands
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


class AnalyticHostEngine:
    """Renders a plan in closed form with host-compiled kernels; implements `select.Engine`.

    Parameters
    ----------
    plan
        From `make_plan`.
    precision
        ``double`` or ``single``: 1e-5 of the maximum of each spot.
    tile
        Tile size (fast, slow) [pixel]; no bit depends on it.

    Raises
    ------
    ConfigError
        As `SpotList`, and for another precision.
    BackendUnavailable, KernelBuildError
        If there is no C++ compiler, or the kernels do not compile.
    """

    def __init__(self, plan: Plan, precision: str = "double",
                 tile: tuple[int, int] = spot_kernel.HOST_TILE) -> None:
        spot_kernel.check_precision(precision)
        self._precision, self._tile = precision, tile
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.culling = Culling(tile=tile, why="spots in closed form, each in its box")
        self.set_plan(plan)

        def check(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
            spot_kernel.check_arguments(precision, tile, grid, args)

        text = host_text("spot_entries.cpp", Path(__file__).parent, plan.crystal_shape)
        self._kernel = HostKernel(text, spot_kernel.defines(precision, tile), "render_spots", check)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        self._plan, self._spots = plan, SpotList(plan)

    @property
    def spots(self) -> list[PanelSpots]:
        """The spots on each panel."""
        return self._spots.panels

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons."""
        self._kernel.threads = threads or available_cores()
        records = {spots.panel.number: spots.records for spots in self._spots.on_panels(self._kernel.threads)}
        return render_panels(self._plan, lambda panel, report: self._panel(panel, records[panel.number], report),
                             progress)[0]

    def bands(self, threads: int | None, pixels: int) -> Iterator[tuple[int, np.ndarray]]:
        """Render the image of a single panel, without water of nanoBragg's, in bands; see `select.BandedEngine`."""
        self._kernel.threads = threads or available_cores()
        (panel,), columns = self._plan.panels, kernel_params.grid_of(self._plan.panels[0], self._tile)[0]
        records = next(spots.records for spots in self._spots.on_panels(self._kernel.threads)
                       if spots.panel.number == panel.number)
        tiles_of = spot_kernel.tiles_of(records, panel, self._tile)
        spots = self._bytes(records)
        end = kernel_params.grid_of(panel, self._tile)[1]
        for tiles, rows, image in row_bands(panel, self._tile[1], end, pixels):
            first = tiles_of.first[tiles.start * columns:tiles.stop * columns + 1]
            if first[0] < first[-1]:
                part = panel._replace(roi=(*panel.roi[:2], rows.start, rows.stop - 1))
                params = spot_kernel.params_of(self._plan, part)
                params["first_row"] = rows.start
                self._kernel((columns, len(tiles)), (self._tile[0] * self._tile[1],), (
                    params, spots, first, tiles_of.order, kernel_params.mask_of(panel, rows), image))
            yield rows.start, image

    def _bytes(self, records: np.ndarray) -> np.ndarray:
        """Return records in the precision of the kernels, as bytes."""
        return records.astype(record(spot_kernel.real_type(self._precision)), copy=False).view(np.uint8)

    def _panel(self, panel: PanelPlan, records: np.ndarray, progress: Progress | None) -> tuple[np.ndarray, None]:
        """Render a panel."""
        image = np.zeros(panel.shape, dtype=np.float32)
        if len(records):
            tiles = spot_kernel.tiles_of(records, panel, self._tile)
            spots = self._bytes(records)
            self._kernel(kernel_params.grid_of(panel, self._tile), (self._tile[0] * self._tile[1],), (
                spot_kernel.params_of(self._plan, panel), spots, *tiles, kernel_params.mask_of(panel), image))
        add_water(self._plan, panel, image)
        if progress is not None:
            progress(panel.pixel_count, panel.pixel_count)
        return image, None
