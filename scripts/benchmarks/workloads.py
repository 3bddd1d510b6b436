"""Named command lines, and the sweeps over one of their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

_CRYSTAL = "-cell 79 79 38 90 90 90 -lambda 1"
_EDGES_A = (79.0, 79.0, 38.0)
REFLECTIONS = "random.hkl"


class Workload(NamedTuple):
    """A command line without output files.

    ``band`` is the flag that cuts it to some columns where the whole would take other programs minutes: then all
    programs render these. Of a band of rows the C program would give all to one thread. ``compared``: other programs
    run too. ``runs``: at most so many, of a long one.
    """

    name: str
    flags: str
    band: str = ""
    compared: bool = True
    runs: int | None = None


class Sweep(NamedTuple):
    """A command line with a ``{}`` for each of the ``flags`` (number of things, flag), and what is counted."""

    name: str
    what: str
    flags: str
    points: tuple[tuple[int, str], ...]

    def line(self, point: int) -> str:
        """The command line of a point."""
        return self.flags.format(self.points[point][1])


class Stills(NamedTuple):
    """A batch of random orientations; NumPy, and other programs, which start anew for each, do a few of them."""

    flags: str
    images: int
    numpy_images: int
    compared_images: int


def workloads(quick: bool = False) -> dict[str, Workload]:
    """The workloads by name; ``quick``: of a size that tests the machinery in seconds."""
    def side(pixels: int) -> int:
        return pixels // 32 if quick else pixels

    domains, many_domains, phi_steps = (2, 3, 2) if quick else (20, 50, 10)
    plain = "-distance 100 -pixel 0.1 -oversample 1"
    small_cell = f"-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 {plain}"
    mosaic = (f"-default_F 100 {_CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains {many_domains} -phi 1 -osc 1 -phisteps 4 "
              f"{plain} -detpixels {side(1024)}")
    pilatus = (f"-hkl {REFLECTIONS} {_CRYSTAL} -N 100 -mosaic 0.1 -mosaic_domains {domains} -phi 0.1 -osc 0.1 "
               f"-phisteps 5 -distance 200 -pixel 0.172 -oversample 2 -detpixels_f {side(2463)} "
               f"-detpixels_s {side(2527)}")
    eiger = (f"-hkl {REFLECTIONS} {_CRYSTAL} -N 200 -mosaic 0.1 -mosaic_domains {many_domains} -phi 0.1 -osc 0.1 "
             f"-phisteps {phi_steps} -distance 200 -pixel 0.075 -oversample 2 -detpixels_f {side(4150)} "
             f"-detpixels_s {side(4371)}")
    pilatus_band = f"-roi {side(1104)} {side(1104) + (2 if quick else 95)} 0 {side(2527) - 1}"
    eiger_band = f"-roi {side(1600)} {side(1600) + (1 if quick else 15)} 0 {side(4371) - 1}"
    listed = [
        Workload("W1", f"{small_cell} -detpixels {side(1024)}"),
        Workload("W1b", f"{small_cell} -detpixels {side(2048)}"),
        Workload("W2", mosaic),
        Workload("W2-gauss", f"{mosaic} -gauss_xtal"),
        Workload("W3", pilatus, pilatus_band),
        Workload("W3-whole", pilatus, runs=2),
        Workload("R16", eiger, eiger_band),
        Workload("R16-whole", eiger, compared=False, runs=2),
        Workload("large", f"-default_F 100 {_CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains {10 if not quick else 2} "
                          f"-distance 400 -pixel 0.1 -oversample 2 -detpixels {side(4096)}", compared=False),
        Workload("start", f"-default_F 100 {_CRYSTAL} -N 5 {plain} -detpixels 1", compared=False),
    ]
    return {workload.name: workload for workload in listed}


def stills(quick: bool = False) -> Stills:
    """1000 stills of 1024 x 1024 pixels."""
    flags = (f"-hkl {REFLECTIONS} {_CRYSTAL} -N 20 -mosaic 0.05 -mosaic_domains {2 if quick else 10} -distance 100 "
             f"-pixel 0.1 -oversample 1 -detpixels {32 if quick else 1024}")
    return Stills(flags, 4, 2, 1) if quick else Stills(flags, 1000, 20, 3)


def sweeps(quick: bool = False) -> list[Sweep]:
    """One number at a time: pixels and domains by doublings, samples, cells."""
    side = 16 if quick else 1024
    detectors = [(side, side), (2 * side, side), (2 * side, 2 * side), (4 * side, 2 * side)]
    base = f"-default_F 100 {_CRYSTAL} -distance 100 -pixel 0.1"
    square, mosaic = f"-detpixels {side}", "-mosaic 0.5 -mosaic_domains"

    def counted(flag: str, *numbers: int) -> tuple[tuple[int, str], ...]:
        return tuple((number, f"{flag} {number}") for number in (numbers[-2:] if quick else numbers))

    domains = counted("-mosaic_domains", 1, 2, 4, 8, 16, 32, 64)
    return [
        Sweep("pixels", "pixels", f"{base} -N 20 {mosaic} 10 -oversample 1 {{}}",
              tuple((fast * slow, f"-detpixels_f {fast} -detpixels_s {slow}")
                    for fast, slow in (detectors[:2] if quick else detectors))),
        Sweep("samples", "samples per pixel", f"{base} -N 20 {mosaic} 10 {square} {{}}",
              tuple((10 * n * n, f"-oversample {n}") for n in ((1, 4) if quick else (1, 2, 3, 4)))),
        Sweep("N", "cells along an edge", f"{base} {mosaic} 10 -oversample 1 {square} {{}}",
              counted("-N", 5, 10, 20, 50, 100, 200, 500)),
        Sweep("domains", "mosaic domains", f"{base} -N 20 -oversample 1 {square} -mosaic 0.5 {{}}",
              domains),
        Sweep("domains-gauss", "mosaic domains of a Gaussian crystal",
              f"{base} -N 20 -gauss_xtal -oversample 1 {square} -mosaic 0.5 {{}}", domains),
    ]


def write_reflections(path: Path, quick: bool = False) -> None:
    """Random amplitudes of the 79 79 38 cell to 1.8 A."""
    resolution = 8.0 if quick else 1.8
    axes = np.meshgrid(*(np.arange(-int(edge / resolution), int(edge / resolution) + 1) for edge in _EDGES_A),
                       indexing="ij")
    inside = sum((axis / edge) ** 2 for axis, edge in zip(axes, _EDGES_A, strict=True)) <= resolution**-2
    amplitudes = np.random.default_rng(1).uniform(1.0, 300.0, int(inside.sum()))
    np.savetxt(path, np.column_stack([axis[inside] for axis in axes] + [amplitudes]), fmt="%d %d %d %.3f")
