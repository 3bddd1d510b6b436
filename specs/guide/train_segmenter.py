"""Trains a small network to find the pixels of spots, and compares it with a threshold: train-a-segmenter.md.

    python specs/guide/train_segmenter.py [--shots 120] [--held-out 40] [--epochs 10] [--threads 2]

Minutes on a CPU. Prints precision, recall and F1 of both, by pixel, on shots of other seeds than those of training.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits
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


def scores(found: torch.Tensor, true: torch.Tensor) -> tuple[float, float, float]:
    """Precision, recall and F1 of bool pixels."""
    hits = float((found & true).sum())
    precision, recall = hits / max(float(found.sum()), 1.0), hits / max(float(true.sum()), 1.0)
    return precision, recall, 2.0 * precision * recall / max(precision + recall, 1e-9)


def best_threshold(values: torch.Tensor, true: torch.Tensor, steps: torch.Tensor) -> float:
    """The threshold with the largest F1."""
    return max(steps.tolist(), key=lambda step: scores(values > step, true)[2])


def loaded(data: cb.Stills, label_min: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts [n, 1, slow, fast], and whether a pixel is in a spot [n, slow, fast], of all shots."""
    loader = DataLoader(ShotDataset(data, labels=("mask",), label_min=label_min), 16, collate_fn=collate)
    batches = [(batch["image"], batch["mask"] > 0) for batch in loader]
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
    (counts, true), (new_counts, new_true) = (loaded(stills(shots, seed), given.label_min)
                                              for shots, seed in ((given.shots, 1), (given.held_out, 2)))
    rendered = time.perf_counter()
    print(f"{len(counts) + len(new_counts)} shots rendered in {rendered - start:.0f} s; "
          f"{true.float().mean():.2%} of the pixels in spots, {counts.median():.1f} counts in the median pixel",
          flush=True)
    network = trained(counts, true, given.epochs)
    numbers = sum(one.numel() for one in network.parameters())
    print(f"{numbers} numbers trained in {time.perf_counter() - rendered:.0f} s")
    with torch.no_grad():
        odds, new_odds = (torch.cat([network(part) for part in images.split(16)]) for images in (counts, new_counts))
    print(f"{'':<12}{'precision':>10}{'recall':>8}{'F1':>7}")
    for name, values, new_values, steps in (
            ("threshold", significance(counts), significance(new_counts), torch.linspace(1.0, 10.0, 37)),
            ("network", odds, new_odds, torch.linspace(-3.0, 3.0, 25))):
        step = best_threshold(values, true, steps)
        print("{:<12}{:>10.3f}{:>8.3f}{:>7.3f}".format(name, *scores(new_values > step, new_true)))


if __name__ == "__main__":
    main()
