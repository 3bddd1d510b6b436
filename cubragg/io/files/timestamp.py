"""The time that files contain."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from cubragg.errors import ConfigError

_VARIABLE = "SOURCE_DATE_EPOCH"


def timestamp() -> datetime:
    """The current local time; that of ``$SOURCE_DATE_EPOCH`` in UTC if it is set, so that files are reproducible.

    https://reproducible-builds.org/specs/source-date-epoch

    Raises
    ------
    ConfigError
        If the variable is not a number of seconds since 1970 that a date can have.
    """
    seconds = os.environ.get(_VARIABLE)
    if not seconds:
        return datetime.now()
    try:
        return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(_VARIABLE, f"got {seconds!r}; whole seconds since 1970 are accepted") from None
