"""The width of vectors: when it is measured, what is done with the result, and that it changes no bit."""

from __future__ import annotations

import ctypes
import math
import os

import numpy as np
import pytest

from cubragg.detect.counting import draw_counts
from cubragg.device import host_build, vector_width
from cubragg.device.host_build import build, find_compiler, selected_width
from cubragg.device.vector_width import OPTION, VectorWidth
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import KernelBuildError
from cubragg.plan.make_plan import make_plan
from support.experiments import large

MACROS = "#define __AVX512F__ 1\n"
TEXT = 'extern "C" int answer() { return 1; }\n'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir(0o700)
    monkeypatch.setenv("CUBRAGG_CACHE", str(folder))
    forget = host_build._measured_width.cache_clear
    forget()
    yield folder
    forget()


def needs_wide_vectors():
    if "__AVX512F__" not in find_compiler().predefined:
        pytest.skip("this CPU has no vectors of 512 bits")


class Library:
    """A library whose runs take so many ticks of a clock that only they move, as a list of one turn of runs."""

    def __init__(self, clock, ticks):
        self.clock, self.ticks, self.runs = clock, ticks, 0
        self.amplitudes = lambda orientations: self._run()

    def _run(self):
        self.clock[0] += self.ticks[self.runs % len(self.ticks)]
        self.runs += 1


def measured(cache, monkeypatch, default, wide, macros=MACROS):
    """The width where runs of the two libraries take these times, and the options of what was compiled."""
    clock, compiled = [0.0], []
    libraries = {"default": Library(clock, default), "wide": Library(clock, wide)}
    for library in libraries.values():
        library.amplitudes.restype = None

    def compile_into(options, text, folder):
        compiled.append(tuple(options))
        return folder

    monkeypatch.setattr(ctypes, "CDLL", lambda path: libraries[os.path.basename(path)])
    monkeypatch.setattr(vector_width.time, "perf_counter", lambda: clock[0])
    return vector_width.vector_width(cache, "c++", macros, ["-O3"], compile_into), compiled


@pytest.mark.requirement("AT-BAK-011")
@pytest.mark.parametrize(("default", "wide", "options"), [
    ([1.45], [1.0], (OPTION + "512",)),
    ([1.0], [1.0], ()),
    ([1.0], [1.45], ()),
    ([1.0, 9.0, 9.0], [1.0], ()),  # another program takes the core in most runs of one
    ([1.45], [9.0, 9.0, 9.0, 1.0], (OPTION + "512",)),
    ([1.05], [1.0], ()),  # not more than noise
])
def test_the_faster_width_is_selected(cache, monkeypatch, default, wide, options):
    found, compiled = measured(cache, monkeypatch, default, wide)
    assert found.options == options
    assert found.speedup == pytest.approx(min(default) / min(wide))
    assert compiled == [("-O3",), ("-O3", OPTION + "512")]


@pytest.mark.requirement("AT-BAK-011")
def test_it_is_measured_once(cache, monkeypatch):
    first, _ = measured(cache, monkeypatch, [1.5], [1.0])
    again, compiled = measured(cache, monkeypatch, [1.0], [1.5])
    assert (again, compiled) == (first, [])
    file, = cache.iterdir()  # nothing else is left
    file.write_text("damaged")
    assert measured(cache, monkeypatch, [1.0], [1.0])[0].options == ()


def test_another_cpu_or_compiler_is_measured_again(cache, monkeypatch):
    measured(cache, monkeypatch, [1.5], [1.0])
    assert measured(cache, monkeypatch, [1.0], [1.0], MACROS + "#define __VERSION__ 13\n")[1]
    monkeypatch.setattr(vector_width, "_processor", lambda: "another")
    assert measured(cache, monkeypatch, [1.0], [1.0])[1]
    assert len(list(cache.iterdir())) == 3


def test_nothing_is_measured_without_wide_vectors(cache, monkeypatch):
    found, compiled = measured(cache, monkeypatch, [1.5], [1.0], "#define __AVX2__ 1\n")
    assert (found.options, compiled, list(cache.iterdir())) == ((), [], [])
    assert str(found) == "vectors as the compiler's options say"


@pytest.mark.requirement("AT-BAK-011")
@pytest.mark.parametrize("error", [KernelBuildError("unrecognized option"), OSError("no space left")])
def test_what_cannot_be_measured_is_left_to_the_compiler_and_not_tried_again(cache, error):
    tried = []

    def compile_into(options, text, folder):
        tried.append(options)
        raise error
    for _ in range(2):
        assert vector_width.vector_width(cache, "c++", MACROS, ["-O3"], compile_into).options == ()
    assert len(tried) == 1


def test_a_cache_that_cannot_be_written_fails_no_run(tmp_path):
    found = vector_width.vector_width(tmp_path / "absent", "c++", MACROS, [], lambda *args: pytest.fail("compiled"))
    assert math.isnan(found.speedup)


# With the compiler of this machine


@pytest.mark.requirement("AT-BAK-011")
def test_a_measurement(cache):
    needs_wide_vectors()
    found = selected_width(find_compiler())
    assert 0.0 < found.speedup < math.inf
    file, = cache.iterdir()
    assert float(file.read_text()) == found.speedup


@pytest.mark.requirement("AT-BAK-011")
@pytest.mark.parametrize(("variable", "words"), [
    ("CUBRAGG_CXXFLAGS", OPTION + "256"), ("CUBRAGG_CXXFLAGS", "-O1 -march=x86-64"), ("CXX", OPTION + "256")])
def test_the_options_of_the_user_come_first(cache, monkeypatch, variable, words):
    monkeypatch.setenv(variable, f"{find_compiler().command[0]} {words}" if variable == "CXX" else words)
    monkeypatch.setattr(vector_width, "vector_width", None)
    assert selected_width(find_compiler()) == VectorWidth()
    build(TEXT, [])
    assert not list(cache.glob("vector-width-*"))


def test_the_width_is_an_option_of_the_compiler_and_in_the_key(cache, monkeypatch):
    needs_wide_vectors()
    compiled, real = [], host_build._compile
    monkeypatch.setattr(host_build, "_compile",
                        lambda compiler, options, *args: compiled.append(options) or real(compiler, options, *args))
    libraries = set()
    for speedup in (1.0, 2.0):
        monkeypatch.setattr(host_build, "_measured_width", lambda compiler, speedup=speedup: VectorWidth(speedup))
        libraries.add(build(TEXT, []))
    assert [OPTION + "512" in options for options in compiled] == [False, True]
    assert len(libraries) == 2


@pytest.mark.requirement("AT-BAK-011")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_width_changes_no_bit(precision, monkeypatch):
    needs_wide_vectors()
    plan = make_plan(large(crystal={"mosaic_spread_deg": 0.4, "mosaic_domains": 5}, sampling={"oversample": 2}))
    images = []
    for width in ("256", "512"):
        monkeypatch.setenv("CUBRAGG_CXXFLAGS", OPTION + width)
        images.append(HostEngine(plan, precision).render(1))
    assert images[0].max() > 0.0
    assert images[0].tobytes() == images[1].tobytes()


def test_width_changes_no_count(monkeypatch):
    needs_wide_vectors()
    means = np.linspace(0.0, 60.0, 24 * 20, dtype=np.float64).reshape(20, 24)
    expected = draw_counts(means, seed=5, backend="numpy")
    for width in ("256", "512"):
        monkeypatch.setenv("CUBRAGG_CXXFLAGS", OPTION + width)
        np.testing.assert_array_equal(draw_counts(means, seed=5, backend="cpu"), expected)
