"""Print what each second-order term of the method analytic is worth: ``python scripts/analytic_terms.py``.

Spots are compared with the integrations of tests/data/analytic, exact ones and sampled ones, with all terms and without
one of them. A row has the largest errors of sum, profile and centroid, and the case with the largest one of the sum.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "tests")]

from cubragg.engine.analytic import second_order, spots  # noqa: E402
from support.analytic_cases import Case, Errors, all_cases  # noqa: E402


@contextmanager
def changed(change: Callable[[second_order.SecondOrder], second_order.SecondOrder]) -> Iterator[None]:
    """Change the constants of second order of all spots."""
    def constants(linear: second_order.Linear) -> second_order.SecondOrder:
        return change(original(linear))

    original = second_order.second_order
    with patch.object(spots, "second_order", constants):
        yield


@contextmanager
def without(*functions: str) -> Iterator[None]:
    """Leave out terms by the names of the functions that add them."""
    patches = [patch.object(second_order, name, lambda *arguments: None) for name in functions]
    for one in patches:
        one.start()
    yield
    for one in patches:
        one.stop()


def zeroed(*names: str) -> Callable[[second_order.SecondOrder], second_order.SecondOrder]:
    """Return a change that sets constants to 0."""
    return lambda terms: terms._replace(**{name: np.zeros_like(getattr(terms, name)) for name in names})


TERMS = {
    "nothing": lambda: changed(lambda terms: terms),
    "the derivative's determinant": lambda: changed(zeroed("divergence")),
    "rotations: path, mosaicity, turned covariances": lambda: without("_add_rotations"),
    "the block that turns with its domain": lambda: without("_add_turned_block"),
    "rotated strain": lambda: without("_add_strain"),
    "directions on a sphere, remainder of x": lambda: without("_add_beam"),
    "x: wavelengths scale q": lambda: changed(zeroed("wavelength")),
    "all": lambda: changed(zeroed("wavelength", "sag", "bend", "divergence")),
}


def row(name: str, cases: list[Case]) -> str:
    """A row of the table."""
    errors: list[tuple[Errors, str]] = []
    with TERMS[name]():
        errors = [(case.errors(), case.name) for case in cases]
    worst = max(errors, key=lambda pair: abs(pair[0].sum))
    columns = [f"{max(abs(getattr(one, field)) for one, _ in errors):.1e}" for field in Errors._fields]
    return f"| {name} | {' | '.join(columns)} | {worst[1]} |"


def main() -> None:
    """Print the table."""
    cases = all_cases()
    print("| left out | sum | 1 - cc | centroid [sigma or px] | worst sum |\n|---|---|---|---|---|")
    for name in TERMS:
        print(row(name, cases), flush=True)
    print(f"| noise of the sampled ones | {max(case.noise.sum for case in cases):.1e} | "
          f"{max(case.noise.profile for case in cases):.1e} | {max(case.noise.centroid for case in cases):.1e} | |")


if __name__ == "__main__":
    main()
