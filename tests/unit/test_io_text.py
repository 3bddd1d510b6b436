"""Text input: matrices, sources and the helpers below them."""

from __future__ import annotations

import pytest

from cubragg.errors import FormatError
from cubragg.experiment import Source
from cubragg.io.files.text import data_lines, number, read_text
from cubragg.io.geometry.matrix import read_matrix
from cubragg.io.geometry.sources import read_sources

MATRIX = """0.0000174448 0.0028148117 -0.0256568776
-0.0126294497 0.0008354108 0.0003590118
0.0008528942 0.0123129873 0.0058409348
"""
MATRIX_VALUES = (0.0000174448, 0.0028148117, -0.0256568776, -0.0126294497, 0.0008354108, 0.0003590118,
                 0.0008528942, 0.0123129873, 0.0058409348)
MOSFLM_REST = """       0.000       0.000       0.000
   0.9999   0.0001   0.0002
     79.1000     79.1000     38.4000     90.0000     90.0000     90.0000
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes ``a.txt`` into the working folder, so that messages have a short name."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> str:
        (tmp_path / "a.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
        return "a.txt"

    return write


def said(read, path) -> str:
    with pytest.raises(FormatError) as caught:
        read(path)
    return str(caught.value)


def test_read_text_line_ends_and_mark(file):
    assert read_text(file(b"\xef\xbb\xbf1\r\n2\r3\n")) == "1\n2\n3\n"


@pytest.mark.parametrize("read", [read_text, read_matrix, read_sources])
def test_missing_file_passes_through(read, tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.txt")


@pytest.mark.parametrize(("content", "message"), [
    (b"1 2\xff", "a.txt: got byte 0xff at 3; a text file in UTF-8 is accepted"),
    (b"12\x003", "a.txt: got byte 0x00 at 2; a text file in UTF-8 is accepted"),
])
def test_binary_is_no_text(file, content, message):
    assert said(read_text, file(content)) == message


def test_data_lines():
    text = "# head\n1 2,3\n\n \t\n4 ! note\n!\n,5,\n"
    assert list(data_lines(text)) == [(2, ["1", "2", "3"]), (5, ["4"]), (7, ["5"])]


@pytest.mark.parametrize(("token", "value"), [("1", 1.0), ("-.5", -0.5), ("+5.", 5.0), ("1E-3", 0.001)])
def test_number(token, value):
    assert number("a:1", "x", token) == value


@pytest.mark.parametrize(("token", "message"), [
    ("abc", "a:1: got 'abc'; x must be a number"), ("1_0", "a:1: got '1_0'; x must be a number"),
    ("0x1", "a:1: got '0x1'; x must be a number"), ("1d5", "a:1: got '1d5'; x must be a number"),
    ("١", "a:1: got '١'; x must be a number"), ("1e999", "a:1: got 1e999; x must be a finite number"),
    ("nan", "a:1: got nan; x must be a finite number"), ("-Inf", "a:1: got -Inf; x must be a finite number"),
])
def test_number_refuses(token, message):
    assert said(lambda token: number("a:1", "x", token), token) == message


@pytest.mark.parametrize("content", [MATRIX, MATRIX + MOSFLM_REST, MATRIX.replace("\n", " "),
                                     "# A\n" + MATRIX.replace(" ", "\n") + "not a number"])
def test_matrix_is_the_first_nine_numbers(file, content):
    assert read_matrix(file(content)) == MATRIX_VALUES


@pytest.mark.parametrize(("content", "message"), [
    ("1 2 3\n4 5 6\n", "a.txt:2: ends after 6 numbers; a matrix needs 9, rows x y z by columns a* b* c*"),
    ("", "a.txt:1: ends after 0 numbers; a matrix needs 9, rows x y z by columns a* b* c*"),
    ("1 2 3\n4 x 6\n7 8 9\n", "a.txt:2: got 'x'; a matrix element must be a number"),
    ("1 2 3\n4 5 inf\n7 8 9\n", "a.txt:2: got inf; a matrix element must be a finite number"),
])
def test_matrix_refuses(file, content, message):
    assert said(read_matrix, file(content)) == message


def test_sources_with_all_columns(file):
    content = "-10 0.002 0.001 1.0 1.00e-10\n# dim\n\n-10 -0.003 0.002 2.5 1.01e-10 extra\n"
    assert read_sources(file(content)) == (Source((-10.0, 0.002, 0.001), 1.0, 1e-10),
                                           Source((-10.0, -0.003, 0.002), 2.5, 1.01e-10))


def test_columns_missing_from_the_right_are_none(file):
    assert read_sources(file("-10 0.002 0.001 2\n-10 1 2\n-10 1\n-10\n")) == (
        Source((-10.0, 0.002, 0.001), 2.0, None), Source((-10.0, 1.0, 2.0)), Source((-10.0, 1.0, None)),
        Source((-10.0, None, None)))


@pytest.mark.parametrize(("content", "message"), [
    ("# nothing\n\n", "a.txt: no sources; a source file needs lines of X Y Z weight wavelength, in metres"),
    ("1 2 3\n1 y 3\n", "a.txt:2: got 'y'; Y must be a number"),
    ("1 2 nan\n", "a.txt:1: got nan; Z must be a finite number"),
    ("1 2 3\n0 0 0 1\n", "a.txt:2: got a source at the crystal; its position must have a direction"),
    ("1 2 3 -1\n", "a.txt:1: got -1; a weight must be >= 0"),
    ("1 2 3 1 0\n", "a.txt:1: got 0 m; a wavelength must be > 0 m"),
    ("1 2 3 1 -1e-10\n", "a.txt:1: got -1e-10 m; a wavelength must be > 0 m"),
    ("1 2 3 inf\n", "a.txt:1: got inf; a weight must be a finite number"),
    ("1 2 3 1 1A\n", "a.txt:1: got '1A'; a wavelength must be a number"),
])
def test_sources_refuse(file, content, message):
    assert said(read_sources, file(content)) == message
