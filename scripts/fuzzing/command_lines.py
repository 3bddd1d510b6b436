"""Random command lines of flags that nanoBragg has, and the text files that they name."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cubragg.cli.flags import FLAGS

#: Flags that a random line does not carry, and why.
LEFT_OUT = {
    "--config": "not the C program's", "--save-config": "not the C program's", "--cbffile": "not the C program's",
    "--save": "not the C program's", "--crystal-shape": "not the C program's",
    "--background": "not the C program's", "--crystal": "not the C program's", "--response": "not the C program's",
    "--nxmx": "not the C program's", "--nxmx-type": "not the C program's",
    "--tiff": "not the C program's", "--tiff-type": "not the C program's", "--cbf-convention": "not the C program's",
    "--smv-flavor": "not the C program's", "--images": "not the C program's",
    "--from": "not the C program's", "--expt": "not the C program's", "--geom": "not the C program's",
    "--cell-file": "not the C program's", "--xds-inp": "not the C program's",
    "--png": "not the C program's", "--png-colors": "not the C program's", "--png-scale": "not the C program's",
    "--png-range": "not the C program's", "--png-rings": "not the C program's", "--png-zoom": "not the C program's",
    "--png-counts": "not the C program's", "--png-dpi": "not the C program's",
    "--png-spots": "not the C program's", "--truth": "not the C program's", "--truth-min": "not the C program's",
    "--all-outputs": "not the C program's", "--overwrite": "not the C program's", "--noise-rng": "always reference",
    "--semantics": "not the C program's", "--backend": "not the C program's", "--threads": "not the C program's",
    "--detector": "not the C program's", "--device": "not the C program's", "--devices": "not the C program's",
    "--precision": "not the C program's",
    "--cull": "not the C program's", "--method": "not the C program's", "--tail": "not the C program's", "-v": "text",
    "--quiet": "not the C program's", "--log": "not the C program's",
    "-floatfile": "on every line", "-intfile": "on every line",
    "-pgmfile": "on every line", "-noisefile": "on every line", "-nonoise": "the noise image is compared",
    "-nopgm": "the picture is compared", "-density": "not the C program's", "-MW": "not the C program's",
    "-hdiv": "without effect", "-detsize_x": "without effect", "-xdet_vector": "without effect",
    "-printout": "text of every pixel", "-misset_seed": "goes with -misset random", "-stolout": "no input",
    "--column": "of files that the C program cannot read",
    "--F000": "physical semantics", "--direct-beam": "physical semantics",
    "--beamstop": "physical semantics", "--beamstop-distance": "physical semantics",
    "--beamstop-offset": "physical semantics", "--beamstop-arm": "physical semantics",
    "--beamstop-arm-angle": "physical semantics",
    "--crystal-size": "physical semantics", "--crystal-habit": "physical semantics",
    "--crystal-offset": "physical semantics", "--crystal-wobble": "physical semantics",
    "--crystal-wobble-cycles": "physical semantics", "--crystal-wobble-phase": "physical semantics",
    "--block-size": "physical semantics",
    "--mosaicity": "physical semantics", "--strain": "physical semantics",
    "--beam-profile": "physical semantics", "--beam-size": "physical semantics",
    "--beam-divergence": "physical semantics", "--bandwidth": "physical semantics",
    "--beam-divergence-deg": "physical semantics", "--bandwidth-fwhm": "physical semantics",
    "--spectrum": "physical semantics",
    "--space-group": "of files that the C program cannot read",
}

Group = tuple[str, ...]  #: A flag with its values, or flags that belong together.
Draw = Callable[[random.Random], str]


def _between(low: float, high: float, digits: int = 3) -> Draw:
    return lambda rng: f"{rng.uniform(low, high):.{digits}f}"


def _whole(low: int, high: int) -> Draw:
    return lambda rng: str(rng.randint(low, high))


def _one_of(*values: object) -> Draw:
    return lambda rng: str(rng.choice(values))


def _direction(main: int) -> Draw:
    """A vector near an axis, not always of unit length."""
    def draw(rng: random.Random) -> str:
        components = [rng.choice([0.0, round(rng.uniform(-0.1, 0.1), 3)]) for _ in range(3)]
        components[abs(main) - 1] = rng.choice([1.0, 1.0, 2.5]) * (1 if main > 0 else -1)
        return " ".join(f"{component:g}" for component in components)
    return draw


def _cell(rng: random.Random) -> str:
    lengths = [f"{rng.uniform(20, 120):.2f}" for _ in range(3)]
    angles = [f"{rng.uniform(70, 110):.2f}" for _ in range(3)]
    kind = rng.randrange(5)
    if kind == 0:
        return lengths[0]
    if kind == 1:
        return " ".join([*lengths, "90 90 90"])
    if kind == 2:
        return " ".join([*lengths, "90", angles[1], "90"])
    return " ".join([*lengths, *angles])


def _roi(rng: random.Random) -> str:
    low, high = rng.randint(-1, 3), rng.randint(-1, 3)
    return f"{low} {rng.choice([-1, rng.randint(4, 8)])} {high} {rng.choice([-1, rng.randint(4, 8)])}"


_SWITCH: Draw = lambda rng: ""  # noqa: E731

#: How the values of each flag are drawn, and how often the flag is on a line.
DRAWN: dict[str, tuple[float, Draw]] = {
    "-N": (0.6, _whole(0, 12)), "-Na": (0.25, _whole(1, 9)), "-Nb": (0.25, _whole(1, 9)), "-Nc": (0.25, _whole(1, 9)),
    "-xtalsize": (0.06, _between(1e-6, 5e-5, 7)), "-sample_x": (0.05, _between(1e-6, 5e-5, 7)),
    "-sample_y": (0.05, _between(1e-6, 5e-5, 7)), "-sample_z": (0.05, _between(1e-6, 5e-5, 7)),
    "-square_xtal": (0.05, _SWITCH), "-round_xtal": (0.12, _SWITCH), "-gauss_xtal": (0.12, _SWITCH),
    "-tophat_spots": (0.1, _SWITCH), "-fudge": (0.15, _between(0.2, 3.0)),
    "-mosaic": (0.25, _one_of(0, 0.3, 1, 2.5, 10)), "-mosaic_domains": (0.25, _whole(0, 4)),
    "-mosaic_seed": (0.1, _whole(1, 10**6)), "-water": (0.12, _one_of(0, 0.5, 5)),
    "-misset": (0.6, lambda rng: " ".join(f"{rng.uniform(-180, 180):.2f}" for _ in range(3))),
    "-interpolate": (0.12, _SWITCH), "-nointerpolate": (0.1, _SWITCH),
    "-energy": (0.1, _between(4000, 14000, 1)), "-fluence": (0.2, _one_of("1e24", "3e29", "1e20", "5e32")),
    "-flux": (0.1, _one_of(0, "1e12", "3e10")), "-exposure": (0.1, _one_of(0.1, 2, 0)),
    "-beamsize": (0.1, _one_of(0.03, 0.00001, 0.1)), "-polar": (0.3, _one_of(0, 0.9, -0.5, 1, -1, 0.123)),
    "-nopolar": (0.1, _SWITCH), "-divergence": (0.1, _between(0.1, 8.0)),
    "-hdivrange": (0.1, _between(0.0, 8.0)), "-vdivrange": (0.1, _between(0.0, 8.0)),
    "-hdivstep": (0.08, _between(0.5, 4.0)), "-vdivstep": (0.08, _between(0.5, 4.0)), "-divsteps": (0.08, _whole(0, 4)),
    "-hdivsteps": (0.08, _whole(0, 4)), "-vdivsteps": (0.08, _whole(0, 4)), "-round_div": (0.05, _SWITCH),
    "-square_div": (0.1, _SWITCH), "-dispersion": (0.15, _between(0.0, 5.0)), "-dispsteps": (0.12, _whole(0, 4)),
    "-sourcefile": (0.08, _one_of("sources.txt", "short.txt")),
    "-distance": (0.9, _between(20, 250, 2)), "-close_distance": (0.15, _between(20, 250, 2)),
    "-pixel": (0.9, _one_of(0.1, 0.2, 0.5, 1, 2, 0.172, 3.7)), "-detpixels": (0.0, _whole(4, 24)),
    "-detpixels_f": (0.15, _whole(4, 24)), "-detpixels_s": (0.15, _whole(4, 24)), "-detsize": (0.0, _between(1, 6)),
    "-detsize_f": (0.1, _between(1, 6)), "-detsize_s": (0.1, _between(1, 6)), "-img": (0.05, _one_of("header.img")),
    "-mosflm": (0.15, _SWITCH), "-denzo": (0.12, _SWITCH), "-adxv": (0.12, _SWITCH), "-xds": (0.15, _SWITCH),
    "-dials": (0.12, _SWITCH), "-Xbeam": (0.25, _between(-5, 15)), "-Ybeam": (0.25, _between(-5, 15)),
    "-Xclose": (0.1, _between(-5, 15)), "-Yclose": (0.1, _between(-5, 15)), "-ORGX": (0.12, _between(-10, 40)),
    "-ORGY": (0.12, _between(-10, 40)), "-pivot": (0.15, _one_of("sample", "beam")),
    "-detector_rotx": (0.2, _between(-40, 40)), "-detector_roty": (0.2, _between(-40, 40)),
    "-detector_rotz": (0.2, _between(-90, 90)), "-twotheta": (0.2, _between(-40, 40)),
    "-beam_vector": (0.04, _direction(1)), "-fdet_vector": (0.05, _direction(3)),
    "-sdet_vector": (0.05, _direction(-2)),
    "-odet_vector": (0.05, _direction(1)), "-polar_vector": (0.05, _direction(3)),
    "-twotheta_axis": (0.05, lambda rng: f"0 {rng.choice([0, 0.1, -1])} {rng.choice([1, -1, 2])}"),
    "-pix0_vector": (0.04, _one_of("0.1 0.002 -0.003")),
    "-detector_abs": (0.15, _one_of(300, 50.5, "inf", 0, 1000)), "-detector_thick": (0.15, _between(10, 600, 1)),
    "-detector_thicksteps": (0.12, _whole(0, 4)), "-point_pixel": (0.1, _SWITCH), "-curved_det": (0.1, _SWITCH),
    "-phi": (0.3, _one_of(0, -1, 10, 33.3, -0.5)), "-osc": (0.25, _one_of(0, 1, 2, 3, 0.7, 90)),
    "-phistep": (0.1, _one_of(0.5, 1, 0)), "-phisteps": (0.25, _whole(0, 4)), "-spindle_axis": (0.05, _direction(3)),
    "-oversample": (0.95, _one_of(1, 1, 1, 2, 3, 0)), "-oversample_thick": (0.08, _SWITCH),
    "-oversample_polar": (0.08, _SWITCH), "-oversample_omega": (0.08, _SWITCH), "-roi": (0.12, _roi),
    "-mask": (0.06, _one_of("mask.img")), "-dmin": (0.15, _between(0.5, 30)), "-scale": (0.1, _one_of(0, 2, 1e-3, 37)),
    "-pgmscale": (0.1, _one_of(0, 1, 0.01, 50)), "-adc": (0.1, _one_of(0, 10, 40.5)),
    "-printout_pixel": (0.03, _one_of("1 2")), "-trace_pixel": (0.03, _one_of("2 1")), "-seed": (1.0, _whole(1, 10**6)),
    "-noprogress": (0.05, _SWITCH), "-progress": (0.03, _SWITCH), "-stol": (0.03, _one_of("stol.txt")),
    "-4stol": (0.03, _one_of("stol.txt")), "-Q": (0.03, _one_of("stol.txt")), "-coherent": (0.03, _SWITCH),
}
#: Drawn by `draw_line` itself, one way or another.
ALWAYS = {"-cell", "-mat", "-hkl", "-default_F", "-lambda", "-dump"}


def check_table() -> None:
    """Every flag is drawn, or left out for a reason."""
    named = {flag.name for flag in FLAGS}
    known = set(DRAWN) | ALWAYS | set(LEFT_OUT)
    if named != known:
        raise SystemExit(f"fuzz_parity: flags without a rule: {sorted(named - known)}; "
                         f"no such flags: {sorted(known - named)}")


def draw_line(rng: random.Random) -> list[Group]:
    """A random command line: the parts without which there is no image, and any others, shuffled."""
    spellings = {flag.name: flag.names for flag in FLAGS}
    groups: list[Group] = [("-detpixels", _whole(4, 24)(rng)) if rng.random() < 0.8 else
                           ("-detsize", _between(1, 5)(rng), "-pixel", "0.25")]
    crystal = rng.random()
    if crystal < 0.85:
        groups.append(("-cell", *_cell(rng).split()))
    if crystal > 0.8:
        groups.append((rng.choice(["-mat", "-matrix"]), "a.mat"))
    factors = rng.random()
    if factors < 0.65:
        groups.append(("-default_F", rng.choice(["100", "33.3", "-7"])))
    if factors > 0.55:
        groups.append(("-hkl", rng.choice(["wide.hkl", "small.hkl", "flat.hkl"])))
        if rng.random() < 0.3:
            groups.append(("-dump", "new.dump"))
    elif rng.random() < 0.1:
        groups.append(("-dump", "known.dump"))
    if rng.random() < 0.8:
        groups.append((rng.choice(spellings["-lambda"]), _between(0.5, 6.5)(rng)))
    for name, (chance, draw) in DRAWN.items():
        if rng.random() < chance:
            groups.append((rng.choice(spellings[name]), *draw(rng).split()))
            if rng.random() < 0.05:
                groups.append((rng.choice(spellings[name]), *draw(rng).split()))
    if rng.random() < 0.1:
        # The 2025 build takes -misset_seed for -misset too, so random comes after it and no other misset.
        groups = [group for group in groups if group[0] != "-misset"]
        groups.append(("-misset_seed", str(rng.randint(1, 10**6)), "-misset", "random"))
    if any(group[0] == "-mask" for group in groups):
        # Of the size of the mask, which its header sets; any other is refused.
        groups = [group for group in groups if not group[0].startswith(("-detpixels", "-detsize", "-pixel"))]
        groups.append(("-detpixels_f", "14", "-detpixels_s", "11", "-pixel", "0.3"))
    rng.shuffle(groups)
    return groups


def write_lists(folder: Path) -> None:
    """Write the text files that lines name."""
    numbers = np.random.default_rng(7)
    for name, reach in (("wide", (12, 12, 12)), ("small", (3, 2, 4)), ("flat", (6, 0, 6))):
        rows = [f"{h} {k} {l} {numbers.uniform(0, 300):.2f}" for h in range(-reach[0], reach[0] + 1)
                for k in range(-reach[1], reach[1] + 1) for l in range(-reach[2], reach[2] + 1)  # noqa: E741
                if numbers.random() < 0.9]
        (folder / f"{name}.hkl").write_text("\n".join(rows) + "\n")
    (folder / "a.mat").write_text("0.0004 0.0156 -0.0142\n-0.0126 0.0048 0.0003\n0.0008 0.0123 0.0158\n")
    (folder / "sources.txt").write_text("-10 0.02 0.01 1.0 1.00e-10\n-10 -0.03 0.02 2.5 1.31e-10\n"
                                        "-8 0 -0.04 0.5 0.9e-10\n")
    (folder / "short.txt").write_text("-10 0.02 0.01\n-10 -0.03\n")
    (folder / "stol.txt").write_text("0 2.5\n0.1 3\n0.2 5\n0.4 3\n")
