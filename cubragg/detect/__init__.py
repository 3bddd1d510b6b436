"""Photons to counts: scaling, quantization and noise."""
