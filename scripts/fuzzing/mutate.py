"""Mutations of files: of bytes, of text, and of trees (JSON, TOML, HDF5).

Each takes a `random.Random`, so that a seed, or Hypothesis, decides.
"""

from __future__ import annotations

import json
import math
import random
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Numbers as text that readers trip over.
NUMBERS = ("0", "-0", "-1", "1", "2", "0.5", "1e5", "-1e5", "1e300", "-1e300", "1e308", "1e-300", "1e-320", "nan",
           "inf", "-inf", "Infinity", "1e999", "65536", "2147483647", "2147483648", "-2147483648", "4294967296",
           "1000000000", "99999999999999999999", "9" * 400, "1" * 5000, "1_000", "0x10", "1,5", "\uff11", "1d5", "1e",
           "--1", "", "1(3)", "?", ".")
#: Bytes that text readers trip over.
CHARACTERS = (b"\0", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\n", b"\r", b"\t", b"\x1b[31m", b"\xe2\x80\xa8", b"\x0c",
              b"\x1a", b"'", b'"', b"=", b";", b"#", b"/", b"{", b"}", b"\\", b"%s", b"..", b"\x85")
_TOKEN = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_]\w*")
_INTEGERS = (0, 1, -1, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, -2**31, 2**32 - 1, 2**40, -2**63)
#: Start of a line that is repeated, of a file without line ends.
_LONGEST_REPEATED = 900
#: Depth of lists that no parser by recursion survives.
_DEPTH = 20000


def bytes_mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, remove, repeat or insert bytes in a few places, or cut the end."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at = rng.randrange(len(changed) + 1)
        length = min(rng.choice((1, 2, 4, 8, 80, 512)), len(changed) - at)
        match rng.randrange(8):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at:at + length] = rng.randbytes(length)
            case 2:
                del changed[at:at + length]
            case 3:
                changed[at:at] = changed[at:at + length] * rng.choice((1, 2, 50))
            case 4:
                size = rng.choice((1, 2, 4, 8))
                value = rng.choice(_INTEGERS) % 2**(8 * size)
                changed[at:at + size] = value.to_bytes(size, rng.choice(("little", "big")))
            case 5:
                del changed[at:]
            case 6:
                changed[at:at] = rng.choice(CHARACTERS)
            case _:
                other = rng.randrange(len(changed) + 1)
                changed[at:at + length] = changed[other:other + length]
    return bytes(changed)


def text_mutated(data: bytes, rng: random.Random, first: int = 0, last: int | None = None) -> bytes:
    """Replace numbers and words, and remove, repeat or swap lines, of the bytes ``first`` to ``last``."""
    end = len(data) if last is None else last
    text = data[first:end]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        text = _TEXT_CHANGES[rng.randrange(len(_TEXT_CHANGES))](text, rng)
    return data[:first] + text + data[end:]


def _new_number(text: bytes, rng: random.Random) -> bytes:
    found = [match.span() for match in _TOKEN.finditer(text)]
    if not found:
        return text
    a, b = rng.choice(found)
    new = rng.choice(NUMBERS).encode()
    if rng.random() < 0.3 and len(new) <= b - a:  # files with columns of fixed width
        new = new.rjust(b - a)
    return text[:a] + new + text[b:]


def _new_word(text: bytes, rng: random.Random) -> bytes:
    found = [match.span() for match in _WORD.finditer(text)]
    if not found:
        return text
    (a, b), (c, d) = rng.choice(found), rng.choice(found)
    return text[:a] + rng.choice((text[c:d], b"", b"x" * 3000, rng.choice(NUMBERS).encode())) + text[b:]


def _new_lines(text: bytes, rng: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            del lines[a]
        case 1:
            lines[b:b] = [lines[a][:_LONGEST_REPEATED]] * rng.choice((1, 2, 1000))
        case 2:
            lines[a], lines[b] = lines[b], lines[a]
        case 3:
            lines[a] = lines[a][:rng.randrange(len(lines[a]) + 1)]
        case _:
            del lines[min(a, b):max(a, b)]
    return b"".join(lines)


def _new_character(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(CHARACTERS) + text[at + rng.randrange(2):]


_TEXT_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _new_number, _new_number, _new_number, _new_word, _new_lines, _new_lines, _new_character)


def _odd_value(rng: random.Random, old: Any) -> Any:
    """A value in place of ``old``."""
    kind = rng.randrange(10)
    if kind < 5 and isinstance(old, int | float):
        less = old // 1000 if isinstance(old, int) else old / 1000  # an integer can be larger than any float
        return rng.choice((0, -1, 1, 0.0, -0.0, 1e300, -1e300, 1e-320, math.nan, math.inf, -math.inf, 2**31, -2**31,
                           2**63 - 1, -2**63, 10**9, 65536, 0.5, 1e5, -old, old * 1000, less))
    if kind < 8:
        return rng.choice((None, "", "a", "\0", "\u00e9", "\n", True, False, [], {}, [[]], [0], [math.nan] * 3,
                           [0.0] * 3, [1e300] * 3, [0.0] * 9, {"a": 1}, ["a"], [True] * 3, 10**19, 10**400))
    if isinstance(old, list) and old:
        return rng.choice((old[:-1], old + old[:1], old[::-1], [old], old * 100, old[0]))
    return rng.choice((0, "", [], {}))


def tree_mutated(tree: Any, rng: random.Random) -> Any:
    """Change, remove, repeat or exchange nodes of nested dictionaries and lists, in place; returns the tree."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        nodes = [(parent, key) for parent, key in _nodes(tree)]
        if not nodes:
            break
        parent, key = rng.choice(nodes)
        match rng.randrange(8):
            case 0:
                del parent[key]
            case 1:
                other, name = rng.choice(nodes)
                parent[key] = json.loads(json.dumps(other[name], default=str))
            case 2 if isinstance(parent, list):
                parent.insert(key, parent[key])
            case _:
                parent[key] = _odd_value(rng, parent[key])
    return tree


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """(parent, key) of every node."""
    found, stack = [], [tree]
    while stack:
        node = stack.pop()
        for key, child in (node.items() if isinstance(node, dict) else enumerate(node)):
            found.append((node, key))
            if isinstance(child, dict | list):
                stack.append(child)
    return found


def json_mutated(data: bytes, rng: random.Random) -> bytes:
    """Change the tree of a JSON file, or nest it too deeply."""
    if rng.random() < 0.02:
        return data.replace(b"[", b"[" * _DEPTH, 1)
    return json.dumps(tree_mutated(json.loads(data), rng)).encode()


def toml_mutated(data: bytes, rng: random.Random) -> bytes:
    """Change the tree of a TOML file, or nest it too deeply."""
    import tomli_w

    if rng.random() < 0.02:
        return data + b"\n[deep]\na = " + b"[" * _DEPTH + b"]" * _DEPTH
    tree = tree_mutated(tomllib.loads(data.decode()), rng)
    try:
        return tomli_w.dumps(_without_none(tree)).encode()
    except (TypeError, ValueError):
        return text_mutated(data, rng)


def _without_none(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return [_without_none(value) for value in tree if value is not None] if isinstance(tree, list) else tree


def hdf5_mutated(path: Path, rng: random.Random) -> None:
    """Change nodes and attributes of an HDF5 file, in place."""
    import h5py

    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            name = rng.choice(names)
            node = file.get(name)
            if node is None:
                continue
            if rng.random() < 0.4 and len(node.attrs):
                _attribute_changed(node, rng)
            elif rng.random() < 0.15:
                target = rng.choice(names)
                del file[name]
                file[name] = rng.choice((h5py.SoftLink(f"/{target}"), h5py.SoftLink(f"/{name}"),
                                         h5py.ExternalLink("absent.h5", "/entry"),
                                         h5py.ExternalLink("/etc/hostname", "/entry"),
                                         h5py.ExternalLink(path.name, f"/{target}"), h5py.SoftLink("/nowhere")))
            elif isinstance(node, h5py.Dataset):
                _dataset_changed(file, name, rng)
            elif rng.random() < 0.5:
                del file[name]


def _attribute_changed(node: Any, rng: random.Random) -> None:
    import numpy as np

    key = rng.choice(list(node.attrs))
    old = node.attrs[key]
    if rng.random() < 0.2:
        del node.attrs[key]
        return
    odd = (math.nan, math.inf, 1e300, 0.0, -1.0, "", "mm", "parsec", ".", "/", "rotation", "\u00e9", b"\xff", [0.0] * 3,
           [1e300] * 3, [math.nan] * 3, [1.0, 0.0], np.zeros((0,)), 10**18, node.name, key, [["a"]], b"m", "NXdetector")
    new = rng.choice(odd)
    if rng.random() < 0.3 and isinstance(old, np.ndarray) and old.dtype.kind in "fiu":
        new = old * rng.choice((-1.0, 0.0, 1e300, 1e-300, math.nan))
    node.attrs[key] = new


def _dataset_changed(file: Any, name: str, rng: random.Random) -> None:
    """Give a dataset other values, another type or shape, external storage or virtual sources."""
    import h5py
    import numpy as np

    attributes, old = dict(file[name].attrs), file[name]
    shape = old.shape or ()
    values = old[()] if old.shape is not None and old.size < 10**6 else 0
    del file[name]
    match rng.randrange(9):
        case 0 if isinstance(values, np.ndarray | np.generic) and np.asarray(values).dtype.kind in "fiu":
            with np.errstate(all="ignore"):
                file[name] = values * rng.choice((-1.0, 0.0, 1e300, 1e-300, math.nan, math.inf, 1000.0))
        case 1:
            file[name] = rng.choice((math.nan, math.inf, -math.inf, 1e300, -1e300, 1e-320, 0.0, -1, 10**18, -10**18,
                                     ""))
        case 2:
            file[name] = rng.choice((np.zeros((0,)), np.zeros((3, 3)), np.full(4, math.nan), h5py.Empty("f8"), b"\xff",
                                     "\u00e9", np.array(["a", "b"], dtype="S"), True, 1j,
                                     np.zeros(2, dtype=[("a", "i4"), ("b", "f8")])))
        case 3:
            edge = rng.choice((50000, 100000, 10**6))
            file.create_dataset(name, shape=rng.choice(((edge, edge), (1, edge, edge), (edge, edge, 1), (10**10,))),
                                dtype=rng.choice(("u1", "i4", "f8", "u4")), chunks=True, compression="gzip")
        case 4:
            raw = Path(f"{file.filename}.raw")
            raw.write_bytes(bytes(4096))
            file.create_dataset(name, shape=shape or (1,), dtype="f8", external=[(str(raw.name), 0, 4096)])
        case 5:
            layout = h5py.VirtualLayout(shape=shape or (1,), dtype="f8")
            layout[...] = h5py.VirtualSource(rng.choice(("absent.h5", "/etc/hostname", ".")), "a", shape=shape or (1,))
            file.create_virtual_dataset(name, layout)
        case 6:
            file.create_group(name)
        case 7:
            file[name] = np.asarray(values).astype("S20") if np.asarray(values).dtype.kind in "fiu" else 5
        case _:
            pass
    if name in file:
        file[name].attrs.update(attributes)
