"""Compares images: figures of agreement, peaks, reports."""
