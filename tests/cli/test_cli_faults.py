"""Bad input: exit status, one line on stderr that says where, what and why, nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

import cubragg.cli.simulate
import cubragg.io.images.raw
from cubragg.errors import BackendUnavailable, FormatError
from support.command import SMALL, smv
from support.messages import refusal, refused, states

COMMAND = 2
RUN = 1


def write_bad_files(folder) -> None:
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "text.hkl").write_text("# h k l F\n1 0 0 5\n1 a 0 6\n")
    (folder / "half.hkl").write_text("1 0.5 0 5\n")
    (folder / "short.hkl").write_text("1 0 0\n")
    (folder / "nan.hkl").write_text("1 0 0 nan\n")
    (folder / "huge.hkl").write_text("0 0 0 1\n100000 100000 100000 1\n")
    (folder / "short.mat").write_text("1 2 3\n")
    (folder / "flat.mat").write_text("1 0 0 0 1 0 0 0 0\n")
    (folder / "bad.txt").write_text("-10 0 0\n0 0 0\n")
    pixels = np.ones((12, 12))
    for name, header in (("zero.img", {"WAVELENGTH": 0}), ("small.img", {})):
        smv(folder / name, pixels if header else np.ones((5, 4)), **header)
    smv(folder / "cut.img", pixels)
    (folder / "cut.img").write_bytes((folder / "cut.img").read_bytes()[:600])
    (folder / "head.img").write_bytes((folder / "cut.img").read_bytes()[:300])
    (folder / "big.img").write_bytes(b"{\nHEADER_BYTES=99999999;\n}")
    (folder / "folder").mkdir()


@pytest.mark.requirement("AT-CLI-007", "AT-CULL-005")
@pytest.mark.parametrize(("line", "status", "says"), [
    # the line itself
    ("-lamda 2", COMMAND, ("-lamda", "", "-lambda")),
    ("-lambda", COMMAND, ("-lambda", "", "value")),
    ("-distance abc", COMMAND, ("-distance", "abc", "number")),
    ("-phi 1 2", COMMAND, ("-phi", "2", "value")),
    ("--png a.jpg", COMMAND, ("--png", "a.jpg", ".png")),
    # values
    ("-lambda -1", COMMAND, ("-lambda", "-1 A", "wavelength")),
    ("-wave 0", COMMAND, ("-wave", "0 A", "wavelength")),
    ("-oversample 0 -N 5000000", COMMAND, ("-oversample", "", "1000", "sub-pixel")),
    ("-lambda 1e-300", COMMAND, ("-lambda", "1e-300", "wavelength")),
    ("-oversample 0 -lambda 1e-4", COMMAND, ("-oversample", "", "1000", "sub-pixel")),
    ("-wavelength nan", COMMAND, ("-wavelength", "nan A", "finite")),
    ("-energy 0", COMMAND, ("-energy", "0 eV", "energy")),
    ("-energy inf", COMMAND, ("-energy", "inf eV", "energy")),
    ("-pixel 0", COMMAND, ("-pixel", "0 mm", "pixel size")),
    ("-pixel -0.1", COMMAND, ("-pixel", "-0.1 mm", "pixel size")),
    ("-distance 0", COMMAND, ("-distance", "0 mm", "distance")),
    ("-distance -100", COMMAND, ("-distance", "-100 mm", "distance")),
    ("-close_distance -1", COMMAND, ("-close_distance", "-1 mm", "close distance")),
    ("-detpixels 0", COMMAND, ("-detpixels", "0", "size in pixels")),
    ("-detpixels_y -3", COMMAND, ("-detpixels_y", "-3", "size in pixels")),
    ("-detpixels 100000", COMMAND,
     ("-detpixels", "100000 x 100000 pixels", "536870912")),
    ("-cell 0 1 1", COMMAND, ("-cell", "a = 0 A", "length")),
    ("-cell 100 -100 100", COMMAND, ("-cell", "-100", "length")),
    ("-cell 100 nan", COMMAND, ("-cell", "nan", "finite")),
    ("-cell 50 60 70 20 30 120", COMMAND,
     ("-cell", "20, 30, 120 deg", "angle", "180 deg", "360 deg")),
    ("-N -5", COMMAND, ("-N", "-5", "unit cell")),
    ("-Na -5 -Nb 3", COMMAND, ("-Na", "-5", "unit cell")),
    ("-xtal_width -1", COMMAND, ("-xtal_width", "-1 mm", "sample size")),
    ("-misset 1 inf 2", COMMAND, ("-misset", "inf deg", "finite")),
    ("-roi 0 5 0 100", COMMAND,
     ("-roi", "0 5 0 100", "0 to 11 fast", "0 to 11 slow")),
    ("-roi 5 3 0 1", COMMAND, ("-roi", "5 3 0 1", "minimum")),
    ("-detector_roty 95", COMMAND,
     ("-distance", "-100 mm", "8.71557 mm", "sample")),
    ("-default_F nan", COMMAND, ("-default_F", "nan electrons", "finite")),
    ("-default_F 0", COMMAND,
     ("-default_F", "", "structure factors", "-hkl")),
    ("-adc nan", COMMAND, ("-adc", "nan", "finite")),
    ("-detector_abs -inf", COMMAND, ("-detector_abs", "-inf um", "attenuation depth")),
    ("-detector_abs nan", COMMAND, ("-detector_abs", "nan um", "finite")),
    ("-scale -1", COMMAND, ("-scale", "-1", "scale")),
    ("-pgmscale inf", COMMAND, ("-pgmscale", "inf", "finite")),
    ("-seed -4", COMMAND, ("-seed", "-4", "seed")),
    ("-mosaic_seed 2147483647", COMMAND, ("-mosaic_seed", "2147483647", "mosaic seed")),
    ("-misset random -misset_seed -1", COMMAND, ("-misset_seed", "-1", "misset seed")),
    ("-threads 0", COMMAND, ("-threads", "0", "thread")),
    ("--threads 100000", COMMAND, ("--threads", "100000", "1024")),
    ("-osc 1 --images 2147483648", COMMAND, ("--images", "2147483648", "100000")),
    ("-phisteps 2147483648", COMMAND, ("-phisteps", "2147483648", "1000000")),
    ("-osc 360 -phistep 1e-6", COMMAND, ("-phistep", "1e-06 deg", "360 deg", "1000000 steps")),
    ("-osc 360 -phistep 1e-320", COMMAND, ("-phistep", "", "360 deg", "1000000 steps")),
    ("-mosaic 1 -mosaic_domains 2147483648", COMMAND, ("-mosaic_domains", "2147483648", "1000000")),
    ("-mosaic 1 -mosaic_domains 10000 -osc 1 -phisteps 10000", COMMAND,
     ("-mosaic_domains", "10000 mosaic domains", "10000 phi steps", "10000000")),
    ("-divsteps 2147483648", COMMAND, ("-divsteps", "2147483648", "1000000")),
    ("-divergence 1 -divsteps 2000", COMMAND, ("-divsteps", "2000 x 2000", "1000000 sources")),
    ("-divergence 10 -hdivstep 1e-300", COMMAND, ("-hdivstep", "more than 1000000", "1000000 sources")),
    ("-dispersion 1 -dispsteps 2147483648", COMMAND, ("-dispsteps", "2147483648", "1000000")),
    ("-dispersion 1 -dispsteps 300000 -divergence 1", COMMAND, ("-dispsteps", "300000 wavelengths", "1000000 sources")),
    ("-detector_thick 1 -thicksteps 2147483648", COMMAND, ("-thicksteps", "2147483648", "1000000")),
    ("-N 2147483648", COMMAND, ("-N", "2147483648", "2147483647")),
    ("--cull 1", COMMAND, ("--cull", "1", "tolerance")),
    ("--cull -1e-8", COMMAND, ("--cull", "-1e-08", "tolerance")),
    ("--cull nan", COMMAND, ("--cull", "nan", "finite")),
    ("-printout_pixel 99 0", COMMAND,
     ("-printout_pixel", "99 0", "0 to 11 fast", "0 to 11 slow")),
    ("-trace_pixel 99 0", COMMAND, ("-trace_pixel", "0 99", "0 to 11 fast", "0 to 11 slow")),
    ("-printout -detpixels 64", COMMAND,
     ("-printout", "4096 pixels", "1000", "-roi")),
    ("--semantics physical -printout_pixel 1 1", COMMAND,
     ("--semantics", "physical", "nanobragg", "trace")),
    # files that are not there
    ("-hkl no.hkl", COMMAND, ("-hkl", "no.hkl", "no such file")),
    ("-mat no.mat", COMMAND, ("-mat", "no.mat", "no such file")),
    ("-img no.img", COMMAND, ("-img", "no.img", "no such file")),
    ("-mask no.img", COMMAND, ("-mask", "no.img", "no such file")),
    ("-sourcefile no.txt", COMMAND, ("-sourcefile", "no.txt", "no such file")),
    ("--config no.toml", COMMAND, ("--config", "no.toml", "no such file")),
    ("-hkl folder", COMMAND, ("-hkl", "folder", "folder")),
    ("-dump no.bin -default_F 0", COMMAND,
     ("-dump", "no.bin", "no such file", "-hkl")),
    # files that are there
    ("-hkl empty.txt", RUN, ("empty.txt", "", "reflection", "h k l F")),
    ("-hkl text.hkl", RUN, ("text.hkl:3", "a", "k", "number")),
    ("-hkl half.hkl", RUN, ("half.hkl:1", "0.5", "k", "whole number")),
    ("-hkl short.hkl", RUN, ("short.hkl:1", "3", "h k l F")),
    ("-hkl nan.hkl", RUN, ("nan.hkl:1", "nan", "F", "finite")),
    ("-hkl huge.hkl", COMMAND, ("-hkl", "h 0 to 100000, k 0 to 100000, l 0 to 100000", "500000000 points")),
    ("-sourcefile empty.txt", RUN,
     ("empty.txt", "", "source", "X Y Z weight wavelength")),
    ("-sourcefile bad.txt", RUN, ("bad.txt:2", "", "source", "direction")),
    ("-img cut.img", RUN, ("cut.img", "88 bytes", "SIZE1=12", "SIZE2=12", "288")),
    ("-img head.img", RUN, ("head.img", "300 bytes", "header", "512")),
    ("-img big.img", RUN, ("big.img", "HEADER_BYTES=99999999", "1048576 bytes")),
    ("-mask small.img -img zero.img -lambda 1", COMMAND,
     ("-mask", "4 x 5 pixels", "12 x 12")),
    ("-mask small.img", COMMAND, ("-mask", "4 x 5 pixels", "12 x 12")),
    # outputs
    ("-floatfile no/dir/x.bin", RUN, ("-floatfile", "no/dir/x.bin", "folder", "no/dir")),
    ("-intimage folder", RUN, ("-intimage", "folder", "folder")),
    ("-floatfile /dev/full", RUN, ("-floatfile", "/dev/full", "No space left")),
    ("-intfile o.bin", COMMAND, ("-intfile", "o.bin", "-floatfile", "write")),
    ("-intfile folder/../o.bin", COMMAND,
     ("-intfile", "folder/../o.bin", "-floatfile", "write")),
    ("-hkl nan.hkl -pgmfile nan.hkl", RUN, ("nan.hkl:1", "nan", "F", "finite")),
    ("-img zero.img -lambda 1 -pgmfile zero.img", COMMAND,
     ("-pgmfile", "zero.img", "-img", "read")),
    ("-cbffile c.cbf -nonoise", COMMAND,
     ("-cbffile", "", "counts", "-nonoise", "-scale")),
])
def test_bad_input(line, status, says, run, folder):
    write_bad_files(folder)
    before = sorted(path.name for path in folder.iterdir())
    refused(run(f"{SMALL} -floatfile o.bin --quiet {line}"), status, *says)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_header_that_no_experiment_can_have(run, folder):
    write_bad_files(folder)
    refused(run("-default_F 1 -cell 50 -img zero.img"), 2, "zero.img", "0 A", "WAVELENGTH")


@pytest.mark.parametrize(("line", "says"), [
    ("-default_F 100", ("-cell", "", "unit cell", "-mat")),
    ("-cell 100", ("-default_F", "", "structure factors", "-hkl"))])
def test_what_must_be_given(line, says, run):
    refused(run(line), 2, *says)


@pytest.mark.parametrize("line", ["foo", "foo -N 5"])
def test_a_word_in_front_is_a_command(line, run):
    refused(run(line), 2, "foo", "", "simulate", "doctor", "compare", "sf", "trace", "view")


def test_a_short_matrix(run, folder):
    write_bad_files(folder)
    refused(run(f"{SMALL} -mat short.mat"), 1, "short.mat:1", "3", "9")


def test_a_flat_matrix(run, folder):
    write_bad_files(folder)
    refused(run("-default_F 1 -mat flat.mat"), 2, "-mat", "", "plane")


def test_disk_full_leaves_nothing_of_the_file(run, folder, monkeypatch):
    """The float image is whole, the next file meets the end of the disk."""
    real = os.replace

    def full(source, target):
        if str(target).endswith("b.img"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    refused(run(f"{SMALL} -floatfile a.bin -intfile b.img -pgmfile c.pgm --quiet"), 1, "-intfile", "b.img",
            "No space left")
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_an_earlier_file_survives_a_full_disk(run, folder, monkeypatch):
    (folder / "a.bin").write_bytes(b"earlier")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert run(f"{SMALL} -floatfile a.bin").exit_code == 1
    assert (folder / "a.bin").read_bytes() == b"earlier"


@pytest.mark.parametrize(("closed", "what"), [("a.bin", "file"), ("sub", "folder")])
def test_write_protection_is_found_before_rendering(closed, what, run, folder, monkeypatch):
    (folder / "sub").mkdir()
    target = "sub/a.bin" if closed == "sub" else "a.bin"
    if closed == "a.bin":
        (folder / "a.bin").write_bytes(b"earlier")
    # The superuser may write everywhere, so the answer is made up.
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != closed)
    monkeypatch.setattr(cubragg.cli.simulate, "simulate", None)
    refused(run(f"{SMALL} -floatfile {target}"), 1, "-floatfile", target, what, "protected")


@pytest.mark.requirement("AT-CLI-012")
def test_counts_beyond_cbf_are_refused_before_another_file_is_written(run, folder):
    assert run(f"{SMALL} -floatfile a.bin --quiet").exit_code == 0
    beyond = np.fromfile("a.bin", "<f4").astype(float) * 1e12 > 2**31 - 1
    slow, fast = divmod(int(beyond.argmax()), 12)
    refused(run(f"{SMALL} -floatfile c.bin -cbffile b.cbf -scale 1e12 --quiet"), 1, "b.cbf",
            f"{fast} fast, {slow} slow", "2147483647")
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
@pytest.mark.parametrize("line", ["-hkl", "-mat", "--from", "--config", "-sourcefile", "-img", "-mask", "-dump", "view",
                                  "sf -o a.mtz --dmin 3"])
def test_pipes_and_devices_are_no_inputs(line, run, folder):
    """Formats are recognized by their first bytes, so that a file is read twice."""
    os.mkfifo("pipe")
    start = "" if line[0] != "-" else f"{SMALL} -default_F 0 " if line == "-dump" else SMALL
    for path in ("pipe", "/dev/zero"):
        result = run(f"{start}{line} {path} {'-floatfile a.bin' if start else ''}")
        states(result.stderr.removeprefix("Error: ").removesuffix("\n"), line.split()[0] if start else "", path, "pipe")
        assert result.exit_code == 2
    with refusal(FormatError, "pipe", "", "once"):
        cubragg.read("pipe")
    assert [path.name for path in folder.iterdir()] == ["pipe"]


@pytest.mark.requirement("AT-CLI-012")
def test_outputs_are_refused_together(run, folder):
    result = run(f"{SMALL} -floatfile no/a.bin -intfile b.img --nxmx none/s.h5 --quiet")
    refused(result, 1, "-floatfile", "no/a.bin", "folder", "--nxmx", "none/s.h5", "folder")
    many = run(f"{SMALL} -osc 1 --images 9 -floatfile no/a.bin --quiet")
    refused(many, 1, "-floatfile", "no/a_0001.bin", "a_0005.bin", "4 more")
    assert list(folder.iterdir()) == []


@pytest.mark.requirement("AT-CLI-012")
@pytest.mark.parametrize("suffix", [".ins", ".res", ".cif"])
def test_files_that_are_read_along_are_protected(suffix, run, inputs):
    beside = (inputs / "P1.hkl").with_suffix(suffix)
    beside.write_text("TITL x\n")
    refused(run(f"{SMALL} -hkl P1.hkl -floatfile P1{suffix}"), 2, "-floatfile", f"P1{suffix}", "-hkl", "P1.hkl")
    assert beside.read_text() == "TITL x\n"


def test_files_that_hdf5_links_to_are_protected(run, folder):
    assert run(f"{SMALL} --nxmx data_1.h5 --quiet").exit_code == 0
    shutil.copy("data_1.h5", "master.h5")
    with h5py.File("master.h5", "r+") as file:
        del file["entry/data/data"], file["entry/data/data_000001"]
        file["entry/data/data"] = h5py.ExternalLink("data_1.h5", "entry/data/data")
    line = "-default_F 100 -cell 100 -N 5 --quiet --from master.h5"
    refused(run(f"{line} --nxmx data_1.h5"), 2, "--nxmx", "data_1.h5", "--from", "master.h5")
    assert run(f"{line} -floatfile a.bin").exit_code == 0


def test_a_backend_that_cannot_run(run, monkeypatch):
    def unavailable(*_, **__):
        raise BackendUnavailable("backend cuda: not today")

    monkeypatch.setattr(cubragg.cli.simulate, "simulate", unavailable)
    refused(run(f"{SMALL} --quiet"), 1, "backend cuda", "", "not today")


def test_out_of_memory(run, monkeypatch):
    def hungry(*_, **__):
        raise MemoryError

    monkeypatch.setattr(cubragg.cli.simulate, "simulate", hungry)
    refused(run(f"{SMALL} --quiet"), 1, "", "", "memory")


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    def bug(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cubragg.cli.simulate, "simulate", bug)
    with pytest.raises(ZeroDivisionError):
        run(SMALL)


def test_interrupted_while_writing(run, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cubragg.io.images.smv.write_smv", interrupted)
    result = run(f"{SMALL} -floatfile a.bin -intfile b.img --quiet")
    assert result.exit_code == 130
    states(result.stderr.removesuffix("\n"), "Interrupted", "a.bin", "complete")
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_interrupted_while_reading(run, inputs, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cubragg.io.reflections.read.read_hkl", interrupted)
    result = run(f"{SMALL} -hkl P1.hkl")
    assert result.exit_code == 130
    states(result.stderr.removesuffix("\n"), "Interrupted", "", "no file")


@contextlib.contextmanager
def real_run(line: str, **options) -> Iterator[subprocess.Popen]:
    """The command in a process of its own, which does not outlive a test that fails."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cubragg.cli.simulate.__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-m", "cubragg", *line.split()], stderr=subprocess.PIPE, text=True,
                          env=environment, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    """Wait while the process runs."""
    while not condition():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


@pytest.mark.requirement("AT-CLI-007")
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "word"), [
    (signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated"), (signal.SIGHUP, "Hung up")])
def test_a_signal_ends_a_real_run(number, word, folder):
    """Minutes of work, stopped within seconds: no file, no traceback, the status that a shell would tell."""
    line = "-default_F 100 -cell 100 -lambda 1 -N 20 -mosaic 1 -oversample 4 -detpixels 4096 --threads 1 --nxmx a.nxs"
    with real_run(line) as process:
        # Warnings are printed before rendering begins.
        first = process.stderr.readline()
        wait_for(lambda: list(folder.iterdir()), process)
        time.sleep(0.3)
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
    assert first.startswith("warning: ")
    states(rest.splitlines()[-1], word, "", "no file")
    assert "Traceback" not in rest
    assert process.returncode == 128 + number
    assert list(folder.iterdir()) == []


@pytest.mark.requirement("AT-FMT-013")
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_series_that_is_terminated_keeps_its_whole_images(folder):
    """As a batch system ends it: the NXmx file is closed with the images done, and no temporary folder stays."""
    with real_run(f"{SMALL} -osc 1 --images 5000 -floatfile a.bin --nxmx s.nxs --quiet") as process:
        wait_for((folder / "a_0003.bin").exists, process)  # then a_0002.bin is known to be whole
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    states(errors.removesuffix("\n"), "Terminated", "a_0001.bin", "s.nxs")
    whole = sorted(path.name for path in folder.iterdir())
    assert whole[-1] == "s.nxs"
    assert {(folder / name).stat().st_size for name in whole[:-1]} == {4 * 12 * 12}
    with h5py.File("s.nxs") as file:
        assert len(whole) - 2 <= len(file["entry/data/data"]) <= len(whole) - 1


#: A signal that comes while Python runs the callback of a weak reference, out of which no exception comes.
IN_A_CALLBACK = """
import os, signal, sys, time, weakref
from cubragg.cli.ending_signals import Signalled, end_cleanly
end_cleanly()
class Thing: pass
def callback(_):
    os.kill(os.getpid(), int(sys.argv[1]))
    sum(range(10))
thing = Thing()
reference = weakref.ref(thing, callback)
try:
    del thing
    time.sleep(60)
except Signalled as stop:
    print(stop.number)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_callback_is_not_lost(number):
    """As h5py has one for each identifier of HDF5 that is closed."""
    done = subprocess.run([sys.executable, "-c", IN_A_CALLBACK, str(int(number))], capture_output=True, text=True,
                          timeout=50, check=True,
                          env={**os.environ, "PYTHONPATH": str(Path(cubragg.cli.simulate.__file__).parents[2])})
    assert (done.stdout, done.stderr) == (f"{int(number)}\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_that_is_ignored_stays_ignored(folder):
    """As nohup starts programs."""
    ignore = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    with real_run(f"{SMALL} -osc 1 --images 30 -floatfile a.bin --quiet", preexec_fn=ignore) as process:
        wait_for((folder / "a_0001.bin").exists, process)
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert len(list(folder.iterdir())) == 30
