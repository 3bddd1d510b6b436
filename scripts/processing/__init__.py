"""Data sets processed by other programs, and what these make of them beside the truth."""
