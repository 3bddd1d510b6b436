"""Errors that gemmi raises for damaged files."""

from __future__ import annotations

#: Exceptions of C++ as its Python module hands them on: of syntax, of numbers and texts, and of positions in them.
GEMMI_ERRORS = (RuntimeError, ValueError, IndexError)
