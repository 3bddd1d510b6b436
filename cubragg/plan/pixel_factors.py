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


def _sum_terms(terms: tuple[tuple[np.ndarray, float], ...], constants: tuple[float, ...], out: np.ndarray,
               part: np.ndarray) -> None:
    """Store the sum of products and constants, in this order. Terms of 0, common on untilted detectors, are skipped."""
    out[:] = 0.0
    for values, factor in terms:
        if factor != 0.0:
            np.add(out, np.multiply(values, factor, out=part), out=out)
    for constant in constants:
        if constant != 0.0:
            np.add(out, constant, out=out)


class SubPixels:
    """The sub-pixels at one position inside each pixel of a block, in one sensor layer.

    Its arrays, and those that methods return, are in the workspace: a thread can use one `SubPixels` at a time.

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
        f = self._centres("on fast", fast, panel.first_pixel[0], sub_fast, fast_edge)
        s = self._centres("on slow", slow, panel.first_pixel[1], sub_slow, slow_edge)
        depth = panel.layers.depth_m(layer)
        position, part = work.take("position", 3, len(fast)), work.take("part", 0, len(fast))
        for axis in range(3):
            constants = (depth * panel.normal[axis], panel.origin[axis])
            _sum_terms(((f, panel.fast[axis]), (s, panel.slow[axis])), constants, position[axis], part)
        if plan.curved:
            position = on_cylinder(panel, plan.geometry.beam, position)
        self.position = position
        self.path = self._length("path", position)
        self.direction = np.divide(position, self.path, out=work.take("direction", 3, len(fast)))

    def _centres(self, name: str, pixels: np.ndarray, first: float, sub: int, edge: float) -> np.ndarray:
        """Return the place of the sub-pixel in each pixel along an axis [m], edge ((pixel + first) n + sub + 1/2)."""
        place = np.add(pixels, first, out=self._work.take(name, 0, len(pixels)))
        np.multiply(place, self._plan.oversample, out=place)
        np.add(place, sub, out=place)
        np.multiply(place, edge, out=place)
        return np.add(place, edge / 2.0, out=place)

    def _along(self, name: str, vectors: np.ndarray, axis: Vector) -> np.ndarray:
        """Return the components [n] of vectors [3, n] along an axis, summed in the order x, y, z."""
        total, part = (self._work.take(each, 0, vectors.shape[1]) for each in (name, "part"))
        np.multiply(vectors[0], axis[0], out=total)
        for row in (1, 2):
            np.add(total, np.multiply(vectors[row], axis[row], out=part), out=total)
        return total

    def _length(self, name: str, vectors: np.ndarray) -> np.ndarray:
        """Return the lengths [n] of vectors [3, n], squares summed in the order x, y, z."""
        total, part = (self._work.take(each, 0, vectors.shape[1]) for each in (name, "part"))
        np.multiply(vectors[0], vectors[0], out=total)
        for row in (1, 2):
            np.add(total, np.multiply(vectors[row], vectors[row], out=part), out=total)
        return np.sqrt(total, out=total)

    def solid_angle(self) -> np.ndarray:
        """Return the solid angle of the whole pixel, at this path [sr]; 1 / path^2 for a point pixel."""
        omega = self._work.take("omega", 0, len(self.path))
        if self._plan.point_pixel:
            np.divide(1.0, self.path, out=omega)
            return np.divide(omega, self.path, out=omega)
        np.divide(self._panel.area, self.path, out=omega)
        np.divide(omega, self.path, out=omega)
        np.multiply(omega, self._panel.close_distance, out=omega)
        return np.divide(omega, self.path, out=omega)

    def capture_fraction(self) -> np.ndarray:
        """Return the fraction of the photons that this layer absorbs."""
        layers, normal = self._panel.layers, self._panel.normal
        parallax = self._along("parallax", self.direction, normal)
        front, back = (np.divide(-edge * layers.mu_per_m, parallax, out=self._work.take(name, 0, len(parallax)))
                       for name, edge in zip(("front", "back"), layers.edges_m(self._layer), strict=True))
        for absorbed in (front, back):
            np.exp(absorbed, out=absorbed)
        return np.subtract(front, back, out=front)

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
        where = True if renormalized is None or renormalized.all() else renormalized
        np.divide(self.direction, self._length("length", self.direction), out=self.direction, where=where)
        incident, kahn = unit(incident), self._plan.kahn_factor
        factor = self._along("cosine", self.direction, incident)
        np.multiply(factor, factor, out=factor)
        if kahn == 0.0:
            np.add(factor, 1.0, out=factor)
            return np.multiply(factor, 0.5, out=factor)
        cos_2psi = self._cos_2psi(incident)
        np.multiply(cos_2psi, kahn, out=cos_2psi)
        sine_sqr = np.subtract(1.0, factor, out=self._work.take("part", 0, len(factor)))
        np.multiply(cos_2psi, sine_sqr, out=cos_2psi)
        np.add(factor, 1.0, out=factor)
        np.subtract(factor, cos_2psi, out=factor)
        return np.multiply(factor, 0.5, out=factor)

    def _cos_2psi(self, incident: Vector) -> np.ndarray:
        """Return cos(2 psi) with psi = -atan2(B, E), without the angle; 1 where both vanish, as atan2(0, 0) = 0."""
        magnetic = unit(cross(self._plan.geometry.polar, incident))
        electric = unit(cross(incident, magnetic))
        along_e, along_b = (self._along(name, self.direction, axis)
                            for name, axis in (("along E", electric), ("along B", magnetic)))
        for along in (along_e, along_b):
            np.multiply(along, along, out=along)
        total = np.add(along_e, along_b, out=self._work.take("part", 0, len(along_e)))
        cos_2psi = np.subtract(along_e, along_b, out=along_e)
        forward = (total == 0.0).nonzero()
        total[forward] = 1.0
        np.divide(cos_2psi, total, out=cos_2psi)
        cos_2psi[forward] = 1.0
        return cos_2psi


def resolution_cut(q: np.ndarray, dmin: float) -> np.ndarray:
    """Return bool [n], True where d of a scattering vector q [3, n] is below ``dmin`` [m]."""
    x, y, z = q
    stol = 0.5 * np.sqrt(x * x + y * y + z * z)
    stol[stol == 0.0] = 1e-300  # the direct beam is never cut
    return dmin > 0.5 / stol
