"""Writers leave a whole file or none, whatever goes wrong."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cubragg import work_folders
from cubragg.io.files import atomic, held_signals
from cubragg.io.files.atomic import atomic_path, require_size, write_bytes
from cubragg.io.images.cbf import MiniCbfHeader, write_cbf
from cubragg.io.images.pgm import write_pgm
from cubragg.io.images.raw import write_float
from cubragg.io.images.smv import write_smv
from cubragg.io.reflections.fdump import write_fdump
from cubragg.io.reflections.hkl import write_hkl
from cubragg.view.png import write_png

SHAPE = (12, 10)
CBF_HEADER = MiniCbfHeader(datetime(2024, 1, 2), 1e-4, 0.1, 1.0, 5.0, 6.0, 1.0, 1.0, 0.0, 0.1, 6000.0)
WRITERS = {
    "float": lambda path: write_float(path, np.ones(SHAPE, np.float32)),
    "smv": lambda path: write_smv(path, np.ones(SHAPE, np.uint16), {}),
    "cbf": lambda path: write_cbf(path, np.ones(SHAPE, np.int32), CBF_HEADER),
    "pgm": lambda path: write_pgm(path, np.ones(SHAPE, np.uint8), 1.0),
    "png": lambda path: write_png(path, np.ones(SHAPE)),
    "hkl": lambda path: write_hkl(path, np.zeros((5, 3), np.int32), np.ones(5)),
    "fdump": lambda path: write_fdump(path, np.ones((2, 3, 4)), (0, 0, 0)),
}
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The nearest thing to a full disk that a test can have: the system refuses bytes past ``size``."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@writers
def test_a_file_is_written(tmp_path, write):
    write(tmp_path / "image_0001.img")
    assert names(tmp_path) == ["image_0001.img"]


@pytest.mark.requirement("AT-IO-008")
@writers
@pytest.mark.parametrize("missing", [1, 60], ids=["last byte", "60 bytes"])
def test_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, write, missing):
    path = tmp_path / "image_0001.img"
    write(path)
    size = path.stat().st_size
    path.write_bytes(b"old")
    with no_file_larger_than(size - missing), pytest.raises(OSError, match="File too large") as caught:
        write(path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert names(tmp_path) == ["image_0001.img"]
    assert path.read_bytes() == b"old"


@writers
def test_missing_folder(tmp_path, write):
    path = tmp_path / "none" / "image.img"
    with pytest.raises(FileNotFoundError) as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert names(tmp_path) == []


@writers
def test_folder_that_cannot_hold_files(tmp_path, write):
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "image.img"
    with pytest.raises(NotADirectoryError) as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert names(tmp_path) == ["file"]


def test_target_is_a_folder(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        write_bytes(tmp_path, b"x")
    assert (caught.value.strerror, caught.value.filename) == ("Is a directory", str(tmp_path))


def test_write_protected_file_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write whatever the mode says
    with pytest.raises(PermissionError) as caught:
        write_bytes(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"


@pytest.mark.requirement("AT-IO-008")
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_any_interruption_leaves_nothing(tmp_path, error):
    def write_half() -> None:
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert names(tmp_path) == []


def signalled_at(number: int, path: Path) -> bool:
    """Write a file, with a signal before line ``number`` of all that is run for it; whether there is such a line."""
    files = {module.__file__ for module in (atomic, held_signals, work_folders, contextlib, shutil)}
    lines = itertools.count(1)

    def on_line(frame, event, _):
        if event == "line" and next(lines) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return on_line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: on_line if frame.f_code.co_filename in files else None)
    try:
        write_bytes(path, b"whole")
    finally:
        sys.settrace(before)
    return next(lines) > number


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # an open file whose with block was not reached
def test_a_signal_at_any_moment_leaves_a_whole_file_or_none(tmp_path):
    """And is not lost: it becomes the exception of its handler, in every line of our modules and those they use."""
    def stop(*_):
        raise KeyboardInterrupt

    before, path, stops = signal.signal(signal.SIGTERM, stop), tmp_path / "a.bin", 0
    try:
        for number in itertools.count(1):
            try:
                if not signalled_at(number, path):
                    break
            except KeyboardInterrupt:
                stops += 1
            assert names(tmp_path) in ([], ["a.bin"]), number
            path.unlink(missing_ok=True)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, stop)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stops == number - 1 > 50


KILLED = """
import os, signal, sys
from cubragg.io.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print(temporary, flush=True)
    sys.stdin.read()
"""


@pytest.mark.requirement("AT-FMT-013")
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and locks")
def test_the_next_run_clears_what_a_killed_one_left(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(atomic.__file__).parents[3])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.bin"), "killed"], env=environment,
                            check=False)
    assert killed.returncode == -signal.SIGKILL
    abandoned, = names(tmp_path)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "b.bin"), "alive"], env=environment,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        folder = Path(living.stdout.readline().strip()).parent
        assert names(tmp_path) == [folder.name] != [abandoned]
        work_folders.clear_abandoned.cache_clear()
        write_bytes(tmp_path / "c.bin", b"whole")  # the folder of a process that lives stays
        assert names(tmp_path) == sorted([folder.name, "c.bin"])
        living.communicate("")
    assert names(tmp_path) == ["b.bin", "c.bin"]


def test_error_without_a_number_is_reported(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match="encoder error -2") as caught, atomic_path(path):
        raise OSError("encoder error -2")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))


def test_error_about_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.bin"):
        (tmp_path / "input.txt").read_bytes()
    assert caught.value.filename == str(tmp_path / "input.txt")


def test_path_may_be_text_and_stays_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bytes("a.bin", b"1", b"2")
    assert Path("a.bin").read_bytes() == b"12"
    with pytest.raises(FileNotFoundError) as caught:
        write_bytes("none/a.bin", b"")
    assert caught.value.filename == "none/a.bin"


@pytest.mark.parametrize(("name", "expected"), [
    ("image_0001.cbf", "image_0001.cbf"), ("my image.cbf", "my_image.cbf"), ("größe.img", "gr__e.img"), (".x", ".x")])
def test_temporary_name_is_a_legal_cif_name_in_the_same_folder(tmp_path, name, expected):
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.name == expected
        assert temporary.parent.parent == tmp_path
        temporary.write_bytes(b"")
    assert names(tmp_path) == [name]


def test_mode_is_that_of_open(tmp_path):
    path = tmp_path / "a.bin"
    umask = os.umask(0o027)
    try:
        write_bytes(path, b"")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    write_bytes(path, b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.bin").symlink_to(tmp_path / "folder" / "real.bin")
    write_bytes(tmp_path / "link.bin", b"x")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "folder" / "real.bin").read_bytes() == b"x"


def test_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write_bytes(path, b"whole")
    reader.join(timeout=30.0)
    assert got == [b"whole"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


def test_short_file_is_noticed_even_if_the_disk_has_room_again(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"1234")
    require_size(path, 4)
    with pytest.raises(OSError, match="2 of 6 bytes were not written"):
        require_size(path, 6)


def test_import_is_light():
    code = ("import sys, cubragg.io.images.smv, cubragg.io.images.cbf, cubragg.view.png, cubragg.io.reflections.hkl; "
            "sys.exit(bool({'fabio', 'PIL', 'h5py'} & set(sys.modules)))")
    subprocess.run([sys.executable, "-c", code], check=True)
