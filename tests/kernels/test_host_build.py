"""Compiling on the user's machine: the cache, and everything that can be in the way."""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cubragg.crystallography.shapes import SHAPES
from cubragg.device import host_build
from cubragg.device.host_build import build, find_compiler
from cubragg.device.kernel_source import inlined, kernel_folder, kernel_text
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.kernel_params import PARAMS
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.plan.make_plan import make_plan
from support.experiments import small_experiment
from support.messages import refusal

TEXT = 'extern "C" int answer() { return ANSWER; }\n'
HERE = Path(__file__).resolve().parent


def answer(library: Path) -> int:
    return ctypes.CDLL(str(library)).answer()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("CUBRAGG_CACHE", str(folder))
    return folder


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Make ``CXX`` a shell script with this text."""
    def install(text: str) -> Path:
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        monkeypatch.setenv("CXX", str(path))
        return path
    host_build._predefined.cache_clear()
    yield install
    host_build._predefined.cache_clear()


def folders(cache: Path) -> list[str]:
    """Everything in the cache but the width of vectors, which is measured once per process."""
    return sorted(entry.name for entry in cache.iterdir() if not entry.name.startswith("vector-width-"))


@pytest.mark.requirement("AT-BAK-004")
def test_second_use_does_not_compile(cache, monkeypatch):
    first = build(TEXT, ["-DANSWER=1"])
    assert first.parent.parent == cache
    assert answer(first) == 1
    monkeypatch.setattr(host_build, "_compile", None)
    assert build(TEXT, ["-DANSWER=1"]) == first
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.requirement("AT-BAK-004")
def test_key_covers_source_options_compiler_and_cpu(cache, monkeypatch):
    libraries = {build(TEXT, ["-DANSWER=1"]), build(TEXT, ["-DANSWER=2"]), build(TEXT + "\n", ["-DANSWER=1"])}
    real = find_compiler()
    other = host_build.Compiler(real.command, real.predefined + "#define __AVX1024F__ 1\n")
    monkeypatch.setattr(host_build, "find_compiler", lambda: other)
    libraries.add(build(TEXT, ["-DANSWER=1"]))
    assert len(libraries) == len(folders(cache)) == 4


# The compiler


@pytest.mark.requirement("AT-BAK-005")
def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with refusal(BackendUnavailable, "backend cpu", "", "compiler", "c++, g++, clang++", "CXX", "numpy"):
        find_compiler()


def test_compiler_asked_for_is_missing(monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/c++ -m64")
    with refusal(BackendUnavailable, "CXX=/nowhere/c++ -m64", "", "program"):
        find_compiler()


@pytest.mark.parametrize("words", ["'", 'g++ "-O1', "g++ \\"])
def test_compiler_with_an_open_quotation(words, monkeypatch):
    monkeypatch.setenv("CXX", words)
    with refusal(BackendUnavailable, "CXX=" + words, "", "quotation"):
        find_compiler()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("CUBRAGG_CXXFLAGS", words)
    with refusal(BackendUnavailable, "CUBRAGG_CXXFLAGS=" + words, "", "quotation"):
        build(TEXT, ["-DANSWER=1"])


def test_options_that_are_no_utf8(cache, monkeypatch):
    monkeypatch.setenv("CUBRAGG_CXXFLAGS", os.fsdecode(b"-DNAME=\xff"))
    assert answer(build(TEXT, ["-DANSWER=3"])) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_leaves_its_parents_private_folder(tmp_path):
    code = ("import os, sys; from cubragg.device.host_build import _private_folder as folder; path = folder()\n"
            "child = os.fork()\n"
            "if child == 0: sys.exit()\n"
            "os.waitpid(child, 0); assert path.is_dir(); print(path)")
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
                          capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()


def test_compiler_with_options(monkeypatch):
    monkeypatch.setenv("CXX", f"{find_compiler().command[0]} -DEXTRA=7")
    assert "#define EXTRA 7" in find_compiler().predefined


@pytest.mark.requirement("AT-BAK-005")
def test_compiler_that_fails(cache, script):
    script('case "$*" in *-dM*) exit 0;; esac; echo "lattice.cuh:12:5: error: no such unit" >&2; exit 1')
    with refusal(KernelBuildError, "backend cpu", "lattice.cuh:12", "compile", "no such unit"):
        build(TEXT, ["-DANSWER=1"])
    assert folders(cache) == []


def test_compiler_that_does_nothing_right(cache, script):
    script("echo out of memory >&2; exit 3")
    with refusal(KernelBuildError, "backend cpu", "", "compile", "out of memory"):
        build(TEXT, ["-DANSWER=1"])


def test_compiler_that_writes_nothing(cache, script):
    script("exit 0")
    with refusal(KernelBuildError, "backend cpu", "", "compile"):
        build(TEXT, ["-DANSWER=1"])


def test_compiler_that_does_not_run(tmp_path, monkeypatch):
    path = tmp_path / "compiler"
    path.write_text("#!/nowhere/interpreter\n")
    path.chmod(0o700)
    monkeypatch.setenv("CXX", str(path))
    with refusal(KernelBuildError, "backend cpu", str(path), "run"):
        find_compiler()


@pytest.mark.requirement("AT-BAK-005")
def test_error_in_a_header_names_file_and_line(cache, tmp_path):
    source = kernel_folder().joinpath("lattice.cuh").read_text().splitlines()
    line = next(number for number, text in enumerate(source) if re.match(r"struct .*Orientation \{", text))
    source.insert(line, "int planted = missing;")
    (tmp_path / "lattice.cuh").write_text("\n".join(source))
    text = inlined("render.cu", [tmp_path, kernel_folder()], "square")
    with pytest.raises(KernelBuildError, match=f"lattice.cuh:{line + 1}: .*missing"):
        build(text, [f"-DPARAMS_SIZE={PARAMS.itemsize}", "-DPRECISION=0", "-DSHAPE=square", "-DFACTORS=0"])


def test_struct_and_its_mirror_must_agree(cache):
    with pytest.raises(KernelBuildError, match=r"params\.cuh:.*differ in size"):
        build(kernel_text("square"), ["-DPARAMS_SIZE=8", "-DPRECISION=0", "-DSHAPE=square", "-DFACTORS=0"])


@pytest.mark.requirement("AT-BAK-007")
def test_kernels_are_what_a_gpu_compiles():
    """No file is for the CPU alone, and none includes a header of the system."""
    texts = [*(kernel_text(shape) for shape in SHAPES),
             *(kernel_text("", name) for name in ("analytic.cu", "counts.cu", "normal_deviates.cu", "spot_list.cu"))]
    assert set(re.findall(r'#line 1 "(.+)"', "".join(texts))) == {
        path.name for path in kernel_folder().iterdir() if path.name.endswith((".cu", ".cuh"))}
    assert not any("#include" in text for text in texts)


def test_includes_are_inlined_once():
    text = kernel_text("square")
    assert text.count('#line 1 "portable.cuh"') == 1
    with pytest.raises(FileNotFoundError, match=r"nothing\.cu: no such kernel file"):
        inlined("nothing.cu", [kernel_folder()], "square")
    with pytest.raises(FileNotFoundError, match=r"shape_cube\.cuh: no such kernel file"):
        kernel_text("cube")


# The cache


@pytest.mark.requirement("AT-BAK-004")
def test_broken_library_is_rebuilt(cache):
    library = build(TEXT, ["-DANSWER=1"])
    library.write_bytes(library.read_bytes()[:1000])
    assert build(TEXT, ["-DANSWER=1"]) == library
    assert answer(library) == 1


@pytest.mark.parametrize("wreck", ["checksum", "file", "link"])
def test_wrecked_entry_is_rebuilt(cache, wreck, tmp_path):
    library = build(TEXT, ["-DANSWER=1"])
    folder = library.parent
    if wreck == "checksum":
        (folder / "sha256").unlink()
    elif wreck == "link":
        library.rename(tmp_path / "elsewhere.so")
        library.symlink_to(tmp_path / "elsewhere.so")
    else:
        library.unlink()
        (folder / "sha256").unlink()
        folder.rmdir()
        folder.write_text("a file where a folder should be")
    assert build(TEXT, ["-DANSWER=1"]) == library
    assert not library.is_symlink()
    assert answer(library) == 1
    assert folders(cache) == [folder.name]


@pytest.mark.requirement("AT-BAK-004")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_nothing_is_loaded_from_a_folder_that_others_write(cache, mode):
    inside = build(TEXT, ["-DANSWER=1"])
    cache.chmod(mode)
    outside = build(TEXT, ["-DANSWER=1"])
    assert cache not in outside.parents
    assert outside.parent.parent.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o700)
    assert build(TEXT, ["-DANSWER=1"]) == inside


def test_a_folder_above_that_others_write(tmp_path, monkeypatch):
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    monkeypatch.setenv("CUBRAGG_CACHE", str(above / "cache"))
    assert above not in build(TEXT, ["-DANSWER=1"]).parents


@pytest.mark.parametrize("what", ["library", "entry"])
def test_library_that_others_write_is_rebuilt(cache, what):
    library = build(TEXT, ["-DANSWER=1"])
    path = library if what == "library" else library.parent
    path.chmod(0o777)
    assert build(TEXT, ["-DANSWER=1"]) == library
    assert path.stat().st_mode & 0o022 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_library_of_another_user_is_rebuilt(cache):
    library = build(TEXT, ["-DANSWER=1"])
    os.chown(library, 65534, 65534)
    assert build(TEXT, ["-DANSWER=1"]) == library
    assert library.stat().st_uid == 0


@pytest.mark.requirement("AT-BAK-004")
@pytest.mark.parametrize("home", ["read-only", "impossible"])
def test_read_only_home(tmp_path, monkeypatch, home):
    place = tmp_path / "home" if home == "read-only" else Path("/proc/nowhere")
    if home == "read-only":
        place.mkdir(mode=0o500)
        # Root may write anywhere: let it have the answer that others would.
        monkeypatch.setattr(os, "access", lambda path, mode: place not in Path(path).parents)
    monkeypatch.delenv("CUBRAGG_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(place))
    library = build(TEXT, ["-DANSWER=1"])
    assert place not in library.parents
    assert answer(library) == 1


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("CUBRAGG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard says: ignore
    assert host_build.cache_folder() == Path("/home/me/.cache/cubragg")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/my")
    assert host_build.cache_folder() == Path("/var/my/cubragg")
    monkeypatch.setenv("CUBRAGG_CACHE", "/fast")
    assert host_build.cache_folder() == Path("/fast")


@pytest.mark.requirement("AT-BAK-004")
def test_two_processes_at_once(cache):
    program = ("import ctypes, sys; from cubragg.device.host_build import build; "
               "print(ctypes.CDLL(str(build(sys.argv[1], ['-DANSWER=5']))).answer())")
    processes = [subprocess.Popen([sys.executable, "-c", program, TEXT], stdout=subprocess.PIPE, text=True,
                                  cwd=HERE.parents[1]) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == ["5"] * 3
    assert len(folders(cache)) == 1


def test_cache_where_nothing_may_run(cache, monkeypatch):
    build(TEXT, ["-DANSWER=10"])  # measures the width of vectors
    real, tried = ctypes.CDLL, []

    def refuse(path):
        tried.append(path)
        if str(cache) in path:
            raise OSError("failed to map segment from shared object")
        return real(path)
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert host_build.load(TEXT, ["-DANSWER=11"]).answer() == 11
    assert len(tried) == 2
    monkeypatch.setattr(host_build, "_private_folder", lambda: cache)
    with refusal(KernelBuildError, "backend cpu", "", "load", "failed to map segment"):
        host_build.load(TEXT, ["-DANSWER=12"])


def test_renders_without_a_cache(cache, monkeypatch):
    monkeypatch.setattr(host_build, "usable_cache", host_build._private_folder)
    assert HostEngine(make_plan(small_experiment())).render(1).max() > 0.0


# Sanitizers


def _sanitizers() -> list[str]:
    found = []
    for name in ("libasan.so", "libubsan.so"):
        path = subprocess.run([*find_compiler().command, f"-print-file-name={name}"], capture_output=True, text=True,
                              check=True).stdout.strip()
        if not os.path.isabs(path):
            pytest.skip(f"{name} is not installed")
        found.append(path)
    return found


@pytest.mark.requirement("AT-BAK-008")
@pytest.mark.slow
def test_kernels_under_asan_and_ubsan(cache):
    if "CUBRAGG_SANITIZED" in os.environ:
        pytest.skip("this is the sanitized run")
    # The compiler itself is not to be sanitized too: it would take several times as long, as to optimize the checks.
    environment = os.environ | {
        "CXX": shlex.join(["env", "-u", "LD_PRELOAD", *find_compiler().command]),
        "CUBRAGG_CXXFLAGS": "-O0 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all", "CUBRAGG_SANITIZED": "1",
        "LD_PRELOAD": ":".join(_sanitizers()), "ASAN_OPTIONS": "detect_leaks=0"}
    # Every shape and every way to look up a structure factor in double; the other precisions once.
    images = [f"{HERE / 'test_images.py'}::{name}" for name in (
        "test_random_double[3]", "test_many_tiles", "test_masked_tiles", "test_interpolation_stops_at_the_same_pixel",
        "test_threads_and_launches_do_not_touch_a_bit")]
    images += [f"{HERE / 'test_culling.py'}::{name}" for name in (
        "test_random_images_keep_their_bits[3]", "test_more_words_than_a_tile_remembers[double-sources]",
        "test_more_words_than_a_tile_remembers[single-sources]")]
    images += [f"{HERE / 'test_attribution.py'}::{name}" for name in (
        "test_panels_masks_and_the_rim", "test_many_reflections_in_a_pixel")]
    result = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-m", "",
                             str(HERE / "test_device_functions.py"), *images,
                             "-k", "not (test_device_functions and (mixed or single))"],
                            cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
