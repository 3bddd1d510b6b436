"""Assemble the panels of a detector as they lie in space: the view from the crystal onto the detector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import Vector
from cubragg.experiment.panel import Panel, image_shape, panel_in_beam

#: An image is drawn as it is stored if no pixel is shifted by more than this by doing so [pixel].
_IN_PLACE = 0.5
#: Panels whose normals are within this cosine of their mean are seen along that mean, others along the beam.
_PARALLEL = 0.999
#: The vertical of the laboratory, and the direction that takes its place in a view along it.
_VERTICAL, _INSTEAD = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
#: A panel whose projection is smaller than this part of its area is seen edge-on.
_EDGE_ON = 1e-6


class _Window(NamedTuple):
    """Part of the stored image that is a panel [pixel]."""

    fast: int
    slow: int
    fast_pixels: int
    slow_pixels: int


class _Geometry(NamedTuple):
    """Projected panels: float64 [panel, origin | fast | slow, right | down] [mm] as bytes, which can be hashed."""

    projected: bytes
    windows: tuple[_Window, ...]

    def affine(self) -> np.ndarray:
        return np.frombuffer(self.projected).reshape(-1, 3, 2)


class _Map(NamedTuple):
    """Which stored pixels a picture shows.

    ``parts`` are, for each panel, the rows and columns of the picture that it spans and the stored pixel in the middle
    of each, int32, -1 outside the panel. ``rest`` are the stored pixels that these miss, and ``rest_at`` the pixel of
    the picture that contains the middle of each.
    """

    shape: tuple[int, int]
    parts: tuple[tuple[slice, slice, np.ndarray], ...]
    rest: np.ndarray
    rest_at: np.ndarray


class Assembly:
    """Panels projected onto a plane, and pictures of images on it.

    Panels that are nearly parallel are seen along their mean normal, others along the beam; right and down are as seen
    from the crystal, and the vertical of the laboratory (y) is up.

    Attributes
    ----------
    corner_mm, size_mm
        Position of the upper left corner of the picture, and its width and height, on the plane [mm].
    beam_mm
        Where the beam meets the plane of the panel in it [mm], right and down; ``None``: it does not.

    Parameters
    ----------
    panels, beam
        Placed panels and the direction of the beam, a unit vector.
    """

    def __init__(self, panels: Sequence[Panel], beam: Vector) -> None:
        vectors = np.array([(panel.origin_mm, panel.fast_mm, panel.slow_mm) for panel in panels])
        axes = _axes(panels, np.array(beam))
        affine = np.ascontiguousarray(vectors @ axes.T)
        windows = tuple(_Window(*panel.offset, panel.fast_pixels, panel.slow_pixels) for panel in panels)
        self._geometry = _Geometry(affine.tobytes(), windows)
        self._affine = affine
        self._stored = image_shape(panels)
        spot = panel_in_beam(panels, beam).spot(beam)
        self.beam_mm: tuple[float, float] | None = None
        if spot is not None and spot.distance_mm > 0.0:
            right, down = spot.distance_mm * axes @ np.array(beam)
            self.beam_mm = (float(right), float(down))
        corners = np.array([panel.corners_mm for panel in panels]).reshape(-1, 3) @ axes.T
        self.corner_mm = (float(corners[:, 0].min()), float(corners[:, 1].min()))
        self.size_mm = (float(np.ptp(corners[:, 0])), float(np.ptp(corners[:, 1])))
        self._pixel_mm = min(min(panel.pixel_mm) for panel in panels)

    def step_mm(self, longest_edge: int) -> float:
        """Edge of a pixel of the picture [mm]: that of the detector, or more for a picture of at most this edge."""
        return max(self._pixel_mm, max(self.size_mm) / longest_edge)

    def shown(self, image: np.ndarray, longest_edge: int) -> np.ndarray:
        """Return the picture of a stored image [slow, fast], float [down, right]; NaN between panels.

        A pixel of the picture is the largest stored pixel with its middle in it, or the one in its own middle: each
        stored pixel is visible.
        """
        image = np.ascontiguousarray(image, dtype=np.result_type(image, np.float32)).reshape(-1)
        found = _map(self._geometry, self.corner_mm, self.size_mm, self.step_mm(longest_edge), self._stored)
        picture = np.full(found.shape, np.nan, dtype=image.dtype)
        for rows, columns, stored in found.parts:
            part = picture[rows, columns]
            np.fmax(part, np.where(stored >= 0, image[stored], np.nan), out=part)
        np.fmax.at(picture.reshape(-1), found.rest_at, image[found.rest])
        return picture

    def near_beam(self, radius_mm: float) -> np.ndarray:
        """Return the stored pixels whose middle is within a radius of the beam on the plane, bool [slow, fast]."""
        near = np.zeros(self._stored, dtype=bool)
        if self.beam_mm is None:
            return near
        for (origin, fast, slow), window in zip(self._affine, self._geometry.windows, strict=True):
            u, v = np.arange(window.fast_pixels) + 0.5, (np.arange(window.slow_pixels) + 0.5)[:, None]
            right, down = (origin[axis] + u * fast[axis] + v * slow[axis] - self.beam_mm[axis] for axis in (0, 1))
            near[window.slow:window.slow + window.slow_pixels,
                 window.fast:window.fast + window.fast_pixels] = right**2 + down**2 <= radius_mm**2
        return near

    def position_mm(self, fast_px: np.ndarray, slow_px: np.ndarray) -> np.ndarray:
        """Return positions on the plane, float64 [n, right | down] [mm], of positions in the stored image [pixel].

        NaN for positions on no panel.
        """
        fast_px, slow_px = (np.atleast_1d(np.asarray(place, np.float64)) for place in (fast_px, slow_px))
        result = np.full((len(fast_px), 2), np.nan)
        for (origin, fast, slow), window in zip(self._affine, self._geometry.windows, strict=True):
            u, v = fast_px - window.fast, slow_px - window.slow
            on = (u >= 0.0) & (u <= window.fast_pixels) & (v >= 0.0) & (v <= window.slow_pixels)
            result[on] = origin + u[on, None] * fast + v[on, None] * slow
        return result


def assembly_of(panels: Sequence[Panel], beam: Vector, *, curved: bool = False) -> Assembly | None:
    """Return the assembly of a detector; ``None`` if its image as it is stored is the view onto it.

    That is the case for panels that are parts of one flat grid of square pixels, however it leans: it is seen along
    its normal. A curved detector is seen unrolled.
    """
    return None if curved or _is_grid(panels) else Assembly(panels, beam)


def panel_at(panels: Sequence[Panel], fast: int, slow: int) -> Panel | None:
    """Return the panel that contains a pixel of the stored image; ``None`` between panels."""
    for panel in panels:
        rows, columns = panel.window
        if rows.start <= slow < rows.stop and columns.start <= fast < columns.stop:
            return panel
    return None


def _is_grid(panels: Sequence[Panel]) -> bool:
    """Return whether the stored image is a flat grid of square pixels in space, to half a pixel."""
    first = panels[0]
    fast, slow = np.array(first.fast_mm), np.array(first.slow_mm)
    corner = np.array(first.origin_mm) - first.offset[0] * fast - first.offset[1] * slow
    edge, longest = float(np.linalg.norm(fast)), max(image_shape(panels))
    other = float(np.linalg.norm(slow))
    if max(abs(fast @ slow) / edge**2, abs(other / edge - 1.0)) * longest > _IN_PLACE:
        return False
    for panel in panels:
        for u, v in ((0, 0), (panel.fast_pixels, 0), (panel.fast_pixels, panel.slow_pixels), (0, panel.slow_pixels)):
            stored = corner + (panel.offset[0] + u) * fast + (panel.offset[1] + v) * slow
            if np.linalg.norm(stored - panel.place_mm(u, v)) > _IN_PLACE * edge:
                return False
    return True


def _axes(panels: Sequence[Panel], beam: np.ndarray) -> np.ndarray:
    """Unit vectors right and down of the picture, float64 [2, 3]."""
    normals = np.array([panel.normal for panel in panels])
    mean = normals.sum(axis=0)
    mean /= np.linalg.norm(mean) or 1.0
    along = mean if (normals @ mean).min() > _PARALLEL else beam
    up = _INSTEAD if abs(along @ _VERTICAL) > 0.9 else _VERTICAL
    up = up - (up @ along) * along
    up /= np.linalg.norm(up)
    return np.array([np.cross(along, up), -up])


@lru_cache(maxsize=2)
def _map(geometry: _Geometry, corner_mm: tuple[float, float], size_mm: tuple[float, float], step_mm: float,
         stored_shape: tuple[int, int]) -> _Map:
    columns, rows = (max(1, math.ceil(size / step_mm - 1e-6)) for size in size_mm)
    affine = geometry.affine() / step_mm
    affine[:, 0] -= np.array(corner_mm) / step_mm
    seen = np.zeros(stored_shape, dtype=bool)
    parts = []
    for part, window in zip(affine, geometry.windows, strict=True):
        found = _part(part, window, (rows, columns), stored_shape[1])
        if found is not None:
            parts.append(found)
            index = found[2]
            seen.reshape(-1)[index[index >= 0]] = True
    rest, rest_at = [], []
    for part, window in zip(affine, geometry.windows, strict=True):
        missed = ~seen[window.slow:window.slow + window.slow_pixels, window.fast:window.fast + window.fast_pixels]
        v, u = np.nonzero(missed)
        place = part[0] + (u[:, None] + 0.5) * part[1] + (v[:, None] + 0.5) * part[2]
        x, y = (np.clip(place[:, axis].astype(np.intp), 0, size - 1) for axis, size in ((0, columns), (1, rows)))
        rest.append(((v + window.slow) * stored_shape[1] + u + window.fast).astype(np.int32))
        rest_at.append(y * columns + x)
    return _Map((rows, columns), tuple(parts), np.concatenate(rest), np.concatenate(rest_at))


def _part(affine: np.ndarray, window: _Window, shape: tuple[int, int], stored_fast: int
          ) -> tuple[slice, slice, np.ndarray] | None:
    """Return rows and columns of the picture that a panel spans, and the stored pixel in the middle of each.

    ``None`` for a panel seen edge-on.
    """
    origin, fast, slow = affine
    area = fast[0] * slow[1] - fast[1] * slow[0]
    if abs(area) <= _EDGE_ON * np.linalg.norm(fast) * np.linalg.norm(slow):
        return None
    corners = origin + np.array([[0, 0], [window.fast_pixels, 0], [0, window.slow_pixels],
                                 [window.fast_pixels, window.slow_pixels]]) @ np.array([fast, slow])
    first = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(corners.max(axis=0)).astype(int), (shape[1], shape[0]))
    x = np.arange(first[0], last[0]) + 0.5 - origin[0]
    y = (np.arange(first[1], last[1]) + 0.5 - origin[1])[:, None]
    u = np.floor((x * slow[1] - y * slow[0]) / area).astype(np.int32)
    v = np.floor((y * fast[0] - x * fast[1]) / area).astype(np.int32)
    inside = (u >= 0) & (u < window.fast_pixels) & (v >= 0) & (v < window.slow_pixels)
    index = np.where(inside, (v + window.slow) * stored_fast + u + window.fast, -1).astype(np.int32)
    return slice(first[1], last[1]), slice(first[0], last[0]), index
