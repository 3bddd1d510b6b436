"""What `CudaEngine` renders: the images and panels in work, and how many rows of tiles a launch takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cubragg.device.stream_buffers import RowBand
from cubragg.engine.cuda.device_maps import DeviceEpilogue
from cubragg.engine.order_dependent import pixel_photons
from cubragg.engine.panel_loop import whole_image
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Target duration of a launch [s]; Ctrl-C takes effect and progress is reported between launches.
_LAUNCH_S = 0.2
#: Number of samples of the first launch: by the numbers of instructions, devices with a ratio of single to double
#: throughput of 64 need this time in double precision.
_FIRST_SAMPLES = 2e7
#: Largest growth from launch to launch: rows that are masked or culled take no time, but the next may be full.
_GROWTH = 8
#: Largest number of blocks of a launch along y.
MAX_GRID_ROWS = 65535


@dataclass
class Pace:
    """Number of rows of tiles of the next launch, adapted to measured times."""

    rows: int

    @classmethod
    def for_samples(cls, per_row: int) -> Pace:
        """Return the pace of the first launch, for rows of so many samples."""
        return cls(max(1, min(int(_FIRST_SAMPLES / max(per_row, 1)), MAX_GRID_ROWS)))

    def measured(self, rows: int, seconds: float) -> None:
        self.rows = max(1, min(int(rows * _LAUNCH_S / max(seconds, 1e-6)), _GROWTH * rows, MAX_GRID_ROWS))


@dataclass
class Target:
    """An image that is being rendered.

    Attributes
    ----------
    number, plan
        Index of the image in the batch, and its plan.
    pixels, ready
        NumPy array and ``None``; or, for an image that stays on the device, CuPy array and the event of its clearing.
    pinned
        Whether ``pixels`` are in page-locked memory, into which row bands are copied from the device.
    sources
        The table of sources on the device.
    cull_values
        Fields of the kernels' struct for culling.
    done, total
        Numbers of pixels of the row bands queued so far, and of all of them.
    stops
        The pixel at which interpolation stopped, by the number of the panel.
    timed
        Events before and after each launch.
    epilogue
        What makes counts of the photons; ``None``: ``pixels`` are photons.
    """

    number: int
    plan: Plan
    pixels: Any
    ready: Any
    total: int
    sources: Any
    cull_values: dict[str, Any]
    pinned: bool = False
    done: int = 0
    stops: dict[int, tuple[int, int]] = field(default_factory=dict)
    timed: list[tuple[Any, Any]] = field(default_factory=list)
    epilogue: DeviceEpilogue | None = None

    @property
    def dtype(self) -> Any:
        """Type of the pixels: of 4 bytes, so that both fit into the same buffers."""
        return np.float32 if self.epilogue is None else np.int32


@dataclass
class Job:
    """A panel that is being rendered.

    Attributes
    ----------
    bands
        Its row bands that are rendered on this device.
    completes
        Whether it is the last panel of the image.
    first, stop
        Roi indices of the order-dependent pixels.
    patches
        Slow, fast and photons of these pixels.
    """

    target: Target
    panel: PanelPlan
    params: np.ndarray
    bands: list[RowBand]
    completes: bool
    first: int | None
    stop: int | None
    patches: list[tuple[int, int, np.float32]] = field(default_factory=list)

    @property
    def direct(self) -> bool:
        """Whether the kernels write directly into the image, which stays on the device."""
        return self.target.ready is not None and whole_image(self.target.plan)

    def rows(self, band: RowBand) -> Any:
        """Return the part of the image that a row band covers, as a view."""
        rows, columns = self.panel.window
        return self.target.pixels[rows.start + band.first_row:rows.start + band.end_row, columns]


def render_order_dependent_pixels(job: Job) -> None:
    """Render the order-dependent pixels of a panel on the host, while the device computes the others."""
    for index in {job.first, job.stop} - {None}:
        assert index is not None
        fast, slow = job.panel.pixel_at(index)
        if not any(band.first_row <= slow < band.end_row for band in job.bands):
            continue
        job.patches.append((slow, fast, pixel_photons(job.target.plan, job.panel, index,
                                                      first_pass=index == job.first)))
