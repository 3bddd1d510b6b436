"""Tiny deterministic images and data sets for the tests of other programs.

Where cubragg is installed, pytest has the fixtures of `cubragg.testing.pytest_fixtures`. The functions here make
the same images without pytest. `FINGERPRINTS` and ``specs/stability.md`` say what of them does not change.
"""

from __future__ import annotations

from cubragg.testing.tiny_sets import FINGERPRINTS, experiment, image, stills, sweep

__all__ = ["FINGERPRINTS", "experiment", "image", "stills", "sweep"]
