"""Second-order terms of a spot: what the linear model of its distributions leaves out. `specs/analytic.md`, section 3.

A node with block, mosaicity, strain and beam is at q = (1 + x) R(e, p) R(w) (G (1 + s) + b) + d, with Gaussian x, w,
s, b and d (divergence and blur) and the spindle angle p. To second order it is displaced from the linear model by a
quadratic form of these; m is its mean, given delta = q - G and averaged over p. The density at delta is that of the
linear model at delta - m, times the determinant of its derivative.

Axes y1, y2, y3 are those of the factored covariance, p is in units of 1 / pace, with mean E and variance V in the
segment; z = y3 - E. Means of quadratic forms are linear in the `MONOMIALS`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.engine.analytic.covariances import Spread
from cubragg.engine.analytic.spot_model import Channel

#: y1^2, y1 y2, y2^2, y1 z, y2 z, z^2, E y1, E y2, E z, E^2, V, 1.
MONOMIALS = 12
#: Coefficients of the divergence of m: of y1, y2, z, E; of their products with V; of the third central moment of p.
DIVERGENCE = 9


class Linear(NamedTuple):
    """The linear model of spots in standardized axes.

    Attributes
    ----------
    standard
        float64 [n, 3, 3], rows u with W = sum u u^T, the path last.
    pace
        Standardized deviations along the path per angle [n] [1/rad].
    G, velocity
        Nodes [n, 3], and e x G [n, 3]; 0 in a still.
    spindle
        The axis e [3]; 0 in a still.
    spread
        Distributions of the nodes.
    blur
        Covariance of footprint and sub-pixels [n, 3, 3].
    """

    standard: np.ndarray
    pace: np.ndarray
    G: np.ndarray
    velocity: np.ndarray
    spindle: np.ndarray
    spread: Spread
    blur: np.ndarray


class SecondOrder(NamedTuple):
    """Constants of the second-order terms.

    Attributes
    ----------
    wavelength
        float64 [n, 3]: the conditional wavelength deviation x, from y1, y2, z.
    radial
        float64 [n, 3]: G in standardized axes.
    sag
        float64 [n, MONOMIALS]: u = T / (4 |G|^2), T the mean square of the node's tangential displacement by rotations.
    bend
        float64 [n, 3, MONOMIALS]: the other terms of m, but for those of x.
    divergence
        float64 [n, DIVERGENCE]: of all terms, but for those of x.
    """

    wavelength: np.ndarray
    radial: np.ndarray
    sag: np.ndarray
    bend: np.ndarray
    divergence: np.ndarray


class _Model(NamedTuple):
    """The linear model with spots along the last axis, where NumPy is five times as fast with small matrices.

    ``U`` [3, 3, n] are the standardized axes, ``w`` [3, 3, n] and ``x`` [3, n] the conditional means of rotation and
    wavelength for each of them.
    """

    U: np.ndarray
    w: np.ndarray
    x: np.ndarray
    pace: np.ndarray
    G: np.ndarray
    velocity: np.ndarray
    spindle: np.ndarray
    block: np.ndarray
    rotation: np.ndarray
    blur: np.ndarray
    strain_sqr: float
    channel: Channel


class _Form:
    """Mean quadratic form of y1, y2, z and p of spots, with values in ``size`` dimensions; starts as 0.

    Attributes
    ----------
    pairs
        float64 [size, 3, 3, n], symmetric: of y1, y2 and the deviation of y3 from p.
    moving
        float64 [size, 3, n]: products with p.
    path, constant, variance
        float64 [size, n]: of p^2, the constant, and an addition to the coefficient of V.
    """

    def __init__(self, count: int, size: int) -> None:
        self.pairs, self.moving = np.zeros((size, 3, 3, count)), np.zeros((size, 3, count))
        self.path, self.constant, self.variance = (np.zeros((size, count)) for _ in range(3))

    def add_pairs(self, pairs: np.ndarray) -> None:
        """Add the symmetric part of products [size, 3, 3, n]."""
        self.pairs += 0.5 * (pairs + pairs.swapaxes(1, 2))

    def along(self, axes: np.ndarray) -> _Form:
        """Return the components [3, n] along the rows of axes [3, 3, n]."""
        result = _Form(0, 0)
        for name, value in vars(self).items():
            setattr(result, name, np.einsum("ijn,j...n->i...n", axes, value))
        return result

    def monomials(self) -> np.ndarray:
        """Return the coefficients of the `MONOMIALS`, float64 [size, MONOMIALS, n]."""
        B, L = self.pairs, self.moving
        return np.stack([B[:, 0, 0], 2.0 * B[:, 0, 1], B[:, 1, 1], 2.0 * B[:, 0, 2], 2.0 * B[:, 1, 2], B[:, 2, 2],
                         L[:, 0], L[:, 1], L[:, 2], self.path, B[:, 2, 2] - L[:, 2] + self.path + self.variance,
                         self.constant], axis=1)


def second_order(linear: Linear) -> SecondOrder:
    """Return the second-order terms of spots."""
    model = _model_of(linear)
    G, count = model.G, model.G.shape[1]
    form, T = _Form(count, 3), _Form(count, 1)
    _add_rotations(form, T, model)
    _add_turned_block(form, model)
    _add_strain(form, model)
    _add_beam(form, model)
    radial = np.einsum("ijn,jn->in", model.U, G)
    bend, sag = form.along(model.U).monomials(), T.monomials()[0] / (4.0 * np.einsum("in,in->n", G, G))
    divergence = _divergence(bend - 2.0 * radial[:, None] * sag)
    return SecondOrder(*(np.moveaxis(part, -1, 0) for part in (model.x, radial, sag, bend, divergence)))


def _model_of(linear: Linear) -> _Model:
    """Return the linear model with spots along the last axis."""
    spread = linear.spread
    U, G, velocity, block, rotation, blur, mixed = (np.ascontiguousarray(np.moveaxis(part, 0, -1)) for part in (
        linear.standard, linear.G, linear.velocity, spread.block, spread.rotation, linear.blur, spread.mixed))
    w = _product(_product(rotation, _cross(G)), U.swapaxes(0, 1))
    return _Model(U, w, np.einsum("ain,in->an", U, mixed), linear.pace, G, velocity, linear.spindle, block, rotation,
                  blur, spread.strain_sqr, spread.channel)


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return products of matrices [3, 3, n]."""
    return np.einsum("ijn,jkn->ikn", one, other)


def _cross(vectors: np.ndarray) -> np.ndarray:
    """Return [3, 3, ...], the matrices [v]x of vectors [3, ...] with [v]x u = v x u."""
    x, y, z = vectors
    zero = np.zeros_like(x)
    return np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]])


def _turned_by(cross: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the change [3, 3, ..., n] of a covariance [3, 3, n] by small rotations, matrices of cross products."""
    half = np.einsum("ij...n,jkn->ik...n", cross, covariance)
    return half + half.swapaxes(0, 1)


def _add_rotations(form: _Form, T: _Form, model: _Model) -> None:
    """Add (w + p e) x ((w + p e) x G) / 2: T has its component along G, which shortens it, ``form`` the others.

    Mosaicity turns with the spindle; its covariance at p is to first order that at 0 with a change, whose transport of
    the density is symmetric.
    """
    w, G, e, pace, D = model.w, model.G, model.spindle, model.pace, model.rotation
    square = np.einsum("in,in->n", G, G)
    radial = G / np.sqrt(square)
    P = np.eye(3)[:, :, None] - radial[:, None] * radial
    across, twist = _product(P, w), np.einsum("ian,in->an", w, G)
    e_across, e_twist = np.einsum("ijn,j->in", P, e), e @ G
    rest = _product(P, D - np.einsum("ian,jan->ijn", w, w))
    T.add_pairs((np.einsum("ian,ibn->abn", across, across) * square)[None])
    T.moving += (2.0 * np.einsum("ian,in->an", across, e_across) * (square / pace))[None]
    T.path += (square / (pace * pace) * np.einsum("in,in->n", e_across, e_across))[None]
    T.constant += (square * np.maximum(np.einsum("iin->n", rest), 0.0))[None]
    form.add_pairs(0.5 * across[:, :, None] * twist)
    form.constant += 0.5 * np.einsum("ijn,jn->in", rest, G)
    form.moving += e_across[:, None] * (twist / pace)
    form.path += 0.5 * (e_twist / (pace * pace)) * e_across
    turning = np.repeat(_cross(e)[:, :, None], len(pace), axis=2)
    cross = _cross(G)
    change = (_turned_by(turning, model.block)
              + _product(_product(cross, _turned_by(turning, D)), cross.swapaxes(0, 1)))
    form.moving += 0.5 * _product(change, model.U.swapaxes(0, 1)) / pace


def _add_turned_block(form: _Form, model: _Model) -> None:
    """Add w x b, the turned deviation of the block, as the symmetric transport (w x b - S w x (S^-1 b)) / 2."""
    change = _turned_by(_cross(model.w), model.block)  # [3, 3, 3, n], the last for each standardized axis
    form.add_pairs(0.5 * np.einsum("ilan,bln->iabn", change, model.U))
    # Cov(w, S^-1 b), given delta.
    form.constant += 0.5 * np.einsum("ikkn->in", _turned_by(_cross(-_product(model.w, model.U)), model.block))


def _add_strain(form: _Form, model: _Model) -> None:
    """Add s (w x G + p v), the rotated part of the strain."""
    if not model.strain_sqr:
        return
    s = model.strain_sqr * np.einsum("ain,in->an", model.U, model.G)
    moved = -_product(_cross(model.G), model.w)
    form.add_pairs(moved[:, :, None] * s)
    form.constant -= np.einsum("ian,an->in", moved, s)
    form.moving += model.velocity[:, None] * (s / model.pace)


def _add_beam(form: _Form, model: _Model) -> None:
    """Add -|di|^2 i / (2 lambda), and what remains of x (q - d) beyond the part that is evaluated for each sample."""
    channel, U, G, x = model.channel, model.U, model.G, model.x
    inverse = 1.0 / channel.wavelength_A
    variance, directions = channel.covariance[0, 0], channel.covariance[1:, 1:] * inverse * inverse
    with_x = channel.covariance[0, 1:] * inverse
    of_direction = _product(directions[:, :, None] + with_x[:, None, None] * G, U.swapaxes(0, 1))
    shortening = -0.5 * channel.wavelength_A * channel.incident
    squares = np.einsum("ian,ibn->abn", of_direction, of_direction)
    form.add_pairs(shortening[:, None, None, None] * squares)
    form.constant += shortening[:, None] * (np.trace(directions) - np.einsum("aan->n", squares))
    if not variance:
        return
    d = of_direction + _product(model.blur, U.swapaxes(0, 1))
    form.add_pairs(-d[:, :, None] * x)
    rest = variance - np.einsum("an,an->n", x, x)
    form.constant -= rest * G + with_x[:, None] - np.einsum("ian,an->in", d, x)
    form.variance -= np.square(x[2]) * G


def _divergence(m: np.ndarray) -> np.ndarray:
    """Return the coefficients [DIVERGENCE, n] of the divergence of a displacement [3, MONOMIALS, n].

    dE/dy3 is V, and dV/dy3 the third central moment.
    """
    first, second, third = m
    fixed = np.array([2.0 * first[0] + second[1], first[1] + 2.0 * second[2], first[3] + second[4],
                      first[6] + second[7]])
    by_z = np.array([third[3], third[4], 2.0 * third[5], third[8]])
    by_E = np.array([third[6], third[7], third[8], 2.0 * third[9]])
    return np.concatenate([fixed + by_z, by_E - by_z, third[10:11]])
