"""Names in the sections Parameters and Attributes of docstrings that the code does not have; used by `lint_docs`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

#: Nodes of the syntax tree that are names, and the field that has the name.
_NAMED = ((ast.Name, "id"), (ast.arg, "arg"), (ast.Attribute, "attr"), (ast.FunctionDef, "name"))


def described(docstring: str, section: str) -> list[str]:
    """Names that a section of a NumPy docstring describes."""
    body = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", docstring, re.DOTALL | re.MULTILINE)
    lines = body[1].splitlines() if body else []
    return [name.strip().lstrip("*") for line in lines if line and not line.startswith(" ") for name in line.split(",")]


def unknown_names(root: Path) -> Iterator[str]:
    """A fault for each name that was renamed or removed in the code and not in the docstring."""
    for path in sorted((root / "cubragg").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                docstring = ast.get_docstring(node) or ""
                for name in [*described(docstring, "Parameters"), *described(docstring, "Attributes")]:
                    if name not in _names(node):
                        yield (f"{path.relative_to(root).as_posix()}:{node.lineno}: {node.name} has no {name}, which "
                               "its docstring describes")


def _names(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Parameters of a function; all names in the body of a class."""
    if isinstance(node, ast.FunctionDef):
        found = node.args
        several = [one for one in (found.vararg, found.kwarg) if one is not None]
        return {one.arg for one in (*found.posonlyargs, *found.args, *found.kwonlyargs, *several)}
    return {getattr(one, field) for one in ast.walk(node) for kind, field in _NAMED if isinstance(one, kind)}
