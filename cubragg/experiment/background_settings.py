"""The background: material in the beam beside the crystal, and given maps of photons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cubragg import checks
from cubragg.errors import ConfigError
from cubragg.experiment.panel import same_arrays
from cubragg.experiment.settings_repr import settings_repr


@dataclass(frozen=True, eq=False)
class Scatterer:
    """Amorphous material in the beam, with a table of the structure factor of one molecule.

    Attributes
    ----------
    table
        float64 [n, 2]: sin(theta)/lambda [1/A], increasing, and F [electrons]; the sign of F is that of the intensity.
    path_mm
        Length of material along the beam [mm].
    density_g_cm3, molecular_weight
        Density [g/cm^3], and weight of a molecule [g/mol].
    """

    table: np.ndarray
    path_mm: float
    density_g_cm3: float = 1.0
    molecular_weight: float = 18.0

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        where = "background.scatterers"
        table = _array(where, "the table of F", self.table, 2)
        if table.ndim != 2 or table.shape[1] != 2 or len(table) < 2:
            raise ConfigError(where, f"got a table of shape {table.shape}; it must have rows of sin(theta)/lambda "
                              "and F")
        if not (np.diff(table[:, 0]) > 0.0).all() or table[0, 0] < 0.0:
            raise ConfigError(where, "got a table that is not in increasing order of sin(theta)/lambda >= 0 1/A")
        object.__setattr__(self, "table", table)
        checks.number(where, "the path", self.path_mm, "mm", at_least=0.0)
        checks.number(where, "the density", self.density_g_cm3, "g/cm^3", at_least=0.0)
        checks.number(where, "the molecular weight", self.molecular_weight, "g/mol", above=0.0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scatterer) and _same(self, other, ("table",))


@dataclass(frozen=True, eq=False)
class Background:
    """Expected photons that do not depend on the crystal's orientation, in physical semantics. `specs/background.md`

    Attributes
    ----------
    water_um
        Length of water along the beam [um], such as that of a jet or a drop.
    air_mm
        Lengths of air along the beam before and after the crystal [mm]: from the collimator, and to the beam stop.
    ice_um
        Length of hexagonal ice powder along the beam [um].
    ice_fwhm_per_A
        Width of the ice rings in 1/d [1/A] (full width at half maximum).
    ice_grains
        Number of ice grains that diffract into each ring; ``None``: smooth rings. The photons of a ring are the same.
    ice_seed
        Seed of the positions of those grains' spots.
    scatterers
        Other amorphous material.
    constant
        Photons per pixel.
    radial
        float64 [n, 2]: sin(theta)/lambda [1/A], increasing, and photons per pixel; beyond its ends the last value.
    image
        Photons per pixel, float32 [slow, fast].
    """

    water_um: float = 0.0
    air_mm: tuple[float, float] = (0.0, 0.0)
    ice_um: float = 0.0
    ice_fwhm_per_A: float = 0.004
    ice_grains: int | None = None
    ice_seed: int = 0
    scatterers: tuple[Scatterer, ...] = ()
    constant: float = 0.0
    radial: np.ndarray | None = None
    image: np.ndarray | None = None

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self, ("radial", "image", "scatterers"))
        checks.number("background.water_um", "the length of water", self.water_um, "um", at_least=0.0)
        checks.vector("background.air_mm", "the length of air", self.air_mm, "mm", length=2)
        for length in self.air_mm:
            checks.number("background.air_mm", "the length of air", length, "mm", at_least=0.0)
        checks.number("background.ice_um", "the length of ice", self.ice_um, "um", at_least=0.0)
        checks.number("background.ice_fwhm_per_A", "the width of ice rings", self.ice_fwhm_per_A, "1/A", above=0.0)
        checks.integer("background.ice_grains", "the number of ice grains", self.ice_grains, optional=True, at_least=1,
                       at_most=1_000_000)
        checks.integer("background.ice_seed", "the seed of the ice", self.ice_seed, at_least=0, at_most=2**64 - 1)
        checks.number("background.constant", "the constant background", self.constant, "photons/pixel", at_least=0.0)
        scatterers = tuple(self.scatterers) if isinstance(self.scatterers, list) else self.scatterers
        checks.instances("background.scatterers", scatterers, Scatterer)
        object.__setattr__(self, "scatterers", scatterers)
        if self.radial is not None:
            radial = _array("background.radial", "the radial background", self.radial, 2)
            if radial.shape[1] != 2 or not (np.diff(radial[:, 0]) > 0.0).all() or (radial < 0.0).any():
                raise ConfigError("background.radial", "got a table that is not rows of increasing sin(theta)/lambda "
                                  ">= 0 1/A and photons/pixel >= 0")
            object.__setattr__(self, "radial", radial)
        if self.image is not None:
            image = _array("background.image", "the background image", self.image, 2).astype(np.float32)
            if (image < 0.0).any():
                raise ConfigError("background.image", f"got {image.min():g}; photons must be >= 0")
            image.setflags(write=False)
            object.__setattr__(self, "image", image)

    @property
    def empty(self) -> bool:
        """Whether there is no background."""
        return (not (self.water_um or any(self.air_mm) or self.ice_um or self.constant)
                and not self.scatterers and self.radial is None and self.image is None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Background) and _same(self, other, ("radial", "image"))


def _array(where: str, name: str, value: object, dimensions: int) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(where, f"got {value!r:.60}; {name} must be numbers") from None
    if array.ndim != dimensions or not array.size or not np.isfinite(array).all():
        raise ConfigError(where, f"got an array of shape {array.shape}; {name} must have {dimensions} dimensions and "
                          "finite numbers")
    array.setflags(write=False)
    return array


def _same(one: object, other: object, arrays: tuple[str, ...]) -> bool:
    a, b = vars(one), vars(other)
    return (all(a[name] == b[name] for name in a if name not in arrays)
            and all(same_arrays(a[name], b[name]) for name in arrays))
