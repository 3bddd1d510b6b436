"""Columns of plain decimal numbers, of all lines of a text at once.

A word of 64 bits holds eight characters, and three multiplications make a number of
them (D. Lemire, Number parsing at a gigabyte per second, Softw. Pract. Exper. 51, 2021,
1700): here with one array element for each line.
"""

from __future__ import annotations

import numpy as np

#: So many digits, and the power of ten that goes with them, are exact in float64: then their quotient is
#: the nearest float64 to the number, as strtod has it.
_EXACT_DIGITS = 15
_WORD = 8
#: More digits than these before or after the point are left to others.
_MAX_DIGITS = 3 * _WORD
_POWERS = np.array([10.0**exponent for exponent in range(_MAX_DIGITS + 1)])
#: Of a word: its last 0 to 8 characters.
_LAST = np.array([(2**64 - 1) >> 8 * count << 8 * count for count in range(_WORD, -1, -1)], dtype=np.uint64)


def leading_columns(text: bytes, count: int) -> np.ndarray | None:
    """The first ``count`` columns of every line, float64 [line, column], with the bits of Python's ``float``.

    The other columns are not looked at. ``None`` where a line has anything but plain decimals (sign,
    digits, point) there, or fewer columns; or where the text has comments: slower readers know those.
    """
    if b"#" in text or b"!" in text:
        return None
    characters = np.frombuffer(text, np.uint8)
    edges = _edges(characters)
    columns = None if edges is None else _columns(characters, edges[::2], count)
    if edges is None or columns is None:
        return None
    points = np.flatnonzero(characters == ord("."))
    words = np.frombuffer(bytes(_MAX_DIGITS) + text + bytes(2 * _WORD - len(text) % _WORD), "<u8")
    table = []
    for column in columns:
        start, end = edges[::2][column], edges[1::2][column]
        first = characters[start]
        negative = first == ord("-")
        signed = negative | (first == ord("+"))
        values = _decimals(words, start + signed, end, points)
        if values is None:
            return None
        np.negative(values, out=values, where=negative)
        long = np.flatnonzero(end - start - signed > _EXACT_DIGITS)
        if long.size:
            values[long] = [float(text[a:b]) for a, b in zip(start[long].tolist(), end[long].tolist(), strict=True)]
        table.append(values)
    return np.array(table).T


def _edges(characters: np.ndarray) -> np.ndarray | None:
    """Start and end of every column, in turn; ``None`` for other control characters than tab and line feed."""
    between = np.count_nonzero(characters <= ord(" "))
    if between != sum(np.count_nonzero(characters == ord(each)) for each in " \t\n"):
        return None
    inside = np.zeros(len(characters) + 2, dtype=np.bool_)
    np.greater(characters, ord(" "), out=inside[1:-1])
    inside[1:-1] &= characters != ord(",")
    return np.flatnonzero(inside[1:] != inside[:-1])


def _columns(characters: np.ndarray, starts: np.ndarray, count: int) -> list[np.ndarray] | list[slice] | None:
    """Of the first ``count`` columns: which of all columns they are, line by line; blank lines are left out."""
    line_ends = np.flatnonzero(characters == ord("\n"))
    if not characters.size or characters[-1] != ord("\n"):
        line_ends = np.append(line_ends, len(characters))
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


def _decimals(words: np.ndarray, start: np.ndarray, end: np.ndarray, points: np.ndarray) -> np.ndarray | None:
    """The numbers, float64 [n], between ``start`` and ``end``; ``points`` are the places of all points.

    To the last bit up to 15 digits; ``None`` for other characters.
    """
    digits = end - start
    if digits.min() < 1 or digits.max() > _MAX_DIGITS:
        return None
    values = _whole_numbers(words, end, digits)
    if values is not None or not points.size:
        return values
    point = points
    if len(points) != len(start) or (points < start).any():
        point = np.append(points, 2**62)[np.searchsorted(points, start)]
    point = np.minimum(point, end)
    after = np.maximum(end - point - 1, 0)
    if (point - start + after).min() < 1:
        return None
    whole, fraction = _whole_numbers(words, point, point - start), _whole_numbers(words, end, after)
    if whole is None or fraction is None:
        return None
    power = _POWERS[after]
    return (whole * power + fraction) / power


def _whole_numbers(words: np.ndarray, end: np.ndarray, digits: np.ndarray) -> np.ndarray | None:
    """The numbers, float64 [n], of the ``digits`` characters before each ``end``; ``None`` for other characters.

    ``words`` holds the text after three words of zeros.
    """
    number = None
    for before in range(0, max(int(digits.max()), 1), _WORD):
        part = _eight_digits(words, end - before, np.clip(digits - before, 0, _WORD))
        if part is None:
            return None
        number = part if number is None else number + part * 10.0**before
    return number


def _eight_digits(words: np.ndarray, end: np.ndarray, digits: np.ndarray) -> np.ndarray | None:
    # The eight characters before the end, the last one in the highest byte, lie across two words.
    at = (end + _MAX_DIGITS - _WORD) >> 3
    shift = ((end & 7) << 3).astype(np.uint64)
    # Twice a shift of less than 64: one of 64 has no meaning.
    word = words[at] >> shift | words[at + 1] << np.uint64(1) << (np.uint64(63) - shift)
    # Digits become 0 to 9, what stands before them 0.
    word ^= _every_byte(ord("0"))
    word &= _LAST[digits]
    if ((word + _every_byte(0x80 - 10) | word) & _every_byte(0x80)).any():
        return None
    for factor, bits, keep in ((10, 8, 0x00FF00FF00FF00FF), (100, 16, 0x0000FFFF0000FFFF), (10000, 32, 0xFFFFFFFF)):
        word = (word * np.uint64(factor) + (word >> np.uint64(bits))) & np.uint64(keep)
    return word.astype(np.float64)


def _every_byte(value: int) -> np.uint64:
    return np.uint64(value * 0x0101010101010101)
