"""The binary copy beside a large reflection list: the same list with it as without, whatever becomes of the file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cubragg.errors import FormatError
from cubragg.io.files import hkl_cache
from cubragg.io.reflections import hkl as hkl_module
from cubragg.io.reflections.hkl import read_hkl

TEXT = "# list\n" + "".join(f"{-h} {h % 7} 1 {h / 7:.3f}\n" for h in range(50)) + "0 0 1 2.5\n-3 3 1 -0.0\n"


@pytest.fixture(autouse=True)
def every_list_is_large(monkeypatch):
    monkeypatch.setattr(hkl_cache, "MIN_BYTES", 1)


@pytest.fixture
def parsed(monkeypatch):
    """The texts that were parsed, and not recalled."""
    texts = []
    original = hkl_module._parsed
    monkeypatch.setattr(hkl_module, "_parsed", lambda path, text: texts.append(text) or original(path, text))
    return texts


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "F.hkl"
    path.write_text(TEXT)
    return path


def copy_of(path: Path) -> Path:
    return path.parent / f".{path.name}.cubragg"


def same(one, other) -> bool:
    return (one.hkl.dtype == other.hkl.dtype == np.int32 and one.hkl.shape == other.hkl.shape
            and one.hkl.tobytes() == other.hkl.tobytes() and one.amplitudes.dtype == other.amplitudes.dtype
            and one.amplitudes.tobytes() == other.amplitudes.tobytes() and one[2:] == other[2:])


def test_the_second_time_nothing_is_parsed_and_the_list_is_the_same(source, parsed):
    first, second = read_hkl(source), read_hkl(source)
    assert len(parsed) == 1
    assert same(first, second)
    assert (second.duplicates, second.first_duplicate) == (2, "0 0 1")
    assert second.amplitudes.flags.writeable
    assert second.hkl.flags.c_contiguous


def test_a_list_without_duplicates(source, parsed):
    source.write_text("1 0 0 2\n-2 5 0 1e3\n")
    assert same(read_hkl(source), read_hkl(source))
    assert (len(parsed), read_hkl(source).first_duplicate) == (1, None)


def test_another_text_of_the_same_size_and_time_is_parsed(source, parsed):
    read_hkl(source)
    times = source.stat()
    source.write_text(TEXT.replace("2.5", "7.5"))
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read_hkl(source).amplitudes[-2] == 7.5
    assert same(read_hkl(source), read_hkl(source))
    assert len(parsed) == 2


def test_small_lists_leave_nothing(source, monkeypatch):
    monkeypatch.setattr(hkl_cache, "MIN_BYTES", len(TEXT) + 1)
    read_hkl(source)
    assert list(source.parent.iterdir()) == [source]


def test_a_wrong_list_leaves_nothing(source):
    source.write_text("1 2 3\n")
    with pytest.raises(FormatError):
        read_hkl(source)
    assert list(source.parent.iterdir()) == [source]


def damaged(content: bytes) -> dict[str, bytes]:
    flipped = bytearray(content)
    flipped[-5] ^= 1
    count = bytearray(content)
    count[64] ^= 1
    return {"empty": b"", "foreign": b"\x89HDF\r\n" * 50, "head only": content[:112], "truncated": content[:-1],
            "longer": content + b"\0", "a flipped bit": bytes(flipped), "a wrong count": bytes(count),
            "zeros": bytes(len(content))}


@pytest.mark.parametrize("kind", damaged(bytes(1000)))
def test_a_damaged_copy_is_ignored_and_rewritten(source, parsed, kind):
    expected = read_hkl(source)
    good = copy_of(source).read_bytes()
    copy_of(source).write_bytes(damaged(good)[kind])
    assert same(read_hkl(source), expected)
    assert len(parsed) == 2
    assert copy_of(source).read_bytes() == good


def test_the_copy_of_another_version_is_rewritten(source, parsed, monkeypatch):
    read_hkl(source)
    monkeypatch.setattr(hkl_cache, "_VERSION", b"cubragg hkl 0")
    read_hkl(source)
    read_hkl(source)
    assert len(parsed) == 2


def test_no_copy_where_none_can_be_written(source, parsed, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(hkl_cache, "atomic_path", full)
    assert same(read_hkl(source), read_hkl(source))
    assert len(parsed) == 2
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_no_copy_in_a_protected_folder(source):
    source.parent.chmod(0o500)
    try:
        assert same(read_hkl(source), read_hkl(source))
        assert list(source.parent.iterdir()) == [source]
    finally:
        source.parent.chmod(0o700)


def test_a_folder_in_the_place_of_the_copy(source, parsed):
    copy_of(source).mkdir()
    assert same(read_hkl(source), read_hkl(source))
    assert len(parsed) == 2


def test_a_link_in_the_place_of_the_copy_is_replaced_and_not_followed(source, parsed, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    copy_of(source).symlink_to(victim)
    assert same(read_hkl(source), read_hkl(source))
    assert victim.read_text() == "mine"
    assert len(parsed) == 1


def test_the_copy_of_a_linked_list_lies_beside_the_list(source, tmp_path):
    link = tmp_path / "elsewhere" / "link.hkl"
    link.parent.mkdir()
    link.symlink_to(source)
    read_hkl(link)
    assert list(link.parent.iterdir()) == [link]
    assert copy_of(source).exists()


def test_a_pipe_leaves_nothing(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'w').write({TEXT!r})"])
    assert len(read_hkl(pipe).hkl) == 52
    assert writer.wait() == 0
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_copy_has_the_permissions_of_the_list(source, mode):
    read_hkl(source)
    source.chmod(mode)
    source.write_text(TEXT + "9 9 9 1\n")
    read_hkl(source)
    assert stat.S_IMODE(copy_of(source).stat().st_mode) == mode


def test_a_copy_of_a_stranger_is_not_trusted(source, parsed, monkeypatch):
    read_hkl(source)
    monkeypatch.setattr(hkl_cache, "_trusted", lambda key: False)
    read_hkl(source)
    assert len(parsed) == 2


@pytest.mark.parametrize(("copy", "listed", "mine", "trusted"), [(7, 7, 1, True), (1, 7, 1, True), (7, 1, 1, False)])
def test_trusted_are_this_user_and_the_owner_of_the_list(source, monkeypatch, copy, listed, mine, trusted):
    key = hkl_cache.key_of(source, TEXT.encode())
    read_hkl(source)
    owners = {copy_of(source): copy, source: listed}
    original = Path.stat
    monkeypatch.setattr(os, "getuid", lambda: mine)
    monkeypatch.setattr(Path, "stat", lambda self, **kw: os.stat_result(
        [*original(self, **kw)[:4], owners[self], *original(self, **kw)[5:10]]))
    assert hkl_cache._trusted(key) == trusted


def test_two_processes_at_once(source):
    code = ("import sys\nfrom cubragg.io.reflections import hkl, hkl_cache\nhkl_cache.MIN_BYTES = 1\n"
            "for _ in range(40):\n"
            "    found = hkl.read_hkl(sys.argv[1])\n"
            "    assert len(found.hkl) == 52 and found.amplitudes[-2] == 2.5 and found[2:] == (2, '0 0 1')\n"
            "    hkl_cache.keep(hkl_cache.key_of(sys.argv[1], open(sys.argv[1], 'rb').read()), *found)\n")
    processes = [subprocess.Popen([sys.executable, "-c", code, str(source)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(source.parent.iterdir()) == sorted([source, copy_of(source)])
