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

from cubragg.engine.analytic.covariances import Spread, cross_matrices

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


class _Form:
    """Mean quadratic form of y1, y2, z and p of spots, with values in ``size`` dimensions; starts as 0.

    Attributes
    ----------
    pairs
        float64 [n, size, 3, 3], symmetric: of y1, y2 and the deviation of y3 from p.
    moving
        float64 [n, size, 3]: products with p.
    path, constant, variance
        float64 [n, size]: of p^2, the constant, and an addition to the coefficient of V.
    """

    def __init__(self, count: int, size: int) -> None:
        self.pairs, self.moving = np.zeros((count, size, 3, 3)), np.zeros((count, size, 3))
        self.path, self.constant, self.variance = (np.zeros((count, size)) for _ in range(3))

    def add_pairs(self, pairs: np.ndarray) -> None:
        """Add the symmetric part of products [n, size, 3, 3]."""
        self.pairs += 0.5 * (pairs + pairs.transpose(0, 1, 3, 2))

    def along(self, axes: np.ndarray) -> _Form:
        """Return the components [n, 3] along the rows of axes [n, 3, 3]."""
        result = _Form(0, 0)
        for name, value in vars(self).items():
            setattr(result, name, np.einsum("nij,nj...->ni...", axes, value))
        return result

    def monomials(self) -> np.ndarray:
        """Return the coefficients of the `MONOMIALS`, float64 [n, size, MONOMIALS]."""
        B, L = self.pairs, self.moving
        return np.stack([B[..., 0, 0], 2.0 * B[..., 0, 1], B[..., 1, 1], 2.0 * B[..., 0, 2], 2.0 * B[..., 1, 2],
                         B[..., 2, 2], L[..., 0], L[..., 1], L[..., 2], self.path,
                         B[..., 2, 2] - L[..., 2] + self.path + self.variance, self.constant], axis=-1)


def second_order(linear: Linear) -> SecondOrder:
    """Return the second-order terms of spots."""
    U, G, spread = linear.standard, linear.G, linear.spread
    square = np.einsum("ni,ni->n", G, G)
    # Columns over the standardized axes: conditional means of w, the rotation, and of x.
    w = spread.rotation @ cross_matrices(G) @ U.transpose(0, 2, 1)
    x = np.einsum("nij,nj->ni", U, spread.mixed)
    form, T = _Form(len(G), 3), _Form(len(G), 1)
    _add_rotations(form, T, linear, w)
    _add_turned_block(form, linear, w)
    _add_strain(form, linear, w)
    _add_beam(form, linear, x)
    in_axes = form.along(U)
    radial = np.einsum("nij,nj->ni", U, G)
    bend, sag = in_axes.monomials(), T.monomials()[:, 0] / (4.0 * square)[:, None]
    return SecondOrder(x, radial, sag, bend, _divergence(bend - 2.0 * radial[:, :, None] * sag[:, None, :]))


def _add_rotations(form: _Form, T: _Form, linear: Linear, w: np.ndarray) -> None:
    """Add (w + p e) x ((w + p e) x G) / 2: T has its component along G, which shortens it, ``form`` the others.

    Mosaicity turns with the spindle; its covariance at p is to first order that at 0 with a change, whose transport of
    the density is symmetric.
    """
    G, e, pace, D = linear.G, linear.spindle, linear.pace, linear.spread.rotation
    length = np.linalg.norm(G, axis=1)
    radial = G / length[:, None]
    P = np.eye(3) - radial[:, :, None] * radial[:, None, :]
    across, twist = P @ w, np.einsum("nia,ni->na", w, G)
    e_across, e_twist = P @ e, G @ e
    rest = D - w @ w.transpose(0, 2, 1)
    T.add_pairs((np.einsum("nia,nib->nab", across, across) * np.square(length)[:, None, None])[:, None])
    T.moving += (2.0 * np.einsum("nia,ni->na", across, e_across) * (np.square(length) / pace)[:, None])[:, None]
    T.path += (np.square(length / pace) * np.einsum("ni,ni->n", e_across, e_across))[:, None]
    T.constant += (np.square(length) * np.maximum(np.trace(P @ rest @ P, axis1=1, axis2=2), 0.0))[:, None]
    form.add_pairs(0.5 * across[:, :, :, None] * twist[:, None, None, :])
    form.constant += 0.5 * np.einsum("nij,nj->ni", P @ rest, G)
    form.moving += e_across[:, :, None] * (twist / pace[:, None])[:, None, :]
    form.path += 0.5 * (e_twist / np.square(pace))[:, None] * e_across
    turning = cross_matrices(np.broadcast_to(e, G.shape))
    cross = cross_matrices(G)
    change = _turned_by(turning, linear.spread.block) + cross @ _turned_by(turning, D) @ cross.transpose(0, 2, 1)
    form.moving += 0.5 * change @ linear.standard.transpose(0, 2, 1) / pace[:, None, None]


def _turned_by(cross: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the change [n, 3, 3] of a covariance by a small rotation, as its matrix of cross products."""
    half = cross @ covariance
    return half + half.transpose(0, 2, 1)


def _add_turned_block(form: _Form, linear: Linear, w: np.ndarray) -> None:
    """Add w x b, the turned deviation of the block, as the symmetric transport (w x b - S w x (S^-1 b)) / 2."""
    S, U = linear.spread.block, linear.standard
    cross = cross_matrices(w.transpose(0, 2, 1).reshape(-1, 3)).reshape(-1, 3, 3, 3)
    change = cross @ S[:, None] - S[:, None] @ cross  # of S, for each standardized axis
    form.add_pairs(0.5 * (change @ U.transpose(0, 2, 1)[:, None]).transpose(0, 2, 1, 3))
    # Cov(w, S^-1 b), given delta.
    rest = -(w @ U)
    cross = cross_matrices(rest.transpose(0, 2, 1).reshape(-1, 3)).reshape(-1, 3, 3, 3)
    form.constant += 0.5 * np.einsum("nkik->ni", cross @ S[:, None] - S[:, None] @ cross)


def _add_strain(form: _Form, linear: Linear, w: np.ndarray) -> None:
    """Add s (w x G + p v), the rotated part of the strain."""
    if not linear.spread.strain_sqr:
        return
    s = linear.spread.strain_sqr * np.einsum("nij,nj->ni", linear.standard, linear.G)
    moved = np.cross(w.transpose(0, 2, 1), linear.G[:, None, :]).transpose(0, 2, 1)
    form.add_pairs(moved[:, :, :, None] * s[:, None, None, :])
    form.constant -= np.cross(np.einsum("nia,na->ni", w, s), linear.G)
    form.moving += linear.velocity[:, :, None] * (s / linear.pace[:, None])[:, None, :]


def _add_beam(form: _Form, linear: Linear, x: np.ndarray) -> None:
    """Add -|di|^2 i / (2 lambda), and what remains of x (q - d) beyond the part that is evaluated for each sample."""
    channel, U = linear.spread.channel, linear.standard
    inverse = 1.0 / channel.wavelength_A
    variance, directions = channel.covariance[0, 0], channel.covariance[1:, 1:] * inverse * inverse
    with_x = channel.covariance[0, 1:] * inverse
    of_direction = (directions + with_x[:, None] * linear.G[:, None, :]) @ U.transpose(0, 2, 1)
    shortening = -0.5 * channel.wavelength_A * channel.incident
    squares = of_direction.transpose(0, 2, 1) @ of_direction
    form.add_pairs(shortening[:, None, None] * squares[:, None])
    form.constant += shortening * (np.trace(directions) - np.trace(squares, axis1=1, axis2=2))[:, None]
    if not variance:
        return
    d = of_direction + linear.blur @ U.transpose(0, 2, 1)
    form.add_pairs(-d[:, :, :, None] * x[:, None, None, :])
    rest = variance - np.einsum("na,na->n", x, x)
    form.constant -= rest[:, None] * linear.G + with_x - np.einsum("nia,na->ni", d, x)
    form.variance -= np.square(x[:, 2])[:, None] * linear.G


def _divergence(m: np.ndarray) -> np.ndarray:
    """Return the coefficients [n, DIVERGENCE] of the divergence of a displacement [n, 3, MONOMIALS].

    dE/dy3 is V, and dV/dy3 the third central moment.
    """
    first, second, third = m[:, 0], m[:, 1], m[:, 2]
    fixed = np.stack([2.0 * first[:, 0] + second[:, 1], first[:, 1] + 2.0 * second[:, 2], first[:, 3] + second[:, 4],
                      first[:, 6] + second[:, 7]], axis=1)
    by_z = np.stack([third[:, 3], third[:, 4], 2.0 * third[:, 5], third[:, 8]], axis=1)
    by_E = np.stack([third[:, 6], third[:, 7], third[:, 8], 2.0 * third[:, 9]], axis=1)
    return np.concatenate([fixed + by_z, by_E - by_z, third[:, 10:11]], axis=1)
