"""Sub-pixel geometry of blocks of pixels: position, solid angle, absorbed fraction, polarization.

Arrays are float64 [n], vectors float64 [3, n]; metres. Source: nanoBragg.c,
`specs/geometry.md`.
"""

from __future__ import annotations

import numpy as np

from cubragg.crystallography.vectors import Vector, cross, unit
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace


def _rotate_axis(vectors: np.ndarray, axis: Vector, angle: np.ndarray) -> np.ndarray:
    """Return the vectors rotated about a unit axis, each by its own angle."""
    s, c = np.sin(angle), np.cos(angle)
    x, y, z = vectors
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return np.stack([
        axis[0] * along + x * c + (-axis[2] * y + axis[1] * z) * s,
        axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s,
        axis[2] * along + z * c + (-axis[1] * x + axis[0] * y) * s,
    ])


def on_cylinder(panel: PanelPlan | DetectorFrame, beam: Vector, flat: np.ndarray) -> np.ndarray:
    """Return positions [3, n] on a curved detector: y and z of flat ones become angles about the slow and fast axes."""
    start = np.empty_like(flat)
    start[:] = np.array([panel.distance * component for component in beam])[:, None]
    rotated = _rotate_axis(start, panel.slow, flat[1] / panel.distance)
    return _rotate_axis(rotated, panel.fast, flat[2] / panel.distance)


def _sum_terms(terms: tuple[tuple[np.ndarray, float], ...], constants: tuple[float, ...], out: np.ndarray) -> None:
    """Store the sum of products and constants, in this order. Terms of 0, common on untilted detectors, are skipped."""
    out[:] = 0.0
    for values, factor in terms:
        if factor != 0.0:
            out += values * factor
    for constant in constants:
        if constant != 0.0:
            out += constant


class SubPixels:
    """The sub-pixels at one position inside each pixel of a block, in one sensor layer.

    Arrays are in the workspace: a thread can use one `SubPixels` at a time.

    Attributes
    ----------
    position
        Positions relative to the crystal [m], float64 [3, n].
    centre
        Fast and slow coordinate of their centre in the pixel, 0 to 1.
    path
        Distances from the crystal [m], float64 [n].
    direction
        Unit vectors of the diffracted beam, float64 [3, n].
    """

    def __init__(self, plan: Plan, panel: PanelPlan, fast: np.ndarray, slow: np.ndarray, layer: int, sub_slow: int,
                 sub_fast: int, work: Workspace) -> None:
        self._plan, self._panel, self._layer, self._work = plan, panel, layer, work
        n = plan.oversample
        fast_edge, slow_edge = (edge / n for edge in panel.edges)
        self.centre = (sub_fast + 0.5) / n, (sub_slow + 0.5) / n
        f = fast_edge * ((fast + panel.first_pixel[0]) * n + sub_fast) + fast_edge / 2.0
        s = slow_edge * ((slow + panel.first_pixel[1]) * n + sub_slow) + slow_edge / 2.0
        depth = panel.layers.depth_m(layer)
        position = work.take("position", 3, len(fast))
        for axis in range(3):
            constants = (depth * panel.normal[axis], panel.origin[axis])
            _sum_terms(((f, panel.fast[axis]), (s, panel.slow[axis])), constants, position[axis])
        if plan.curved:
            position = on_cylinder(panel, plan.geometry.beam, position)
        x, y, z = position
        self.position = position
        self.path = np.sqrt(x * x + y * y + z * z)
        self.direction = np.divide(position, self.path, out=work.take("direction", 3, len(fast)))

    def solid_angle(self) -> np.ndarray:
        """Return the solid angle of the whole pixel, at this path [sr]; 1 / path^2 for a point pixel."""
        if self._plan.point_pixel:
            return 1.0 / self.path / self.path
        return self._panel.area / self.path / self.path * self._panel.close_distance / self.path

    def capture_fraction(self) -> np.ndarray:
        """Return the fraction of the photons that this layer absorbs."""
        layers, normal = self._panel.layers, self._panel.normal
        x, y, z = self.direction
        parallax = x * normal[0] + y * normal[1] + z * normal[2]
        front, back = (np.exp(-edge * layers.mu_per_m / parallax) for edge in layers.edges_m(self._layer))
        return front - back

    def scattering(self, incident: Vector, wavelength: float) -> np.ndarray:
        """Return the scattering vectors (d - i) / lambda [1/m], float64 [3, n]."""
        q = self._work.take("q", *self.direction.shape)
        for axis in range(3):
            np.subtract(self.direction[axis], incident[axis], out=q[axis])
        return np.divide(q, wavelength, out=q)

    def polarization(self, incident: Vector, renormalized: np.ndarray | None = None) -> np.ndarray:
        """Return Kahn's polarization factor for a beam along ``incident``.

        As in the C program, `direction` is normalized once more here and the result is used for
        all following sources, which can change the last bit. ``renormalized`` bool [n] selects the
        pixels (``None``: all).
        """
        plan = self._plan
        x, y, z = self.direction
        where = True if renormalized is None or renormalized.all() else renormalized
        np.divide(self.direction, np.sqrt(x * x + y * y + z * z), out=self.direction, where=where)
        x, y, z = self.direction
        incident = unit(incident)
        cosine = incident[0] * x + incident[1] * y + incident[2] * z
        cosine_sqr = cosine * cosine
        kahn = plan.kahn_factor
        if kahn == 0.0:
            return 0.5 * (1.0 + cosine_sqr)
        magnetic = unit(cross(plan.geometry.polar, incident))
        electric = unit(cross(incident, magnetic))
        along_e = x * electric[0] + y * electric[1] + z * electric[2]
        along_b = x * magnetic[0] + y * magnetic[1] + z * magnetic[2]
        # cos(2 psi) with psi = -atan2(B, E), without the angle; 1 where both vanish, as atan2(0, 0) = 0.
        total = along_e * along_e + along_b * along_b
        forward = total == 0.0
        total[forward] = 1.0
        cos_2psi = (along_e * along_e - along_b * along_b) / total
        cos_2psi[forward] = 1.0
        return 0.5 * (1.0 + cosine_sqr - kahn * cos_2psi * (1.0 - cosine_sqr))


def resolution_cut(q: np.ndarray, dmin: float) -> np.ndarray:
    """Return bool [n], True where d of a scattering vector q [3, n] is below ``dmin`` [m]."""
    x, y, z = q
    stol = 0.5 * np.sqrt(x * x + y * y + z * z)
    stol[stol == 0.0] = 1e-300  # the direct beam is never cut
    return dmin > 0.5 / stol
