"""Converts expected photons to counts: scaling, quantization and noise."""
