"""Mutated files for every reader: seeds, mutations, and processes with limits that read them."""
