"""Faults planted in kernels or PTX are found; without them the same launch runs clean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from cubragg import simulate
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.culling import Culling
from cubragg.plan.make_plan import make_plan
from ptx.stand_in import Change, Machine, PtxFault, same
from ptx.test_other_kernels import on_device
from ptx.translation import UnknownPtxError, translate
from support.analytic_experiments import experiment
from support.experiments import small_experiment
from support.marks import slow_after
from support.nvrtc import Compiled

pytestmark = pytest.mark.requirement("AT-BAK-012")


def render(cupy, precision: str = "single", domains: int = 3, **sampling: float) -> np.ndarray:
    """Render a small image with culling."""
    plan = make_plan(small_experiment(
        crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": domains},
        beam={"dispersion_percent": 1.0, "dispersion_steps": 2},
        detector={"fast_pixels": 11, "slow_pixels": 9}, sampling={"mask": np.ones((9, 11), dtype=bool), **sampling}))
    return CudaEngine(plan, precision, culling=Culling(True, (8, 8))).render()


def replaced(old: str, new: str) -> Change:
    """A change that replaces every occurrence of a text; there is one."""
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)
    return change


def without_barrier(file: str, number: int) -> Change:
    """A change that takes a barrier out of a file of the kernels, numbered from 0."""
    def change(text: str) -> str:
        before, start, after = text.partition(f'#line 1 "{file}"')
        assert start
        parts = after.split("    SYNC();")
        return before + start + "    SYNC();".join(parts[:number + 1]) + parts[number + 1] + "".join(
            "    SYNC();" + part for part in parts[number + 2:])
    return change


class Barrier(NamedTuple):
    """A barrier of a file of the kernels, numbered from 0, and an image whose tiles need it."""

    file: str
    number: int
    precision: str = "single"
    domains: int = 3
    dmin_A: float = 0.0
    keeps_votes: bool = True


# Regions and votes of culling (0 to 2), also where votes are not kept (3, 4); the selected orientations, listed from
# two words of votes, before and after they are prepared in single precision (5, 6), or their cell axes are copied in
# others (7, 8: two chunks); centre and origin of a tile in single precision, the latter with a cut by resolution, which
# reads it before the next barrier.
@pytest.mark.parametrize("taken", slow_after(1, [
    Barrier("selection.cuh", 2), Barrier("selection.cuh", 0), Barrier("selection.cuh", 1),
    Barrier("selection.cuh", 3, keeps_votes=False), Barrier("selection.cuh", 4, keeps_votes=False),
    Barrier("selection.cuh", 5, domains=40), Barrier("selection.cuh", 6),
    Barrier("selection.cuh", 7, "double", domains=70), Barrier("selection.cuh", 8, "double", domains=70),
    Barrier("pixel_factors.cuh", 0), Barrier("pixel_factors.cuh", 1, dmin_A=1.0)]))
def test_a_barrier_taken_out(cupy, taken):
    take_out = without_barrier(taken.file, taken.number)
    forget = same if taken.keeps_votes else replaced("#define VOTE_WORDS 512", "#define VOTE_WORDS 2")
    cupy.change = lambda text: take_out(forget(text))
    with pytest.raises(PtxFault, match=r"race|without a value"):
        render(cupy, taken.precision, taken.domains, dmin_A=taken.dmin_A)


# Rows of samples, their values, sums of columns, and the next part of a spot.
@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_a_barrier_taken_out_of_spots(cupy, number):
    take_out = without_barrier("analytic.cu", number)
    cupy.change = lambda text: take_out(text) if '"analytic.cu"' in text else text
    experiment = small_experiment(crystal={"shape": "gauss", "mosaicity_deg": 0.3}, goniometer={"osc_deg": 0.5},
                                  semantics="physical")
    with pytest.raises(PtxFault, match=r"race|without a value"):
        simulate(experiment, method="analytic", backend="cuda", precision="double")


@pytest.mark.parametrize("fault", slow_after(1, [
    ("p.first_record + first + i;", "p.first_record + first + i + 1;"),
    ("chosen[number[i]]", "chosen[number[i] + 1]")]))
def test_a_fault_in_the_constants_of_spots(cupy, fault):
    """A record is stored to the place of the next one, or is that of the next segment."""
    change = replaced(*fault)
    cupy.change = lambda text: change(text) if '"spot_list.cu"' in text else text
    with pytest.raises(PtxFault, match="outside the arrays"):
        on_device("double", experiment())


@pytest.mark.slow
def test_a_ballot_of_a_part_of_a_warp(cupy):
    cupy.change = replaced("i < CHUNK; i += BLOCK", "i < (count); i += BLOCK")
    with pytest.raises(PtxFault, match="ballot that threads of the warp do not reach"):
        render(cupy)


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "named"), [(4, "outside the arrays"), (2, "misaligned")])
def test_an_index_that_is_off(cupy, offset, named):
    """Every pixel is stored to one place further, or half a place."""
    def change(ptx: str) -> str:
        before, register, after = ptx.partition("st.global.f32 \t[")
        assert register
        return before + register + after.replace("]", f"+{offset}]", 1)
    cupy.change_ptx = change
    with pytest.raises(PtxFault, match=named):
        render(cupy)


def test_the_image_without_a_fault(cupy):
    assert render(cupy).max() > 0


# A kernel by hand: 32 threads, values [32] to results [32]

_KERNEL = """.version 8.0
.target sm_90
.address_size 64
.visible .entry kernel(
	.param .u64 kernel_param_0,
	.param .u64 kernel_param_1,
	.param .u64 kernel_param_2
)
.maxntid 32, 1, 1
{
	.reg .pred 	%p<4>;
	.reg .b32 	%r<9>;
	.reg .f64 	%fd<9>;
	.reg .b64 	%rd<9>;
	ld.param.u64 	%rd1, [kernel_param_1];
	ld.param.u64 	%rd2, [kernel_param_2];
	mov.u32 	%r1, %tid.x;
	mul.wide.s32 	%rd3, %r1, 8;
	add.s64 	%rd4, %rd1, %rd3;
	add.s64 	%rd5, %rd2, %rd3;
	ld.global.nc.f64 	%fd1, [%rd4];
BODY
	ret;

}
"""


class ByHand:
    """NVRTC's place for PTX by hand."""

    def compile(self, text, options):
        """The text itself."""
        return Compiled(0, text.encode(), "")


def run(body: str, values: np.ndarray) -> np.ndarray:
    """Execute instructions on %fd1, a value; they store to [%rd5]."""
    results = np.zeros(32)
    machine = Machine(ByHand(), _KERNEL.replace("BODY", body), (), "kernel")
    machine.run((1, 1), 32, [np.zeros((), dtype=np.uint64), values, results])
    return results


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("case", slow_after(1, [
    ("st.global.f64 [%rd4], %fd1;", "store to an array that is read"),
    ("st.global.f64 [%rd2], %fd1;", "another thread stored"),
    ("st.global.f64 [%rd5], %fd1; \n ld.global.f64 %fd2, [%rd2];", "another thread"),
    ("setp.gt.s32 %p1, %r1, 7; \n @%p1 ret; \n bar.sync 0;", "barrier that threads do not reach")]))
def test_faults_by_hand(case):
    body, named = case
    with pytest.raises(PtxFault, match=named):
        run(body, np.ones(32))


@pytest.mark.slow
def test_memory_that_nothing_has_filled():
    values = np.ones(32)
    values.view(np.uint8)[-8:] = 0xff
    with pytest.raises(PtxFault, match="load of an array without a value"):
        run("st.global.f64 [%rd5], %fd1;", values)


def test_conversion_comparison_and_shift():
    """Values of the PTX manual: saturation, NaN to the upper bit, unordered comparison, shifts of 32 and more."""
    values = np.resize([1e10, -1e10, np.nan, -1.5, 2.5, 7.0], 32)
    got = run("cvt.rzi.s32.f64 %r2, %fd1;\ncvt.rn.f64.s32 %fd2, %r2;\nst.global.f64 [%rd5], %fd2;", values)
    np.testing.assert_array_equal(got[:6], [2**31 - 1, -2**31, -2**31, -1, 2, 7])
    got = run("setp.geu.f64 %p1, %fd1, 0d4000000000000000;\nselp.u32 %r2, 1, 0, %p1;\nshl.b32 %r3, %r2, 31;\n"
              "shr.s32 %r4, %r3, 40;\nshr.u32 %r5, %r3, 32;\nadd.s32 %r6, %r4, %r5;\n"
              "cvt.rn.f64.s32 %fd2, %r6;\nst.global.f64 [%rd5], %fd2;", values)
    np.testing.assert_array_equal(got[:6], [-1, 0, -1, 0, -1, -1])


@pytest.mark.parametrize("body", [
    "{\n .reg .b32 %temp;\n mov.b64 {%r2, %temp}, %fd2;\n }\ncvt.rn.f64.s32 %fd3, %r2;\nst.global.f64 [%rd5], %fd3;",
    "mov.b64 {%r2, %r3}, %fd2;\nand.b32 %r4, %r3, 1048575;\nshr.s32 %r5, %r2, 31;\nsub.s32 %r6, %r4, %r5;\n"
    "sub.s32 %r7, %r6, 524288;\nadd.s32 %r8, %r7, %r2;\ncvt.rn.f64.s32 %fd3, %r8;\nst.global.f64 [%rd5], %fd3;"])
def test_words_of_a_number(body):
    """A whole number in the low word of its sum with 1.5 2^52, whose high word has 2^19 in its last 20 bits."""
    values = np.resize([0.0, 1.0, 70000.0, 2.0**31 - 1], 32)
    assert run(f"add.rn.f64 %fd2, %fd1, 0d4338000000000000;\n{body}", values).tolist() == values.tolist()


@pytest.mark.parametrize("body", ["add.sat.s32 %r2, %r1, 1;", "add.rz.f64 %fd2, %fd1, %fd1;",
                                  "sin.approx.f32 %f1, %f2;", "cvt.s32.f64 %r2, %fd1;",
                                  ".local .align 8 .b8 depot[8];"])
def test_what_is_not_known_is_refused(body):
    with pytest.raises(UnknownPtxError):
        translate(_KERNEL.replace("BODY", body), "kernel")
