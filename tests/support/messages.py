"""What is expected of a message: that it says where, what came and what about it, in whatever words.

``where`` (flag, setting, file and line) and ``value`` must be there letter by letter, ``keywords`` in capitals or small
letters and with any ending. Each needs words of its own: the flag -distance is not the keyword distance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import Result


def missing_part(message: str, where: str, value: str = "", *keywords: str) -> str | None:
    """The first part that a message lacks; ``None`` if it has all, and in one line."""
    if "\n" in message:
        return "an end of its first line"
    patterns = {part: rf"(?<![\w.-]){re.escape(part)}(?!\w|[-.]\w)" for part in (where, value)}
    for part, pattern in (*patterns.items(), *((keyword, _inflected(keyword)) for keyword in keywords)):
        found = re.search(pattern, message) if part else re.search("^", message)
        if found is None:
            return part
        message = f"{message[:found.start()]} {message[found.end():]}"
    return None


def _inflected(keyword: str) -> str:
    """Numbers and single letters have no endings."""
    end = "" if len(keyword) > 2 and keyword[-1].isalpha() else r"(?!\w)"
    return rf"(?i:(?<!\w){re.escape(keyword)}){end}"


def states(message: str, where: str, value: str = "", *keywords: str) -> None:
    """Check that a message of one line has all parts."""
    missing = missing_part(message, where, value, *keywords)
    assert missing is None, f"{missing!r} is not in {message!r}"


def mentioned(messages: Iterable[str], where: str, value: str = "", *keywords: str) -> bool:
    """Whether one of the messages has all parts."""
    return any(missing_part(message, where, value, *keywords) is None for message in messages)


def warned(stderr: str, where: str, value: str = "", *keywords: str) -> bool:
    """Whether one of the warnings on stderr has all parts."""
    return mentioned([line for line in stderr.splitlines() if line.startswith("warning: ")], where, value, *keywords)


def refused(result: Result, status: int, where: str, value: str = "", *keywords: str) -> None:
    """Check that a command ended with this status and, as its only line, an error that has all parts."""
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith("\n")
    states(result.stderr.removeprefix("Error: ").removesuffix("\n"), where, value, *keywords)


@contextmanager
def refusal(error: type[Exception], where: str, value: str = "", *keywords: str) -> Iterator[None]:
    """Check that the block raises an error whose message has all parts."""
    with pytest.raises(error) as caught:
        yield
    states(str(caught.value), where, value, *keywords)
