"""Exceptions and warnings of cubragg.

A message is one sentence: where (setting, flag or file), what came (with its unit), what is accepted.
"""

from __future__ import annotations


class CubraggError(Exception):
    """Base class of cubragg's exceptions."""


class ConfigError(CubraggError, ValueError):
    """An invalid setting of an experiment, or a combination of settings that cannot be simulated.

    Parameters
    ----------
    where
        The setting, as ``section.field`` (``beam.wavelength_A``). The command
        line replaces it by the flag that set the field.
    what
        The value and what is accepted: ``got -1 A; wavelength must be > 0 A``.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class FormatError(CubraggError, ValueError):
    """A file is malformed, or an image cannot be stored in a file format."""


class BackendUnavailable(CubraggError, RuntimeError):
    """A requested backend cannot run on this machine."""


class KernelBuildError(CubraggError):
    """A kernel did not compile; the message contains the compiler's first error with file and line."""


class CubraggWarning(UserWarning):
    """A file differs from the image or experiment that it describes."""
