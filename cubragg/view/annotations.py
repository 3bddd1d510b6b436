"""Draw marks over an image: rings, beam centre, spots, the frame of a close-up, and labels that do not overlap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Resolutions of rings, times 10: these numbers [A] times a power of ten.
_ROUND = (*range(10, 30), *range(30, 100, 5))
_RINGS = 5
#: Points along the longer edge of the grid on which rings are traced.
_TRACED = 600
_MOST_LABELS = 400
#: A close-up may cover a corner with up to this factor more signal than the emptiest one.
_MOST_COVERED = 1.3


class Ink(NamedTuple):
    """Colours of the marks, and of the halo around them for contrast."""

    ring: str
    beam: str
    spot: str
    frame: str
    halo: str


_ON_LIGHT = Ink("#1565a8", "#c62828", "#d9480f", "#2b7a3d", "#ffffff")
_ON_DARK = Ink("#7cc7ff", "#ff6b6b", "#ffffff", "#8ff0a4", "#000000")


class Box(NamedTuple):
    """Rectangle on the picture [pixel of the picture], relative to the top left corner of the image."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Return whether the two overlap."""
        return (self.left < other.right and other.left < self.right
                and self.top < other.bottom and other.top < self.bottom)


class Paper:
    """Drawn image, and the areas of it that marks and labels occupy.

    Parameters
    ----------
    axes
        Axes of the image, in its pixels.
    shape_px, size_px
        Fast and slow size of the image [pixel]; width and height of the drawing [pixel of the picture].
    is_light
        Whether the background of the image is light.
    """

    def __init__(self, axes: Axes, shape_px: tuple[int, int], size_px: tuple[int, int], is_light: bool) -> None:
        self.axes, self.shape_px, self.size_px = axes, shape_px, size_px
        self.ink = _ON_LIGHT if is_light else _ON_DARK
        self._per_pixel = (size_px[0] / shape_px[0], size_px[1] / shape_px[1])
        self._occupied: list[Box] = []

    def _claim(self, box: Box) -> bool:
        """Occupy an area if it is inside the image and free; return whether it was."""
        width, height = self.size_px
        inside = box.left >= 2 and box.top >= 2 and box.right <= width - 2 and box.bottom <= height - 2
        if not inside or any(box.overlaps(other) for other in self._occupied):
            return False
        self._occupied.append(box)
        return True

    def _halo(self, width: float) -> list[Any]:
        from matplotlib.patheffects import withStroke

        return [withStroke(linewidth=width, foreground=self.ink.halo)]

    def _text(self, fast: float, slow: float, text: str, colour: str, size: float, **settings: Any) -> None:
        self.axes.text(fast, slow, text, color=colour, fontsize=size, path_effects=self._halo(3.0),
                       clip_on=True, **settings)

    def beam(self, fast: float, slow: float) -> None:
        """Draw a cross with an open middle at the beam centre, if that is on the image."""
        if not (0.0 <= fast <= self.shape_px[0] and 0.0 <= slow <= self.shape_px[1]):
            return
        x, y = fast * self._per_pixel[0], slow * self._per_pixel[1]
        self._occupied.append(Box(x - 16, y - 16, x + 16, y + 16))
        for inner, outer in ((5, 15), (-15, -5)):
            for step in ((1, 0), (0, 1)):
                ends = [(fast + reach * step[0] / self._per_pixel[0], slow + reach * step[1] / self._per_pixel[1])
                        for reach in (inner, outer)]
                self.axes.plot(*zip(*ends, strict=True), color=self.ink.beam, linewidth=1.8,
                               path_effects=self._halo(3.6), scalex=False, scaley=False)

    def scale_bar(self, pixel_mm: float) -> None:
        """Draw a bar of a round length [mm], about a sixth of the width, in the lower left corner if that is free."""
        most = self.shape_px[0] * pixel_mm / 6.0
        power = 10.0 ** math.floor(math.log10(most))
        length_mm = max(number * power for number in (1.0, 2.0, 5.0) if number * power <= most)
        text = f"{length_mm:g} mm"
        width = length_mm / pixel_mm * self._per_pixel[0]
        half, low = max(width / 2.0, 5.0 * len(text)), self.size_px[1] - 14.0
        if not self._claim(Box(10.0, low - 28.0, 22.0 + 2.0 * half, low + 10.0)):
            return
        middle = 16.0 + half
        ends = [(middle + side * width / 2.0) / self._per_pixel[0] for side in (-1.0, 1.0)]
        self.axes.plot(ends, [low / self._per_pixel[1]] * 2, color=self.ink.frame, linewidth=3.0,
                       path_effects=self._halo(6.0), scalex=False, scaley=False, solid_capstyle="butt")
        self._text(middle / self._per_pixel[0], (low - 14.0) / self._per_pixel[1], text, self.ink.frame, 11,
                   ha="center", va="center")

    def rings(self, resolution_A: np.ndarray, beam_px: tuple[float, float] | None) -> None:
        """Draw lines of equal d with labels, at about equal distances from the centre to the corners."""
        step = -(-max(resolution_A.shape) // _TRACED)
        inverse = 1.0 / resolution_A[::step, ::step]  # nearly linear in the pixels, as contours need
        slow, fast = ((step * np.arange(size) + 0.5) for size in inverse.shape)
        if min(inverse.shape) < 2 or not np.isfinite(inverse).any():
            return
        spacings = ring_resolutions(float(np.nanmin(inverse)), float(np.nanmax(inverse)))
        centre = beam_px or (self.shape_px[0] / 2.0, self.shape_px[1] / 2.0)
        for spacing in spacings:
            drawn = self.axes.contour(fast, slow, np.ma.masked_invalid(inverse), [1.0 / spacing],
                                      colors=[self.ink.ring], linewidths=1.1, alpha=0.85)
            segments = [line for line in drawn.allsegs[0] if len(line)]
            if segments:
                self._ring_label(np.concatenate(segments), centre, f"{spacing:g} Å")

    def _ring_label(self, line: np.ndarray, centre: tuple[float, float], text: str) -> None:
        """Draw a label at the free point of the line nearest to the direction of the upper right corner."""
        angle = np.arctan2(line[:, 1] - centre[1], line[:, 0] - centre[0])
        away = np.abs(np.angle(np.exp(1j * (angle + math.pi / 4.0))))
        half_width, half_height = 5.0 * len(text) + 3.0, 11.0
        for index in np.argsort(away)[::max(1, len(line) // 200)]:
            fast, slow = line[index]
            x, y = fast * self._per_pixel[0], slow * self._per_pixel[1]
            if self._claim(Box(x - half_width, y - half_height, x + half_width, y + half_height)):
                self._text(fast, slow, text, self.ink.ring, 12, ha="center", va="center")
                return

    def spots(self, fast_px: np.ndarray, slow_px: np.ndarray, hkl: np.ndarray | None) -> None:
        """Draw circles around spots and, where they are known and there is room, their indices."""
        fast_px, slow_px = np.asarray(fast_px, dtype=np.float64), np.asarray(slow_px, dtype=np.float64)
        inside = ((fast_px >= 0.0) & (fast_px <= self.shape_px[0]) & (slow_px >= 0.0) & (slow_px <= self.shape_px[1]))
        fast_px, slow_px = fast_px[inside], slow_px[inside]
        radius = 7.0 if len(fast_px) < 300 else 4.5
        self.axes.scatter(fast_px, slow_px, s=(1.44 * radius) ** 2, facecolors="none", edgecolors=self.ink.spot,
                          linewidths=0.9, alpha=0.9)
        x, y = fast_px * self._per_pixel[0], slow_px * self._per_pixel[1]
        self._occupied += [Box(u - radius, v - radius, u + radius, v + radius)
                           for u, v in zip(x, y, strict=True)][:10 * _MOST_LABELS]
        if hkl is None:
            return
        for u, v, index in list(zip(x, y, np.asarray(hkl)[inside], strict=True))[:_MOST_LABELS]:
            text = " ".join(str(int(number)).replace("-", "\N{MINUS SIGN}") for number in index)
            width, height, gap = 6.6 * len(text), 13.0, radius + 1.0
            for left, top in ((u + gap, v - gap - height / 2), (u - gap - width, v - gap - height / 2),
                              (u - width / 2, v + gap), (u - width / 2, v - gap - height)):
                if self._claim(Box(left, top, left + width, top + height)):
                    self._text((left + width / 2) / self._per_pixel[0], (top + height / 2) / self._per_pixel[1], text,
                               self.ink.spot, 8, ha="center", va="center")
                    break

    def emptiest_corner(self, width: float, height: float, small: np.ndarray, position: tuple[float, float]) -> Box:
        """Return a box of this size in the corner nearest to ``position`` (fast, slow) that hides little signal."""
        across, down = self.size_px
        gap, text = 12.0, 24.0
        x, y = position[0] * self._per_pixel[0], position[1] * self._per_pixel[1]
        corners = []
        for left in (gap, across - gap - width):
            for top in (gap + text, down - gap - height):
                box = Box(left, top, left + width, top + height)
                hides = box.overlaps(Box(x - 30, y - 30, x + 30, y + 30))
                slow, fast = small.shape
                covered = small[max(int(top / down * slow), 0):int(box.bottom / down * slow) + 1,
                                max(int(left / across * fast), 0):int(box.right / across * fast) + 1]
                # the root, so that one strong spot weighs less than many weak ones
                signal = np.sqrt(np.clip(np.nan_to_num(covered, posinf=0.0), 0.0, None)).sum()
                away = math.hypot(left + width / 2.0 - x, top + height / 2.0 - y)
                corners.append((hides, float(signal), away, box))
        open_corners = [corner for corner in corners if not corner[0]] or corners
        most_covered = _MOST_COVERED * min(signal for _, signal, _, _ in open_corners)
        return min((corner for corner in open_corners if corner[1] <= most_covered), key=lambda corner: corner[2])[3]

    def frame(self, inset: Axes, box: Box, part: tuple[float, float, float, float], text: str) -> None:
        """Draw the border of a close-up, a rectangle around ``part`` (fast, slow, width, height) and a line between."""
        from matplotlib.patches import Rectangle

        self._occupied.append(Box(box.left - 8, box.top - 26, box.right + 8, box.bottom + 8))
        inset.set_xticks([])
        inset.set_yticks([])
        for spine in inset.spines.values():
            spine.set(color=self.ink.frame, linewidth=2.0)
        inset.set_title(text, fontsize=10, color=self.ink.frame, pad=5, path_effects=self._halo(3.0),
                        parse_math=False)
        fast, slow, width, height = part
        self.axes.add_patch(Rectangle((fast, slow), width, height, fill=False, edgecolor=self.ink.frame, linewidth=1.5))
        middle = ((fast + width / 2.0) * self._per_pixel[0], (slow + height / 2.0) * self._per_pixel[1])
        start = (min(max(middle[0], box.left), box.right), min(max(middle[1], box.top), box.bottom))
        end = (min(max(start[0], fast * self._per_pixel[0]), (fast + width) * self._per_pixel[0]),
               min(max(start[1], slow * self._per_pixel[1]), (slow + height) * self._per_pixel[1]))
        self.axes.plot([start[0] / self._per_pixel[0], end[0] / self._per_pixel[0]],
                       [start[1] / self._per_pixel[1], end[1] / self._per_pixel[1]],
                       color=self.ink.frame, linewidth=1.0, scalex=False, scaley=False)


def ring_resolutions(least: float, most: float) -> list[float]:
    """Return up to five round d [A] whose 1/d divide the range from ``least`` to ``most`` [1/A] about evenly."""
    if most <= 0.0:
        return []
    least = max(least, most / 1000.0)
    powers = range(math.floor(-math.log10(most)) - 2, math.ceil(-math.log10(least)) + 1)
    candidates = sorted(1.0 / (number * 10.0 ** power) for power in powers for number in _ROUND)
    candidates = [inverse for inverse in candidates if least < inverse < most]
    if not candidates:
        return []
    targets = [least + (most - least) * (number + 1) / (_RINGS + 0.5) for number in range(_RINGS)]
    nearest = {min(candidates, key=lambda inverse: abs(inverse - target)) for target in targets}
    return [float(f"{1.0 / inverse:.6g}") for inverse in sorted(nearest)]
