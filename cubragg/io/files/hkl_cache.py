"""A large reflection list in binary, in a hidden file beside it: `.NAME.cubragg`.

Only a list with the very same text is recalled from there, and only from a whole file of
this user's or the list's owner. Whatever is wrong with the file, or with writing it, is
as if there were none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.io.files.atomic import atomic_path

#: Texts shorter than this are read as fast as their copies.
MIN_BYTES = 2**23
#: Goes into both digests: to be raised where the layout changes, or what a text is read as.
_VERSION = b"cubragg hkl 1"
_DIGEST_BYTES = 32
#: Digest of the text, digest of the rest; reflections, duplicates, the first duplicate; amplitudes and indices follow.
_HEAD = struct.Struct(f"<{_DIGEST_BYTES}s{_DIGEST_BYTES}sQQ40s")


class CacheKey(NamedTuple):
    """Where the copy of a list is or will be, the list itself, and the digest of its text."""

    copy: Path
    source: Path
    digest: bytes


def key_of(path: Path | str, text: bytes) -> CacheKey | None:
    """The key of a list that is worth a copy: a large, regular file."""
    source = Path(os.path.realpath(path))
    if len(text) < MIN_BYTES or not source.is_file():
        return None
    return CacheKey(source.with_name(f".{source.name}.cubragg"), source, _digest(text))


def recall(key: CacheKey) -> tuple[np.ndarray, np.ndarray, int, str | None] | None:
    """Indices int32 [n, 3], amplitudes float64 [n], duplicates and the first of them; ``None`` without a copy."""
    try:
        if key.copy.is_symlink() or not key.copy.is_file() or not _trusted(key):
            return None
        content = np.fromfile(key.copy, dtype=np.uint8)
    except OSError:
        return None
    if len(content) < _HEAD.size:
        return None
    text, rest, count, duplicates, first = _HEAD.unpack(content[:_HEAD.size].tobytes())
    body = content[_HEAD.size:]
    if text != key.digest or len(body) != 20 * count or rest != _digest(content[2 * _DIGEST_BYTES:].data):
        return None
    amplitudes, hkl = body[:8 * count].view("<f8"), body[8 * count:].view("<i4").reshape(-1, 3)
    return (hkl.astype(np.int32, copy=False), amplitudes.astype(np.float64, copy=False), duplicates,
            first.rstrip(b"\0").decode("ascii") or None)


def keep(key: CacheKey, hkl: np.ndarray, amplitudes: np.ndarray, duplicates: int, first_duplicate: str | None) -> None:
    """Write the copy, where that is possible, with the permissions of the list."""
    head = _HEAD.pack(key.digest, bytes(_DIGEST_BYTES), len(hkl), duplicates, (first_duplicate or "").encode("ascii"))
    parts: list[bytes | memoryview] = [head[2 * _DIGEST_BYTES:], amplitudes.astype("<f8", copy=False).data,
             np.ascontiguousarray(hkl, dtype="<i4").data]
    try:
        # Not over the old one: neither its permissions stay, nor is a link followed.
        key.copy.unlink(missing_ok=True)
        with atomic_path(key.copy) as temporary, open(temporary, "xb") as file:
            shutil.copymode(key.source, temporary)
            file.write(key.digest + _digest(*parts))
            for part in parts:
                file.write(part)
    except OSError:
        return


def _digest(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES, person=_VERSION)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _trusted(key: CacheKey) -> bool:
    """In a folder that all may write to, a stranger could plant a file."""
    owner = key.copy.stat().st_uid
    return owner == key.source.stat().st_uid or (hasattr(os, "getuid") and owner == os.getuid())
