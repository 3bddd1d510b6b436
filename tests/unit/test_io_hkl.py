"""Reflection lists and the binary dump of structure factors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cubragg.errors import FormatError
from cubragg.experiment import StructureFactors
from cubragg.io.reflections import reflection_lines
from cubragg.io.reflections.fdump import read_fdump, write_fdump
from cubragg.io.reflections.hkl import read_hkl, write_hkl
from support.messages import refusal

# Heads of lists for the golden images: four columns, with a phase, with sigma and phase
LISTS = ["-4 -4 -2 30.000\n-4 -4 -1 110.000\n-4 -4 0 80.000\n",
         "-4 -4 -2 30.000 0\n-4 -4 -1 110.000 37\n-4 -4 0 80.000 74\n",
         "-4 -4 -2 30.000 1.5 0\n-4 -4 -1 110.000 1.5 37\n-4 -4 0 80.000 1.5 74\n",
         "# h k l F\r\n\r\n -4,-4,-2,3e1\r\n! more\r\n\t-4.0 -4 -1 , 110 # why\r\n-4 -4 0 80 no matter what\r\n",
         "-4 -4 -2 30\r-4 -4 -1 110 1\r-4 -4 0 80"]

# What the C program writes for "0 0 1 1.5" and "1 0 0 2" with default_F 7
C_LIST = "0 0 1 1.5\n1 0 0 2\n"
C_DUMP = b"0 1 0 0 0 1\n\x0c" + np.array(
    [7, 1.5, 0, 0, 0, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "<f8").tobytes()

finite = st.floats(-1e60, 1e60)
same_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes ``a.hkl`` into the working folder, so that messages have a short name."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> str:
        (tmp_path / "a.hkl").write_bytes(content if isinstance(content, bytes) else content.encode())
        return "a.hkl"

    return write


@pytest.mark.requirement("AT-IO-004")
@pytest.mark.parametrize("content", LISTS)
def test_lists_with_more_columns_are_the_same_list(file, content):
    hkl, amplitudes, duplicates, first = read_hkl(file(content))
    assert (hkl.dtype, amplitudes.dtype) == (np.int32, np.float64)
    assert hkl.tolist() == [[-4, -4, -2], [-4, -4, -1], [-4, -4, 0]]
    assert amplitudes.tolist() == [30.0, 110.0, 80.0]
    assert (duplicates, first) == (0, None)


def test_duplicates_are_kept_with_a_warning(file):
    hkl, amplitudes, duplicates, first = read_hkl(file("1 0 0 1\n0 0 -2 2\n0 0 -2 3\n1 0 0 4\n1 0 0 5\n"))
    assert amplitudes.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert hkl[3].tolist() == [1, 0, 0]
    assert (duplicates, first) == (3, "0 0 -2")


def test_widest_indices(file):
    hkl = read_hkl(file(f"{2**30} {-2**30} 0 1\n")).hkl
    assert hkl.tolist() == [[2**30, -2**30, 0]]


BEYOND = "must be -1073741824 to 1073741824"


@pytest.mark.requirement("AT-IO-004")
@pytest.mark.parametrize(("content", "says"), [
    ("", ("a.hkl", "", "reflection", "h k l F")),
    ("# 1 2 3 4\n\n ,\n", ("a.hkl", "", "reflection", "h k l F")),
    ("1 2 3 4\n\n# a\n1 b 3 4\n", ("a.hkl:4", "b", "k", "number")),
    ("1 2 3 4\r\n1 2 3 F\r\n", ("a.hkl:2", "F", "F", "number")),
    ("1 2 3_0 4\n", ("a.hkl:1", "3_0", "l", "number")),
    ("1 2 3 4\n1 2 3.5 4\n", ("a.hkl:2", "3.5", "l", "whole number")),
    ("nan 2 3 4\n", ("a.hkl:1", "nan", "h", "finite")),
    ("1 2 3 4\n1 2 3\n", ("a.hkl:2", "3", "h k l F")),
    ("1 2 3 # 4\n", ("a.hkl:1", "3", "h k l F")),
    ("1 2 3 nan\n", ("a.hkl:1", "nan", "F", "finite")),
    ("1 2 3 -inf\n", ("a.hkl:1", "-inf", "F", "finite")),
    ("1 2 3 1e999\n", ("a.hkl:1", "1e999", "F", "finite")),
    (f"1 {2**30 + 1} 3 4\n", ("a.hkl:1", "1073741825", "k", "1073741824")),
    ("1 2 -1e30 4\n", ("a.hkl:1", "-1000000000000000019884624838656", "l", "1073741824")),
    (b"1 2 3 \xff\n", ("a.hkl", "0xff", "6", "UTF-8")),
    (b"\x00\x01", ("a.hkl", "0x00", "0", "UTF-8")),
])
def test_refuses(file, content, says):
    with refusal(FormatError, *says):
        read_hkl(file(content))


def test_missing_file_passes_through(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_hkl(tmp_path / "none.hkl")


def test_long_lists_are_read_in_blocks_and_keep_their_line_numbers(file, monkeypatch):
    monkeypatch.setattr(reflection_lines, "_BLOCK_CHARACTERS", 16)
    lines = [f"{i} 0 0 {i}" if i % 3 else "# comment" for i in range(100)]
    read = read_hkl(file("\n".join(lines)))
    assert read.amplitudes.tolist() == [i for i in range(100) if i % 3]
    lines[70] = "70 0 0"
    with refusal(FormatError, "a.hkl:71", "3", "h k l F"):
        read_hkl(file("\n".join(lines)))


@pytest.mark.requirement("AT-PERF-004")
@pytest.mark.parametrize("line", ["1 2 3 4.", "+1 -2 0003 .25", "1\t2,3 ,, 123456789.123456", "1 2 3 0.000000000000001",
                                  "1 2 3 1234567890123456789.5", "1 2 3 -0.1234567890123456789", "1 2 3 -0 rest: 1.2.3",
                                  "1.0 -2.00 3. 99999999999999.9", "1 2 3 9007199254740993", "1 2 3 -.0",
                                  "1 2 3 2.2250738585072011e-308", "1 2 3 1E23"])
def test_amplitudes_have_the_bits_of_float(file, line):
    h, k, m, F = map(float, line.replace(",", " ").split()[:4])
    read = read_hkl(file(f"{line}\n\n{line}"))
    assert read.hkl.tolist() == [[h, k, m]] * 2
    assert read.amplitudes.tobytes() == np.array([F, F]).tobytes()


@pytest.mark.parametrize("line", ["1 2 . 4", "1 2 3 -", "1 2 3 +.", "1 2 3 1.2.3", "1 2 3 1-2", "1 2 --3 4",
                                  "1 2 .-3 4", "1 2 3:4 5", "1 2 3/ 4", "1 2 3 1d2", "1 2 3 0x1"])
def test_what_is_no_number_is_refused_with_its_line(file, line):
    with refusal(FormatError, "a.hkl:2", "", "number"):
        read_hkl(file(f"1 2 3 4\n{line}\n"))


tokens = st.sampled_from([".", "-", "+.5", "-.", "12345678.123456", "1.2.3", "1-2", "12345678901234567", "1",
                          "-2", "3.0", "1e2", "+5", ".5", "5.", "4.5", "nan", "inf", "x", "1_0", "0x1", "١", "#",
                          "!c", ",", "1073741824", "1073741825", "1e400", "1d2", '"1"', "\x0b", "\u2003", "-0"])


@pytest.mark.requirement("AT-PERF-004")
@same_folder
@given(lines=st.lists(st.lists(tokens, max_size=6).map(" ".join), min_size=1, max_size=5))
def test_the_fast_reader_accepts_what_the_reader_by_line_accepts(lines):
    text = "\n".join(["1 2 3 4", *lines])
    fast = reflection_lines._table_at_once(text, 4)
    try:
        by_line = reflection_lines._table_by_line("a", text, 1, "hklF")
    except FormatError:
        by_line = None
    assert (fast is None) == (by_line is None)
    if fast is not None:
        assert np.array_equal(fast, by_line)


@same_folder
@given(reflections=st.lists(st.tuples(*[st.integers(-2**30, 2**30)] * 3, finite), min_size=1, max_size=20))
def test_list_round_trip_keeps_every_bit(tmp_path, reflections):
    hkl = np.array([row[:3] for row in reflections], np.int32)
    amplitudes = np.array([row[3] for row in reflections])
    write_hkl(tmp_path / "a.hkl", hkl, amplitudes)
    read = read_hkl(tmp_path / "a.hkl")
    assert np.array_equal(read.hkl, hkl)
    assert read.amplitudes.tobytes() == amplitudes.tobytes()
    assert read.duplicates == len(hkl) - len({tuple(row) for row in hkl.tolist()})


def test_written_list(file, tmp_path):
    write_hkl(file(""), np.array([[0, 0, 1], [-1, 0, 2]]), np.array([1.5, 100.0], np.float32))
    assert (tmp_path / "a.hkl").read_text() == "0 0 1 1.5\n-1 0 2 100.0\n"


@pytest.mark.parametrize(("hkl", "amplitudes", "says"), [
    (np.ones((2, 3)), np.ones(2), ("a.hkl", "float64", "(2, 3)", "(2,)", "[n, 3]")),
    (np.ones((2, 3), int), np.ones(3), ("a.hkl", "int64", "(2, 3)", "(3,)", "[n, 3]")),
    (np.ones((2, 3), int), np.array([1.0, np.nan]), ("a.hkl", "NaN", "amplitude", "finite")),
])
def test_refuses_to_write(hkl, amplitudes, says):
    with refusal(FormatError, *says):
        write_hkl("a.hkl", hkl, amplitudes)


@pytest.mark.requirement("AT-IO-003")
def test_dump_is_that_of_the_c_program(file, tmp_path):
    reflections = read_hkl(file(C_LIST))
    factors = StructureFactors.from_list(reflections.hkl, reflections.amplitudes, default_F=7.0)
    write_fdump("Fdump.bin", factors.grid, factors.origin)
    assert (tmp_path / "Fdump.bin").read_bytes() == C_DUMP
    grid, origin = read_fdump("Fdump.bin")
    assert grid.tolist() == [[[7.0, 1.5]], [[2.0, 7.0]]]
    assert origin == (0, 0, 0)


@pytest.mark.requirement("AT-IO-003")
@same_folder
@given(grid=arrays.arrays(np.float64, arrays.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=finite),
       origin=st.tuples(*[st.integers(-1000, 1000)] * 3))
def test_dump_round_trip_keeps_every_bit(tmp_path, grid, origin):
    write_fdump(tmp_path / "Fdump.bin", grid, origin)
    read, read_origin = read_fdump(tmp_path / "Fdump.bin")
    assert read_origin == origin
    assert (read.shape, read.tobytes()) == (grid.shape, grid.tobytes())


START = "six", "form feed"


@pytest.mark.parametrize(("content", "says"), [
    (b"", ("a.hkl", "''", *START)),
    (C_LIST.encode(), ("a.hkl", "'0 0 1 1.5\\n1 '", *START)),
    (b"0 1 0 0 0\n\x0c", ("a.hkl", "'0 1 0 0 0\\n\\x0c'", *START)),
    (b"0 -1 0 0 0 1\n\x0c", ("a.hkl", "0 -1 0 0 0 1", "minimum")),
    (C_DUMP[:-1], ("a.hkl", "143 bytes", "144")),
    (C_DUMP + b"\n", ("a.hkl", "145 bytes", "144")),
    (b"0 999999999 0 999999999 0 1\n\x0c", ("a.hkl", "0 bytes", "24000000048000000024")),
    (C_DUMP[:-144] + np.full(18, np.nan).tobytes(), ("a.hkl", "NaN", "amplitude", "finite")),
])
def test_refuses_a_dump(file, content, says):
    with refusal(FormatError, *says):
        read_fdump(file(content))


@pytest.mark.parametrize("shape", [(2, 3), (2, 0, 3)])
def test_refuses_to_write_a_dump(shape):
    with refusal(FormatError, "Fdump.bin", f"{shape}", "amplitudes [h, k, l]"):
        write_fdump("Fdump.bin", np.ones(shape), (0, 0, 0))
