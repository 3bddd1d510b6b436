"""What is measured, how, and how it is told: the parts of `scripts/bench.py`."""
