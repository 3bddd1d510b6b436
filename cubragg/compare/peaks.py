"""Finds the peaks of an image and matches them with the peaks of another image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Neighbours that differ by less than this, relatively, belong to one peak: pixels that are equal in one
#: program can differ by a last bit in the other.
_TIE = 1e-5
#: Candidate pixels that are examined per requested peak; a noisy image has a local maximum every few pixels.
_CANDIDATES = 20
_NEIGHBOURS = [(slow, fast) for slow in (-1, 0, 1) for fast in (-1, 0, 1) if (slow, fast) != (0, 0)]


@dataclass(frozen=True)
class Peak:
    """A local maximum with its ``value``, at the mean position (``fast``, ``slow``) [pixel] of its pixels."""

    fast: float
    slow: float
    value: float


@dataclass(frozen=True)
class PeakPair:
    """Matched peaks of two images, and their ``distance`` [pixel]."""

    a: Peak
    b: Peak
    distance: float


def find_peaks(image: np.ndarray, *, fraction: float = 0.05, most: int = 200) -> list[Peak]:
    """Find local maxima among eight neighbours, strongest first.

    Parameters
    ----------
    image
        float64 [slow, fast], finite.
    fraction
        Smallest height of a peak above the median, relative to the maximum above the median.
    most
        Number of peaks to return, the strongest ones; more if several are as strong as the last of them.
    """
    level, top = float(np.median(image)), float(image.max())
    if not top > level:
        return []
    threshold = level + fraction * (top - level)
    around = _highest_neighbour(image)
    candidate = (image >= around - _TIE * np.abs(around)) & (image >= threshold)
    slow, fast = np.nonzero(candidate)
    values = image[slow, fast]
    if len(values) > _CANDIDATES * most:
        keep = values >= np.partition(values, -_CANDIDATES * most)[-_CANDIDATES * most]
        slow, fast = slow[keep], fast[keep]
    peaks = []
    for members in _connected(list(zip(slow.tolist(), fast.tolist(), strict=True))):
        rows, columns = np.array(members).T
        height = image[rows, columns]
        # Pixels on a gentle flank also count as equal, but have a higher neighbour outside.
        if around[rows, columns].max() <= height.max():
            peaks.append(Peak(float(columns.mean()), float(rows.mean()), float(height.max())))
    peaks.sort(key=lambda peak: (-peak.value, peak.slow, peak.fast))
    if len(peaks) > most:
        last = peaks[most - 1].value
        peaks = [peak for peak in peaks if peak.value >= last - _TIE * abs(last)]
    return peaks


def _highest_neighbour(image: np.ndarray) -> np.ndarray:
    """Maximum of the eight neighbours [slow, fast]; -inf if there are none."""
    padded = np.pad(image, 1, constant_values=-np.inf)
    slow, fast = image.shape
    around = np.full(image.shape, -np.inf)
    for down, right in _NEIGHBOURS:
        np.maximum(around, padded[1 + down:1 + down + slow, 1 + right:1 + right + fast], out=around)
    return around


def _connected(pixels: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Connected groups of pixels (slow, fast), with eight neighbours."""
    waiting, groups = set(pixels), []
    for pixel in pixels:
        if pixel not in waiting:
            continue
        waiting.discard(pixel)
        group = [pixel]
        for row, column in group:  # the list grows during the loop
            for down, right in _NEIGHBOURS:
                near = row + down, column + right
                if near in waiting:
                    waiting.discard(near)
                    group.append(near)
        groups.append(group)
    return groups


def match_peaks(a: Sequence[Peak], b: Sequence[Peak], *, radius: float = 5.0) -> list[PeakPair]:
    """Match peaks: as many pairs within ``radius`` [pixel] as possible, with the smallest total distance.

    Peaks within reach of one another form small groups, each of which is solved by `assign`.
    The pairs are in the order of ``a``.
    """
    if not a or not b:
        return []
    position_a, position_b = (np.array([(peak.fast, peak.slow) for peak in peaks]) for peaks in (a, b))
    apart = np.hypot(position_a[:, None, 0] - position_b[None, :, 0], position_a[:, None, 1] - position_b[None, :, 1])
    near = apart <= radius
    pairs = []
    waiting = set(range(len(a)))
    while waiting:
        rows = {waiting.pop()}
        columns: set[int] = set()
        grown = True
        while grown:
            columns |= set(np.flatnonzero(near[sorted(rows)].any(axis=0)).tolist())
            more = set(np.flatnonzero(near[:, sorted(columns)].any(axis=1)).tolist()) | rows
            grown = len(more) > len(rows)
            rows = more
        waiting -= rows
        if not columns:
            continue
        block = np.ix_(sorted(rows), sorted(columns))
        # One forbidden pair costs more than all allowed ones together, so that the number of pairs is maximized first.
        forbidden = 1.0 + radius * (len(rows) + len(columns))
        cost = np.where(near[block], apart[block], forbidden)
        pairs += [(sorted(rows)[i], sorted(columns)[j]) for i, j in assign(cost) if cost[i, j] < forbidden]
    return [PeakPair(a[i], b[j], float(apart[i, j])) for i, j in sorted(pairs)]


def assign(cost: np.ndarray) -> list[tuple[int, int]]:
    """Assign rows to columns with the least total ``cost`` [rows, columns]; all of the shorter side are assigned.

    Shortest augmenting paths with potentials: Jonker and Volgenant, Computing 38 (1987) 325.
    """
    rows, columns = cost.shape
    if rows > columns:
        return sorted((i, j) for j, i in assign(cost.T))
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for start in range(rows):
        shortest, via = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns, dtype=bool)
        row, reached, column = start, 0.0, -1
        while row >= 0:
            ahead = reached + cost[row] - row_price[row] - column_price
            better = ~done & (ahead < shortest)
            shortest[better], via[better] = ahead[better], column
            column = int(np.where(done, np.inf, shortest).argmin())
            reached = float(shortest[column])
            done[column] = True
            row = int(row_of[column])
        row_price[start] += reached
        seen = done & (row_of >= 0)
        row_price[row_of[seen]] += reached - shortest[seen]
        column_price[done] -= reached - shortest[done]
        while column >= 0:
            before = int(via[column])
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0)
