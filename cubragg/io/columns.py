"""Columns of plain decimal numbers, of all lines of a text at once.

A word of 64 bits holds eight characters, and three multiplications make a number of
them (D. Lemire, Number parsing at a gigabyte per second, Softw. Pract. Exper. 51, 2021,
1700): here with one array element for each line.
"""

from __future__ import annotations

import numpy as np

#: 1 for characters of columns, 0 for those between them.
_IN_COLUMN = bytes(chr(code) not in " \t\n," for code in range(256))
#: So many digits, and the power of ten that goes with them, are exact in float64: then their quotient is
#: the nearest float64 to the number, as strtod has it.
_EXACT_DIGITS = 15
_WORD = 8
#: More digits than these are left to others.
_MAX_DIGITS = 3 * _WORD
_POWERS = np.array([10.0**exponent for exponent in range(_EXACT_DIGITS + 1)])


def leading_columns(text: bytes, count: int) -> np.ndarray | None:
    """The first ``count`` columns of every line, float64 [line, column], with the bits of Python's ``float``.

    The other columns are not looked at. ``None`` where a line has anything but plain decimals (sign,
    digits, point) there, or fewer columns; or where the text has comments: slower readers know those.
    """
    if b"#" in text or b"!" in text:
        return None
    edges = _edges(text)
    bare = text.translate(None, b".")
    bare_edges = edges if len(bare) == len(text) else _edges(bare)
    columns = _columns(text, edges[::2], count)
    # A point by itself would go without a trace.
    if columns is None or len(edges) != len(bare_edges):
        return None
    characters = np.frombuffer(text, np.uint8)
    points = np.flatnonzero(characters == ord("."))
    words = np.frombuffer(bytes(_WORD) + bare + bytes(2 * _WORD - len(bare) % _WORD), np.uint64)
    table = []
    for column in columns:
        start, end, bare_start, bare_end = (places[column] for places in (
            edges[::2], edges[1::2], bare_edges[::2], bare_edges[1::2]))
        first = characters[start]
        negative = first == ord("-")
        digits = bare_end - bare_start - (negative | (first == ord("+")))
        if digits.min() < 1 or digits.max() > _MAX_DIGITS:
            return None
        values = _whole_numbers(words, bare_end, digits)
        if values is None:
            return None
        points_before = start - bare_start
        has_point = end - bare_end - points_before
        if has_point.any():
            if has_point.max() > 1:
                return None
            point = points[np.minimum(points_before, len(points) - 1)]
            values /= _POWERS[np.where(has_point, np.minimum(end - point - 1, _EXACT_DIGITS), 0)]
        np.negative(values, out=values, where=negative)
        long = np.flatnonzero(digits > _EXACT_DIGITS)
        if long.size:
            values[long] = [float(text[a:b]) for a, b in zip(start[long].tolist(), end[long].tolist(), strict=True)]
        table.append(values)
    return np.array(table).T


def _edges(text: bytes) -> np.ndarray:
    """Start and end of every column, in turn."""
    inside = np.frombuffer(b"".join((b"\0", text.translate(_IN_COLUMN), b"\0")), np.bool_)
    return np.flatnonzero(inside[1:] != inside[:-1])


def _columns(text: bytes, starts: np.ndarray, count: int) -> list[np.ndarray] | list[slice] | None:
    """Of the first ``count`` columns: which of all columns they are, line by line; blank lines are left out."""
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    if not text.endswith(b"\n"):
        line_ends = np.append(line_ends, len(text))
    each, odd = divmod(len(starts), len(line_ends))
    if each >= count and not odd and (starts[each - 1::each] < line_ends).all() and (
            starts[each::each] > line_ends[:-1]).all():
        return [slice(column, None, each) for column in range(count)]
    until = np.searchsorted(starts, line_ends)
    number = np.diff(until, prepend=0)
    used = number > 0
    if not used.any() or number[used].min() < count:
        return None
    return [(until - number + column)[used] for column in range(count)]


def _every_byte(value: int) -> np.uint64:
    return np.uint64(value * 0x0101010101010101)


def _whole_numbers(words: np.ndarray, end: np.ndarray, digits: np.ndarray) -> np.ndarray | None:
    """The numbers, float64 [n], of the ``digits`` characters before each ``end``; ``None`` for other characters.

    ``words`` holds the text after one word of zeros.
    """
    number = np.zeros(len(end))
    for before in range(0, int(digits.max()), _WORD):
        part = _eight_digits(words, np.maximum(end - before, 0), np.clip(digits - before, 0, _WORD))
        if part is None:
            return None
        number += part * 10.0**before
    return number


def _eight_digits(words: np.ndarray, end: np.ndarray, digits: np.ndarray) -> np.ndarray | None:
    at, shift = end >> 3, ((end & 7) << 3).astype(np.uint64)
    # The eight characters before the end, the last one in the highest byte, lie across two words. Twice a shift
    # of less than 64: one of 64 has no meaning.
    word = words[at] >> shift | words[at + 1] << np.uint64(1) << (np.uint64(63) - shift)
    # Digits become 0 to 9, what stands before them 0.
    word ^= _every_byte(ord("0"))
    foreign = ((_WORD - digits) << 3).astype(np.uint64)
    half = foreign >> np.uint64(1)
    rest = foreign - half
    word = word >> half >> rest << half << rest
    if ((word + _every_byte(0x80 - 10) | word) & _every_byte(0x80)).any():
        return None
    for factor, bits, keep in ((10, 8, 0x00FF00FF00FF00FF), (100, 16, 0x0000FFFF0000FFFF), (10000, 32, 0xFFFFFFFF)):
        word = (word * np.uint64(factor) + (word >> np.uint64(bits))) & np.uint64(keep)
    return word.astype(np.float64)
