"""Trains a small network to find the pixels of spots, and compares it with a threshold: train-a-segmenter.md.

    python specs/guide/train_segmenter.py [--shots 120] [--held-out 40] [--epochs 10] [--threads 2]

Minutes on a CPU. Prints precision, recall and F1 of both, by pixel and by spot, on shots of another seed than those of
training.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, max_pool2d
from torch.utils.data import DataLoader

import cubragg as cb
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.io.atoms import read_model
from cubragg.torch import ShotDataset, collate

MODEL = Path(cb.__file__).parent / "examples" / "helix_bundle.pdb"


def stills(shots: int, seed: int) -> cb.Stills:
    """Stills of 128 x 128 pixels in which orientation, cell, size, mosaicity, flux and background vary."""
    model = read_model(MODEL)
    hkl, amplitudes = structure_factors(model, 2.0).expanded().rows()
    bragg = hkl.any(axis=1)
    experiment = cb.Experiment(
        cb.Crystal(cell=model.cell, block_size_um=0.3, size_mm=0.05, mosaicity_deg=0.1, shape="gauss"),
        cb.StructureFactors.from_list(hkl[bragg], amplitudes[bragg]),
        cb.Beam(wavelength_A=1.0, flux=1e12, exposure_s=0.01, beamsize_mm=0.05),
        cb.Detector(distance_mm=80.0, pixel_size_mm=0.172, fast_pixels=128, slow_pixels=128,
                    beam_centre_mm=(-8.0, 11.0)),
        background=cb.Background(water_um=5.0, air_mm=(0.5, 1.0)))
    return cb.Stills(experiment, shots, seed=seed, vary={
        "cell": cb.normal(0.003), "crystal.size_mm": cb.lognormal(0.05, 0.2),
        "crystal.mosaicity_deg": cb.uniform(0.05, 0.2), "beam.flux": cb.gamma(4.0, relative=True),
        "background.water_um": cb.uniform(2.0, 10.0)})


class Segmenter(nn.Module):
    """Convolutions with a field of view of 27 pixels; returns the logarithm of the odds that a pixel is in a spot."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for dilation in (1, 2, 4, 4, 2):
            layers += [nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(width),
                       nn.ReLU()]
            channels = width
        last = nn.Conv2d(width, 1, 1)
        nn.init.constant_(last.bias, -5.0)  # few pixels are in spots
        self.layers = nn.Sequential(*layers, last)

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Log odds [n, slow, fast] of counts [n, 1, slow, fast], of which the square root has a variance of 1/4."""
        found: torch.Tensor = self.layers(torch.sqrt(counts + 0.375))
        return found[:, 0]


def significance(counts: torch.Tensor, window: int = 15) -> torch.Tensor:
    """Counts above the mean of the pixels around, in standard deviations of Poisson; [n, slow, fast]."""
    inner, outer = (avg_pool2d(counts, size, 1, size // 2, count_include_pad=False) for size in (5, window))
    around = (outer * window**2 - inner * 25.0) / (window**2 - 25.0)  # without the spot itself
    return ((counts - around) / torch.sqrt(around.clamp(min=0.1)))[:, 0]


def f1_of(hits: float, found: float, true: float) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    precision, recall = hits / max(found, 1.0), hits / max(true, 1.0)
    return precision, recall, 2.0 * precision * recall / max(precision + recall, 1e-9)


def pixel_scores(found: torch.Tensor, spots: torch.Tensor) -> tuple[float, float, float]:
    """Precision, recall and F1 of bool pixels; ``spots`` has the number of each pixel's reflection, 0 without one."""
    return f1_of(float((found & (spots > 0)).sum()), float(found.sum()), float((spots > 0).sum()))


def groups(found: torch.Tensor) -> torch.Tensor:
    """The number of the group of touching pixels, from 1, of each found pixel [n, slow, fast]; 0 without one."""
    numbers = torch.arange(1, found.numel() + 1, dtype=torch.float64).reshape(found.shape) * found
    while True:  # the largest number spreads over each group
        grown = max_pool2d(numbers[:, None], 3, 1, 1)[:, 0] * found
        if grown.equal(numbers):
            return numbers.long()
        numbers = grown


def spot_scores(found: torch.Tensor, spots: torch.Tensor, least: int = 1) -> tuple[float, float, float]:
    """Precision, recall and F1 of groups of at least ``least`` touching pixels.

    A group finds the reflection that has most of its pixels. A group in which no reflection has a pixel, or whose
    reflection another group has found, is false; a reflection without a group is missed.
    """
    numbers = groups(found)
    numbers = numbers * (torch.bincount(numbers.flatten())[numbers] >= least)
    in_set = spots + (spots.max() + 1) * torch.arange(len(spots))[:, None, None]  # numbers of reflections of all shots
    inside = (numbers > 0) & (spots > 0)
    pairs, pixels = torch.unique(torch.stack([numbers[inside], in_set[inside]]), dim=1, return_counts=True)
    best = dict(zip(*(one.tolist() for one in pairs[:, torch.argsort(pixels, stable=True)]), strict=True))
    return f1_of(len(set(best.values())), len(torch.unique(numbers[numbers > 0])), len(torch.unique(in_set[spots > 0])))


def loaded(data: cb.Stills, label_min: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts [n, 1, slow, fast], and the number of the reflection of each pixel, 0 without one, of all shots."""
    loader = DataLoader(ShotDataset(data, labels=("mask",), label_min=label_min), 16, collate_fn=collate)
    batches = [(batch["image"], batch["mask"]) for batch in loader]
    return torch.cat([image for image, _ in batches]), torch.cat([mask for _, mask in batches])


def trained(counts: torch.Tensor, true: torch.Tensor, epochs: int) -> Segmenter:
    """A network trained on shots, in an order that depends on the seed of PyTorch alone."""
    network = Segmenter()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    batch = 8
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=epochs * -(-len(counts) // batch))
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(counts)).split(batch):
            loss = binary_cross_entropy_with_logits(network(counts[chosen]), true[chosen].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
        print(f"epoch {epoch + 1}: loss {total / len(counts):.4f}", flush=True)
    return network.eval()


def main() -> None:
    """Render, train, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=120)
    parser.add_argument("--held-out", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--label-min", type=float, default=20.0, help="photons of the weakest reflections with labels")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    start = time.perf_counter()
    (counts, spots), (new_counts, new_spots) = (loaded(stills(shots, seed), given.label_min)
                                                for shots, seed in ((given.shots, 1), (given.held_out, 2)))
    rendered = time.perf_counter()
    print(f"{len(counts) + len(new_counts)} shots rendered in {rendered - start:.0f} s; "
          f"{(spots > 0).float().mean():.2%} of the pixels in spots, {counts.median():.1f} counts in the median pixel",
          flush=True)
    network = trained(counts, spots > 0, given.epochs)
    numbers = sum(one.numel() for one in network.parameters())
    print(f"{numbers} numbers trained in {time.perf_counter() - rendered:.0f} s")
    with torch.no_grad():
        odds, new_odds = (torch.cat([network(part) for part in images.split(16)]) for images in (counts, new_counts))
    print(f"{'':<22}{'precision':>10}{'recall':>8}{'F1':>7}")
    for name, values, new_values, steps in (
            ("threshold", significance(counts), significance(new_counts), torch.linspace(1.0, 10.0, 37)),
            ("network", odds, new_odds, torch.linspace(-3.0, 3.0, 25))):
        # The thresholds with the largest F1 on the shots of training.
        step = max(steps.tolist(), key=lambda one: pixel_scores(values > one, spots)[2])
        by_pixel = pixel_scores(new_values > step, new_spots)
        step, least = max(itertools.product(steps.tolist(), (1, 2, 3)),
                          key=lambda one: spot_scores(values > one[0], spots, one[1])[2])
        by_spot = spot_scores(new_values > step, new_spots, least)
        for kind, scores in (("pixel", by_pixel), ("spot", by_spot)):
            print("{:<22}{:>10.3f}{:>8.3f}{:>7.3f}".format(f"{name}, by {kind}", *scores))


if __name__ == "__main__":
    main()
