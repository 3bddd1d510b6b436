"""What is expected of a message."""

from __future__ import annotations

import pytest

from cubragg.errors import FormatError


def said(function, *args) -> str:
    """What a reader or writer says of a bad file."""
    with pytest.raises(FormatError) as caught:
        function(*args)
    return str(caught.value)
