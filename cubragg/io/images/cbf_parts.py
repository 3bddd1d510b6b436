"""Splits a CBF file into its CIF text, the lines of a miniCBF header, the header of its binary section, and pixels.

Source: the description of CBF in the manual of CBFlib, and of miniCBF by DECTRIS.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cubragg.errors import FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.text import quoted

CONVENTION_KEY = "_array_data.header_convention"
_CONTENTS_KEY = "_array_data.header_contents"
_MAGIC = b"###CBF"
_SECTION = b"--CIF-BINARY-FORMAT-SECTION--"
_STARTER = b"\x0c\x1a\x04\xd5"
#: A longer text, or header of the binary section, is a sign of damage.
_MAX_TEXT_BYTES, _MAX_BINARY_HEADER_BYTES = 2**22, 2**14


class CbfParts(NamedTuple):
    """The parts of a CBF file.

    Attributes
    ----------
    text
        CIF text before the binary section.
    lines
        Lines of the short header as a dictionary, with the convention as ``_array_data.header_convention`` and the line
        without a key as ``timestamp``.
    binary
        Header of the binary section.
    pixels
        Bytes behind it, to the end of the file.
    """

    text: str
    lines: dict[str, str]
    binary: dict[str, str]
    pixels: memoryview

    def shape(self, path: Path | str) -> tuple[int, int]:
        """Return the (slow, fast) size of the image.

        Raises
        ------
        FormatError
            If it is not two whole numbers above 0.
        """
        sizes = []
        for axis in ("Second", "Fastest"):
            word = self.binary.get(f"X-Binary-Size-{axis}-Dimension", "")
            if not (word.isascii() and word.isdigit() and len(word) <= 10 and 0 < int(word) < 2**31):
                raise FormatError(f"{path}: got X-Binary-Size-{axis}-Dimension {word[:20] or 'missing'}; a number of "
                                  "pixels > 0 is accepted")
            sizes.append(int(word))
        return sizes[0], sizes[1]


def split_cbf(path: Path | str) -> CbfParts:
    """Return the parts of a CBF file, compressed or not; pixels are not decoded.

    Raises
    ------
    FormatError
        If it has not the marks of a CBF file.
    OSError
        If it cannot be read.
    """
    data = unpacked(path)
    if not data.startswith(_MAGIC):
        raise FormatError(f"{path}: starts with {quoted(data[:len(_MAGIC)])}; a CBF image starts with {quoted(_MAGIC)}")
    section = data.find(_SECTION, 0, _MAX_TEXT_BYTES)
    start = data.find(_STARTER, section, section + _MAX_BINARY_HEADER_BYTES) if section >= 0 else -1
    if start < 0:
        raise FormatError(f"{path}: no binary section with pixels; a CBF image has one in its first "
                          f"{_MAX_TEXT_BYTES} bytes")
    text = data[:section].decode("latin-1").replace("\r\n", "\n")
    binary = _binary_header(data[section + len(_SECTION):start].decode("latin-1"))
    return CbfParts(text, _short_header(text), binary, memoryview(data)[start + len(_STARTER):])


def _binary_header(text: str) -> dict[str, str]:
    header: dict[str, str] = {}
    key = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        name, colon, value = line.partition(":")
        if line.startswith((" ", "\t")) and key:
            header[key] += line.strip()  # a line that goes on, as of Content-Type with its conversions
        elif colon:
            key = name.strip()
            header[key] = value.strip()
    conversions = header.get("Content-Type", "").partition("conversions=")[2].strip('"; ')
    return {**header, "conversions": conversions}


def _short_header(text: str) -> dict[str, str]:
    header = {CONVENTION_KEY: ""}
    for line in text.split("\n"):
        if line.startswith(CONVENTION_KEY):
            header[CONVENTION_KEY] = line.removeprefix(CONVENTION_KEY).strip(" \"'")
        if not line.startswith("#") or line.startswith("##"):
            continue
        key, _, rest = line.lstrip("# ").rstrip().partition(" ")
        if rest and key.count(":") < 2:
            header[key.rstrip(":")] = rest.lstrip("= ")
        elif key:
            header["timestamp"] = line.lstrip("# ").rstrip()
    return header
