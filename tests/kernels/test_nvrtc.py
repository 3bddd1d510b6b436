"""NVRTC compiles every kernel variant, without a GPU: cubins for four generations of devices.

Needs the library alone (``pip install 'cubragg[ci-nvrtc]'``: the wheel nvidia-cuda-nvrtc-cu12, or a CUDA toolkit).
Every variant is compiled for sm_90, a choice of them for the others; ``pytest -m "" -rP`` prints the registers and
spills that ptxas reports.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from cubragg.crystallography.shapes import SHAPES
from cubragg.device.cuda_device import NVRTC_OPTIONS, build_error
from cubragg.device.kernel_source import kernel_folder, kernel_text
from cubragg.engine.analytic import list_kernel, spot_kernel
from cubragg.engine.cull_cost_model import TILES
from cubragg.engine.variant import PRECISIONS, TILE, Variant, cuda_variant
from cubragg.plan.make_plan import make_plan
from support.experiments import random_grid, small_experiment
from support.marks import slow_after
from support.nvrtc import Compiled, Nvrtc, Usage, installed
from support.shared_run import once

FACTORS = ("constant", "nearest", "tricubic")
#: (physical, running) that `cuda_variant` can produce.
SEMANTICS = ((False, False), (False, True), (True, False))
FULL_ARCH, OTHER_ARCHS = 90, (75, 80, 120)
#: CuPy adds this to the options of every module; the report is ptxas'.
ADDED = ("-ftz=true", "--ptxas-options=-v")


def plan_of(shape: str, factors: str, physical: bool, running: bool):
    """A plan that needs a variant."""
    experiment = small_experiment(
        crystal={"shape": SHAPES[shape].setting},
        sampling={"interpolate": factors == "tricubic", "oversample_omega": running},
        structure_factors={} if factors == "constant" else vars(random_grid(np.random.default_rng(0), 2)),
        semantics="physical" if physical else "nanobragg")
    return make_plan(experiment)


def every_variant() -> list[Variant]:
    made = [cuda_variant(plan_of(shape, factors, *semantics), precision)
            for shape, factors, semantics in itertools.product(SHAPES, FACTORS, SEMANTICS)
            if ("physical" if semantics[0] else "nanobragg") in SHAPES[shape].semantics for precision in PRECISIONS]
    made += [dataclasses.replace(variant, culled=True, tile=TILES["cuda"][0]) for variant in made
             if not variant.running]
    made += [dataclasses.replace(variant, two_floats=True) for variant in made if variant.precision == "single"
             or (variant.precision == "mixed" and SHAPES[variant.shape].fringes)]
    # A plan with a grid of 2^31 points would need 16 GB.
    return made + [dataclasses.replace(variant, wide_grid=True) for variant in made
                   if variant.shape == "square" and variant.factors != "constant" and not variant.running
                   and not variant.culled and not variant.two_floats]


#: What the quick tests compile of the variants with two floats.
_TWO_FLOATS = Variant("single", "square", "nearest", two_floats=True, physical=True, running=False)


def chosen(variant: Variant) -> bool:
    """Also compiled for the other generations: all precisions and factors of the common case, and each shape once."""
    if variant.wide_grid or variant.running or variant.culled or variant.two_floats:
        return variant == _TWO_FLOATS
    if variant.shape == "square":
        return not variant.physical
    return variant.physical == ("physical" in SHAPES[variant.shape].semantics) and variant.factors == "tricubic"


def label(variant: Variant) -> str:
    words = [variant.precision, variant.shape, variant.factors, "physical" if variant.physical else "nanobragg"]
    words += ["running"] * bool(variant.running) + ["wide"] * variant.wide_grid
    words += ["two floats"] * variant.two_floats
    return " ".join(words + ["culled {}x{}".format(*variant.tile)] * variant.culled)


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    return installed()


def compiled_once(nvrtc: Nvrtc, arch: int, variant: Variant) -> Compiled:
    options = (*NVRTC_OPTIONS, *variant.defines(), f"-arch=sm_{arch}", *ADDED)
    return once(("cubin", arch, variant), lambda: nvrtc.compile(kernel_text(variant.shape), options))


@pytest.mark.requirement("AT-BAK-007")
@pytest.mark.parametrize("variant", [
    variant if chosen(variant) else pytest.param(variant, marks=pytest.mark.slow) for variant in every_variant()],
    ids=label)
def test_every_variant(nvrtc, variant):
    check(compiled_once(nvrtc, FULL_ARCH, variant), variant)


@pytest.mark.requirement("AT-BAK-007")
@pytest.mark.slow
@pytest.mark.parametrize("variant", [variant for variant in every_variant() if chosen(variant)], ids=label)
@pytest.mark.parametrize("arch", OTHER_ARCHS)
def test_other_generations(nvrtc, arch, variant):
    if arch not in nvrtc.archs():
        pytest.skip(f"this NVRTC does not know sm_{arch}")
    check(compiled_once(nvrtc, arch, variant), variant)


def check(compiled: Compiled, variant: Variant) -> None:
    assert compiled.status == 0, compiled.log
    assert compiled.code.startswith(b"\x7fELF")
    assert "warning" not in compiled.log, compiled.log
    search = variant.factors == "tricubic" and variant.precision == "double"
    assert set(compiled.usage()) == {"render", *["find_outside"] * search}
    for usage in compiled.usage().values():
        assert usage.registers * variant.block <= 65536


@pytest.mark.parametrize("mean", ["float", "double"])
@pytest.mark.parametrize("count", ["int", "double"])
@pytest.mark.parametrize("arch", slow_after(1, [FULL_ARCH, *OTHER_ARCHS]))
def test_counts(nvrtc, arch, mean, count):
    """The kernel that draws counts."""
    options = (*NVRTC_OPTIONS, f"-DMEAN={mean}", f"-DCOUNT={count}", "-DTILE_FAST=128", "-DTILE_SLOW=1",
               f"-arch=sm_{arch}", *ADDED)
    compiled = nvrtc.compile(kernel_text("", "counts.cu"), options)
    assert compiled.status == 0, compiled.log
    assert "warning" not in compiled.log, compiled.log
    usage, = compiled.usage().values()
    assert (usage.stores, usage.loads) == (0, 0)
    assert usage.registers * 1024 <= 65536


def test_normals(nvrtc):
    """The kernel that draws Gaussian deviates."""
    options = (*NVRTC_OPTIONS, "-DTILE_FAST=128", "-DTILE_SLOW=1", f"-arch=sm_{FULL_ARCH}", *ADDED)
    compiled = nvrtc.compile(kernel_text("", "normal_deviates.cu"), options)
    assert compiled.status == 0, compiled.log
    assert "warning" not in compiled.log, compiled.log
    usage, = compiled.usage().values()
    assert (usage.stores, usage.loads) == (0, 0)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("arch", slow_after(1, [FULL_ARCH, *OTHER_ARCHS]))
def test_spots(nvrtc, arch, precision):
    """The kernel of the method analytic."""
    options = (*NVRTC_OPTIONS, *spot_kernel.cuda_defines(precision), f"-arch=sm_{arch}", *ADDED)
    compiled = nvrtc.compile(kernel_text("gauss", "analytic.cu"), options)
    assert compiled.status == 0, compiled.log
    assert "warning" not in compiled.log, compiled.log
    usage, = compiled.usage().values()
    assert (usage.stores, usage.loads) == (0, 0)
    assert usage.registers * spot_kernel.CUDA_TILE[0] * spot_kernel.CUDA_TILE[1] <= 65536


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("arch", slow_after(1, [FULL_ARCH, *OTHER_ARCHS]))
def test_constants_of_spots(nvrtc, arch, precision):
    """The kernels that compute the constants of spots; a record is larger than the registers of a thread."""
    options = (*NVRTC_OPTIONS, *list_kernel.cuda_defines(precision), f"-arch=sm_{arch}", *ADDED)
    compiled = nvrtc.compile(kernel_text("", "spot_list.cu"), options)
    assert compiled.status == 0, compiled.log
    assert "warning" not in compiled.log, compiled.log
    used = compiled.usage()
    assert set(used) == {"bound_spots", "fill_spots"}
    assert (used["bound_spots"].stores, used["bound_spots"].loads) == (0, 0)
    assert used["fill_spots"].stores < 1024
    assert all(usage.registers * list_kernel.BLOCK <= 65536 for usage in used.values())


#: Variants that count: of each precision and kind of factors, with and without culling.
COUNTED = [Variant(precision, "gauss", factors, culled=culled, tile=TILES["cuda"][0] if culled else TILE, counted=True,
                   physical=True, running=False)
           for precision in PRECISIONS for factors in FACTORS for culled in (False, True)]


@pytest.mark.parametrize("variant", slow_after(2, COUNTED[::-3] + COUNTED[1::3] + COUNTED[::3]), ids=label)
@pytest.mark.parametrize("arch", slow_after(1, [FULL_ARCH, *OTHER_ARCHS]))
def test_counts_in_the_kernel(nvrtc, arch, variant):
    """Where a kernel that counts has to spill more, that is a few values once a tile; the loop has its own test."""
    compiled = compiled_once(nvrtc, arch, variant)
    assert compiled.status == 0, compiled.log
    assert "warning" not in compiled.log, compiled.log
    usage, = compiled.usage().values()
    plain = compiled_once(nvrtc, arch, dataclasses.replace(variant, counted=False)).usage()["render"]
    assert usage.stores <= plain.stores + 256
    assert usage.registers * variant.block <= 65536


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("arch", slow_after(1, [FULL_ARCH, *OTHER_ARCHS]))
def test_counts_of_spots(nvrtc, arch, precision):
    """The kernels of the method analytic that count."""
    options = (*NVRTC_OPTIONS, *spot_kernel.cuda_defines(precision, counted=True), f"-arch=sm_{arch}", *ADDED)
    compiled = nvrtc.compile(kernel_text("gauss", "analytic.cu"), options)
    assert compiled.status == 0, compiled.log
    assert "warning" not in compiled.log, compiled.log
    used = compiled.usage()
    assert set(used) == {"count_spots", "count_background"}
    assert {(usage.stores, usage.loads) for usage in used.values()} == {(0, 0)}
    # Six blocks of tiles without a spot fit into a multiprocessor.
    assert used["count_background"].registers * 6 * spot_kernel.CUDA_TILE[0] * spot_kernel.CUDA_TILE[1] <= 65536


@pytest.mark.slow
def test_registers_and_spills(nvrtc):
    """Print, for the eye, the common case on every generation, and what spills."""
    lines = [f"{'registers (spilled bytes stored/loaded)':54}" + "".join(f"{f'sm_{arch}':>14}" for arch in
                                                                      sorted({FULL_ARCH, *OTHER_ARCHS}))]
    for variant in every_variant():
        archs = {FULL_ARCH} | (nvrtc.archs() & set(OTHER_ARCHS) if chosen(variant) else set())
        cells = {arch: compiled_once(nvrtc, arch, variant).usage() for arch in sorted(archs)}
        for entry in cells[FULL_ARCH]:
            used = {arch: usage[entry] for arch, usage in cells.items()}
            if not chosen(variant) and not any(usage.stores for usage in used.values()):
                continue
            row = "".join(f"{_cell(used.get(arch)):>14}" for arch in sorted({FULL_ARCH, *OTHER_ARCHS}))
            lines.append(f"{label(variant) + ('' if entry == 'render' else f' {entry}'):54}{row}")
    print("\n".join(lines))
    assert len(lines) > 1


def _cell(usage: Usage | None) -> str:
    return "" if usage is None else f"{usage.registers}" + (f" ({usage.stores}/{usage.loads})" if usage.stores else "")


def test_an_error_names_file_and_line(nvrtc):
    lines = kernel_folder().joinpath("shape_square.cuh").read_text().splitlines()
    number = next(number for number, line in enumerate(lines, start=1) if line.startswith("DEVICE void sines("))
    text = kernel_text("square").replace("DEVICE void sines(", "DEVICE not_a_type sines(")
    options = (*NVRTC_OPTIONS, *Variant("mixed", "square", "constant").defines())
    compiled = nvrtc.compile(text, (*options, f"-arch=sm_{FULL_ARCH}"))
    assert compiled.status != 0
    assert f"shape_square.cuh:{number}: " in str(build_error(compiled.log))


def test_sizes_that_differ_do_not_compile(nvrtc):
    """The struct as NumPy sees it must be the compiler's."""
    options = tuple(option if not option.startswith("-DPARAMS_SIZE") else "-DPARAMS_SIZE=8"
                    for option in (*NVRTC_OPTIONS, *Variant("mixed", "square", "constant").defines()))
    compiled = nvrtc.compile(kernel_text("square"), (*options, f"-arch=sm_{FULL_ARCH}"))
    assert "Params and its NumPy mirror differ in size" in compiled.log
    assert "params.cuh:" in str(build_error(compiled.log))
