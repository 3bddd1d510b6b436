"""GPUs in a command line."""

from __future__ import annotations

from cubragg.engine.select import Devices
from cubragg.errors import ConfigError


def device_list(where: str, text: str) -> Devices:
    """Return the numbers of GPUs in a text such as ``0,1``, or ``all``.

    Raises
    ------
    ConfigError
        For another text; ``where`` is the flag.
    """
    if text == "all":
        return "all"
    numbers = text.split(",")
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        raise ConfigError(where, f"got {text!r}; all or numbers of GPUs such as 0,1 are accepted")
    return [int(number) for number in numbers]
