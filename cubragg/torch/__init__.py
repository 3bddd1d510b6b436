"""Shots of data sets for PyTorch (extra ``torch``): ``cubragg.torch.ShotDataset``; `specs/data-sets.md`."""

from cubragg.torch.shot_dataset import ShotDataset, collate

__all__ = ["ShotDataset", "collate"]
