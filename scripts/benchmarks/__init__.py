"""Measurements, workloads and reports of `scripts/bench.py`."""
