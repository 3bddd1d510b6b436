"""Text input: matrices, sources and the helpers below them."""

from __future__ import annotations

import pytest

from cubragg.errors import FormatError
from cubragg.experiment import Source
from cubragg.io.files.text import data_lines, number, read_text
from cubragg.io.geometry.matrix import read_matrix
from cubragg.io.geometry.sources import read_sources
from support.messages import refusal

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


def test_read_text_line_ends_and_mark(file):
    assert read_text(file(b"\xef\xbb\xbf1\r\n2\r3\n")) == "1\n2\n3\n"


@pytest.mark.parametrize("read", [read_text, read_matrix, read_sources])
def test_missing_file_passes_through(read, tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.txt")


@pytest.mark.parametrize(("content", "says"), [
    (b"1 2\xff", ("a.txt", "0xff", "3", "UTF-8")),
    (b"12\x003", ("a.txt", "0x00", "2", "UTF-8")),
])
def test_binary_is_no_text(file, content, says):
    with refusal(FormatError, *says):
        read_text(file(content))


def test_data_lines():
    text = "# head\n1 2,3\n\n \t\n4 ! note\n!\n,5,\n"
    assert list(data_lines(text)) == [(2, ["1", "2", "3"]), (5, ["4"]), (7, ["5"])]


@pytest.mark.parametrize(("token", "value"), [("1", 1.0), ("-.5", -0.5), ("+5.", 5.0), ("1E-3", 0.001)])
def test_number(token, value):
    assert number("a:1", "x", token) == value


@pytest.mark.parametrize(("token", "says"), [
    ("abc", ("a:1", "abc", "x", "number")), ("1_0", ("a:1", "1_0", "x", "number")),
    ("0x1", ("a:1", "0x1", "x", "number")), ("1d5", ("a:1", "1d5", "x", "number")),
    ("١", ("a:1", "١", "x", "number")), ("1e999", ("a:1", "1e999", "x", "finite")),
    ("nan", ("a:1", "nan", "x", "finite")), ("-Inf", ("a:1", "-Inf", "x", "finite")),
])
def test_number_refuses(token, says):
    with refusal(FormatError, *says):
        number("a:1", "x", token)


@pytest.mark.requirement("AT-IO-009")
@pytest.mark.parametrize("content", [MATRIX, MATRIX + MOSFLM_REST, MATRIX.replace("\n", " "),
                                     "# A\n" + MATRIX.replace(" ", "\n") + "not a number"])
def test_matrix_is_the_first_nine_numbers(file, content):
    assert read_matrix(file(content)) == MATRIX_VALUES


@pytest.mark.requirement("AT-IO-009")
@pytest.mark.parametrize(("content", "says"), [
    ("1 2 3\n4 5 6\n", ("a.txt:2", "6", "9", "a* b* c*")),
    ("", ("a.txt:1", "0", "9", "a* b* c*")),
    ("1 2 3\n4 x 6\n7 8 9\n", ("a.txt:2", "x", "matrix", "number")),
    ("1 2 3\n4 5 inf\n7 8 9\n", ("a.txt:2", "inf", "matrix", "finite")),
])
def test_matrix_refuses(file, content, says):
    with refusal(FormatError, *says):
        read_matrix(file(content))


def test_sources_with_all_columns(file):
    content = "-10 0.002 0.001 1.0 1.00e-10\n# dim\n\n-10 -0.003 0.002 2.5 1.01e-10 extra\n"
    assert read_sources(file(content)) == (Source((-10.0, 0.002, 0.001), 1.0, 1e-10),
                                           Source((-10.0, -0.003, 0.002), 2.5, 1.01e-10))


def test_columns_missing_from_the_right_are_none(file):
    assert read_sources(file("-10 0.002 0.001 2\n-10 1 2\n-10 1\n-10\n")) == (
        Source((-10.0, 0.002, 0.001), 2.0, None), Source((-10.0, 1.0, 2.0)), Source((-10.0, 1.0, None)),
        Source((-10.0, None, None)))


@pytest.mark.requirement("AT-IO-009")
@pytest.mark.parametrize(("content", "says"), [
    ("# nothing\n\n", ("a.txt", "", "source", "X Y Z weight wavelength")),
    ("1 2 3\n1 y 3\n", ("a.txt:2", "y", "Y", "number")),
    ("1 2 nan\n", ("a.txt:1", "nan", "Z", "finite")),
    ("1 2 3\n0 0 0 1\n", ("a.txt:2", "", "source", "direction")),
    ("1 2 3 -1\n", ("a.txt:1", "-1", "weight")),
    ("1 2 3 1 0\n", ("a.txt:1", "0 m", "wavelength")),
    ("1 2 3 1 -1e-10\n", ("a.txt:1", "-1e-10 m", "wavelength")),
    ("1 2 3 inf\n", ("a.txt:1", "inf", "weight", "finite")),
    ("1 2 3 1 1A\n", ("a.txt:1", "1A", "wavelength", "number")),
])
def test_sources_refuse(file, content, says):
    with refusal(FormatError, *says):
        read_sources(file(content))
