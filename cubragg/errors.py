"""The errors that cubragg raises on purpose.

A message is one sentence: where, what came (with its unit), what is accepted.
"""

from __future__ import annotations


class CubraggError(Exception):
    """Base of every error that cubragg raises on purpose."""


class ConfigError(CubraggError, ValueError):
    """A value that no experiment can have.

    Parameters
    ----------
    where
        The setting, as ``section.field`` (``beam.wavelength_A``). The command
        line replaces it by the flag that set the field.
    what
        What came and what is accepted: ``got -1 A; wavelength must be > 0 A``.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class FormatError(CubraggError, ValueError):
    """A file, or an image bound for a file, that breaks its format."""


class BackendUnavailable(CubraggError, RuntimeError):
    """A backend was asked for by name and cannot run here."""


class KernelBuildError(CubraggError):
    """A kernel did not compile; the message names the compiler's first error, its file and line."""
