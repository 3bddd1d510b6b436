"""Bad input: exit status and the exact sentence, one line on stderr, nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
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
from cubragg.errors import BackendUnavailable
from support.command import SMALL, smv

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


@pytest.mark.parametrize(("line", "status", "sentence"), [
    # the line itself
    ("-lamda 2", COMMAND, "No such option '-lamda'. Did you mean '-lambda'?"),
    ("-lambda", COMMAND, "-lambda: got no value; a number of A is accepted"),
    ("-distance abc", COMMAND, "-distance: got 'abc'; a number of mm is accepted"),
    ("-phi 1 2", COMMAND, "Unexpected argument '2'; -phi before it takes one value."),
    ("--png a.jpg", COMMAND, "--png: got 'a.jpg'; pictures are PNG files, a name that ends in .png is accepted"),
    # values
    ("-lambda -1", COMMAND, "-lambda: got -1 A; wavelength must be > 0 A"),
    ("-wave 0", COMMAND, "-wave: got 0 A; wavelength must be > 0 A"),
    ("-oversample 0 -N 5000000", COMMAND, "-oversample: got no number of sub-pixels, and the fringes of this crystal "
     "need more than 1000 along each edge of a pixel; give -oversample, or fewer cells (-N)"),
    ("-oversample 0 -lambda 1e-300", COMMAND, "-oversample: got no number of sub-pixels, and the fringes of this "
     "crystal need more than 1000 along each edge of a pixel; give -oversample, or fewer cells (-N)"),
    ("-wavelength nan", COMMAND, "-wavelength: got nan A; wavelength must be a finite number"),
    ("-energy 0", COMMAND, "-energy: got 0 eV; the energy must be > 0 eV"),
    ("-energy inf", COMMAND, "-energy: got inf eV; the energy must be > 0 eV"),
    ("-pixel 0", COMMAND, "-pixel: got 0 mm; the pixel size must be > 0 mm"),
    ("-pixel -0.1", COMMAND, "-pixel: got -0.1 mm; the pixel size must be > 0 mm"),
    ("-distance 0", COMMAND, "-distance: got 0 mm; the distance must be > 0 mm"),
    ("-distance -100", COMMAND, "-distance: got -100 mm; the distance must be > 0 mm"),
    ("-close_distance -1", COMMAND, "-close_distance: got -1 mm; the close distance must be > 0 mm"),
    ("-detpixels 0", COMMAND, "-detpixels: got 0; the detector size in pixels must be >= 1"),
    ("-detpixels_y -3", COMMAND, "-detpixels_y: got -3; the detector size in pixels must be >= 1"),
    ("-detpixels 100000", COMMAND,
     "-detpixels: got 100000 x 100000 pixels; the file formats hold at most 536870912"),
    ("-cell 0 1 1", COMMAND, "-cell: got a = 0 A; cell lengths must be > 0 A"),
    ("-cell 100 -100 100", COMMAND, "-cell: got -100; lengths must be > 0 A and angles > 0 deg"),
    ("-cell 100 nan", COMMAND, "-cell: got nan; the cell must be a finite number"),
    ("-cell 50 60 70 20 30 120", COMMAND,
     "-cell: got angles 20, 30, 120 deg; no cell has such angles (each must be < 180 deg and less than the sum of "
     "the other two, and their sum < 360 deg)"),
    ("-N -5", COMMAND, "-N: got -5; the number of unit cells must be >= 0"),
    ("-Na -5 -Nb 3", COMMAND, "-Na: got -5; the number of unit cells must be >= 0"),
    ("-xtal_width -1", COMMAND, "-xtal_width: got -1 mm; the sample size must be >= 0 mm"),
    ("-misset 1 inf 2", COMMAND, "-misset: got inf deg; misset must be a finite number"),
    ("-roi 0 5 0 100", COMMAND,
     "-roi: got 0 5 0 100; the region of interest must lie on the detector, 0 to 11 fast and 0 to 11 slow"),
    ("-roi 5 3 0 1", COMMAND, "-roi: got 5 3 0 1; each minimum must be <= its maximum"),
    ("-detector_roty 95", COMMAND,
     "-distance: got a detector plane -100 mm along the beam and 8.71557 mm along its normal after rotation; "
     "the detector must lie downstream of the sample"),
    ("-default_F nan", COMMAND, "-default_F: got nan electrons; default_F must be a finite number"),
    ("-default_F 0", COMMAND,
     "-default_F: no structure factors: the image would be empty; give a list (-hkl) or a default_F other than 0"),
    ("-adc nan", COMMAND, "-adc: got nan; the offset must be a finite number"),
    ("-detector_abs -inf", COMMAND, "-detector_abs: got -inf um; the attenuation depth must be >= 0 um"),
    ("-detector_abs nan", COMMAND, "-detector_abs: got nan um; the attenuation depth must be a finite number"),
    ("-scale -1", COMMAND, "-scale: got -1; the scale must be >= 0"),
    ("-pgmscale inf", COMMAND, "-pgmscale: got inf; the scale must be a finite number"),
    ("-seed -4", COMMAND, "-seed: got -4; the seed must be >= 0"),
    ("-mosaic_seed 2147483647", COMMAND, "-mosaic_seed: got 2147483647; the mosaic seed must be <= 2147483646"),
    ("-misset random -misset_seed -1", COMMAND, "-misset_seed: got -1; the misset seed must be >= 0"),
    ("-threads 0", COMMAND, "-threads: got 0; the number of threads must be >= 1"),
    ("--cull 1", COMMAND, "--cull: got 1; the tolerance must be < 1"),
    ("--cull -1e-8", COMMAND, "--cull: got -1e-08; the tolerance must be >= 0"),
    ("--cull nan", COMMAND, "--cull: got nan; the tolerance must be a finite number"),
    ("-printout_pixel 99 0", COMMAND,
     "-printout_pixel: got pixel 99 0; the region is 0 to 11 fast and 0 to 11 slow"),
    ("-trace_pixel 99 0", COMMAND, "-trace_pixel: got pixel 0 99; the region is 0 to 11 fast and 0 to 11 slow"),
    ("-printout -detpixels 64", COMMAND,
     "-printout: got a region of 4096 pixels; at most 1000 are printed, name one with -printout_pixel "
     "or narrow -roi"),
    ("--semantics physical -printout_pixel 1 1", COMMAND,
     "--semantics: got physical; pixels are traced in nanobragg semantics only: type --semantics nanobragg"),
    # files that are not there
    ("-hkl no.hkl", COMMAND, "-hkl: got 'no.hkl'; there is no such file"),
    ("-mat no.mat", COMMAND, "-mat: got 'no.mat'; there is no such file"),
    ("-img no.img", COMMAND, "-img: got 'no.img'; there is no such file"),
    ("-mask no.img", COMMAND, "-mask: got 'no.img'; there is no such file"),
    ("-sourcefile no.txt", COMMAND, "-sourcefile: got 'no.txt'; there is no such file"),
    ("--config no.toml", COMMAND, "--config: got 'no.toml'; there is no such file"),
    ("-hkl folder", COMMAND, "-hkl: got 'folder'; that is a folder, a file is accepted"),
    ("-dump no.bin -default_F 0", COMMAND,
     "-dump: got 'no.bin'; there is no such file, give -hkl or -default_F"),
    # files that are there
    ("-hkl empty.txt", RUN, "empty.txt: contains no reflections; lines of h k l F are accepted"),
    ("-hkl text.hkl", RUN, "text.hkl:3: got 'a'; k must be a number"),
    ("-hkl half.hkl", RUN, "half.hkl:1: got 0.5; k must be a whole number"),
    ("-hkl short.hkl", RUN, "short.hkl:1: got 3 columns; a reflection needs h k l F"),
    ("-hkl nan.hkl", RUN, "nan.hkl:1: got nan; F must be a finite number"),
    ("-hkl huge.hkl", COMMAND, "-hkl: got indices h 0 to 100000, k 0 to 100000, l 0 to 100000; their box must not "
                               "exceed 500000000 points"),
    ("-sourcefile empty.txt", RUN,
     "empty.txt: no sources; a source file needs lines of X Y Z weight wavelength, in metres"),
    ("-sourcefile bad.txt", RUN, "bad.txt:2: got a source at the crystal; its position must have a direction"),
    ("-img cut.img", RUN, "cut.img: got 88 bytes of pixels; SIZE1=12 and SIZE2=12 need 288"),
    ("-img head.img", RUN, "head.img: got 300 bytes; its header alone has 512, the file is truncated"),
    ("-img big.img", RUN, "big.img: got HEADER_BYTES=99999999; a header has 1 to 1048576 bytes"),
    ("-mask small.img -img zero.img -lambda 1", COMMAND,
     "-mask: got a mask of 4 x 5 pixels; the detector has 12 x 12"),
    ("-mask small.img", COMMAND, "-mask: got a mask of 4 x 5 pixels; the detector has 12 x 12"),
    # outputs
    ("-floatfile no/dir/x.bin", RUN, "-floatfile: cannot write 'no/dir/x.bin': there is no folder 'no/dir'"),
    ("-intimage folder", RUN, "-intimage: cannot write 'folder': that is a folder"),
    ("-floatfile /dev/full", RUN, "-floatfile: cannot write '/dev/full': No space left on device"),
    ("-intfile o.bin", COMMAND, "-intfile: got 'o.bin', which -floatfile writes; every file needs its own name"),
    ("-intfile folder/../o.bin", COMMAND,
     "-intfile: got 'folder/../o.bin', which -floatfile writes; every file needs its own name"),
    ("-hkl nan.hkl -pgmfile nan.hkl", RUN, "nan.hkl:1: got nan; F must be a finite number"),
    ("-img zero.img -lambda 1 -pgmfile zero.img", COMMAND,
     "-pgmfile: got 'zero.img', which -img reads; every file needs its own name"),
    ("-cbffile c.cbf -nonoise", COMMAND,
     "-cbffile: a CBF image with int32 pixels holds counts; with -nonoise, give -scale, the counts per "
     "photon"),
])
def test_exact_sentence(line, status, sentence, run, folder):
    write_bad_files(folder)
    before = sorted(path.name for path in folder.iterdir())
    result = run(f"{SMALL} -floatfile o.bin --quiet {line}")
    assert result.stderr == f"Error: {sentence}\n"
    assert (result.exit_code, result.stdout) == (status, "")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_header_that_no_experiment_can_have(run, folder):
    write_bad_files(folder)
    result = run("-default_F 1 -cell 50 -img zero.img")
    assert (result.exit_code, result.stderr) == (2, "Error: zero.img: WAVELENGTH: got 0 A; wavelength must be > 0 A\n")


@pytest.mark.parametrize(("line", "sentence"), [
    ("-default_F 100", "-cell: no unit cell; give a cell (-cell) or an orientation matrix (-mat)"),
    ("-cell 100", "-default_F: no structure factors: the image would be empty; give a list (-hkl) or a default_F "
     "other than 0")])
def test_what_must_be_given(line, sentence, run):
    result = run(line)
    assert (result.exit_code, result.stderr) == (2, f"Error: {sentence}\n")


@pytest.mark.parametrize("line", ["foo", "foo -N 5"])
def test_a_word_in_front_is_a_command(line, run):
    result = run(line)
    assert (result.exit_code, result.stderr) == (
        2, "Error: got 'foo' before any flag; a flag or one of compare, doctor, sf, simulate, trace, view is accepted "
           "('cubragg view FILE' shows an image)\n")


def test_a_short_matrix(run, folder):
    write_bad_files(folder)
    result = run(f"{SMALL} -mat short.mat")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: short\.mat.*\n", result.stderr)


def test_a_flat_matrix(run, folder):
    write_bad_files(folder)
    result = run("-default_F 1 -mat flat.mat")
    assert (result.exit_code, result.stderr) == (
        2, "Error: -mat: got three reciprocal vectors in one plane; they must span a volume\n")


def test_disk_full_leaves_nothing_of_the_file(run, folder, monkeypatch):
    """The float image is whole, the next file meets the end of the disk."""
    real = os.replace

    def full(source, target):
        if str(target).endswith("b.img"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    result = run(f"{SMALL} -floatfile a.bin -intfile b.img -pgmfile c.pgm --quiet")
    assert (result.exit_code, result.stderr) == (1, "Error: -intfile: cannot write 'b.img': No space left on device\n")
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_an_earlier_file_survives_a_full_disk(run, folder, monkeypatch):
    (folder / "a.bin").write_bytes(b"earlier")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert run(f"{SMALL} -floatfile a.bin").exit_code == 1
    assert (folder / "a.bin").read_bytes() == b"earlier"


@pytest.mark.parametrize(("closed", "reason"), [
    ("a.bin", "the file is write-protected"), ("sub", "the folder 'sub' is write-protected")])
def test_write_protection_is_found_before_rendering(closed, reason, run, folder, monkeypatch):
    (folder / "sub").mkdir()
    target = "sub/a.bin" if closed == "sub" else "a.bin"
    if closed == "a.bin":
        (folder / "a.bin").write_bytes(b"earlier")
    # The superuser may write everywhere, so the answer is made up.
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != closed)
    monkeypatch.setattr(cubragg.cli.simulate, "simulate", None)
    result = run(f"{SMALL} -floatfile {target}")
    assert (result.exit_code, result.stderr) == (1, f"Error: -floatfile: cannot write '{target}': {reason}\n")


def test_counts_beyond_cbf_are_told_and_the_float_image_stays(run, folder):
    result = run(f"{SMALL} -floatfile a.bin -cbffile b.cbf -scale 1e12 --quiet")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: b\.cbf: got \S+ at pixel \d+ fast, \d+ slow; counts are 0 to 2147483647\n",
                        result.stderr)
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_a_backend_that_cannot_run(run, monkeypatch):
    def unavailable(*_, **__):
        raise BackendUnavailable("backend cuda: not today")

    monkeypatch.setattr(cubragg.cli.simulate, "simulate", unavailable)
    result = run(f"{SMALL} --quiet")
    assert (result.exit_code, result.stderr) == (1, "Error: backend cuda: not today\n")


def test_out_of_memory(run, monkeypatch):
    def hungry(*_, **__):
        raise MemoryError

    monkeypatch.setattr(cubragg.cli.simulate, "simulate", hungry)
    result = run(f"{SMALL} --quiet")
    assert result.exit_code == 1
    assert result.stderr == "Error: not enough memory for this run; use a smaller detector or reflection list\n"


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
    assert (result.exit_code, result.stderr) == (130, "Interrupted; a.bin complete, no other file was written.\n")
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_interrupted_while_reading(run, inputs, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cubragg.io.reflections.read.read_hkl", interrupted)
    result = run(f"{SMALL} -hkl P1.hkl")
    assert (result.exit_code, result.stderr) == (130, "Interrupted; no file was written.\n")


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
    assert rest.splitlines()[-1] == f"{word}; no file was written."
    assert "Traceback" not in rest
    assert process.returncode == 128 + number
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_series_that_is_terminated_keeps_its_whole_images(folder):
    """As a batch system ends it: the NXmx file is closed with the images done, and no temporary folder stays."""
    with real_run(f"{SMALL} -osc 1 --images 5000 -floatfile a.bin --nxmx s.nxs --quiet") as process:
        wait_for((folder / "a_0003.bin").exists, process)  # then a_0002.bin is known to be whole
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert told.startswith("Terminated; a_0001.bin to a_")
    whole = sorted(path.name for path in folder.iterdir())
    assert whole[-1] == "s.nxs"
    assert {(folder / name).stat().st_size for name in whole[:-1]} == {4 * 12 * 12}
    with h5py.File("s.nxs") as file:
        assert len(whole) - 2 <= len(file["entry/data/data"]) <= len(whole) - 1


#: A signal that comes while Python runs the callback of a weak reference, out of which no exception comes.
IN_A_CALLBACK = """
import os, signal, sys, time, weakref
from cubragg.cli.exit_errors import Signalled, end_cleanly
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
