"""Make tiny experiments, images and data sets. NumPy renders them in milliseconds: no compiler, no GPU."""

from __future__ import annotations

TYPE_CHECKING = False  #: As in typing, whose import pytest would pay for at every start.
if TYPE_CHECKING:
    from cubragg.dataset.rotation_series import Sweep
    from cubragg.dataset.still_shots import Stills
    from cubragg.experiment.experiment import Experiment, Semantics
    from cubragg.run.simulated_image import SimulatedImage

#: Fingerprints of `image`, and of the shots of `sweep` and `stills`, by kind (``Image.fingerprint``; counts of seed 0).
#: Those of ``image`` do not change; the others may with a release, whose CHANGELOG says so.
FINGERPRINTS = {
    "image": {
        "photons": ("f440c3ebfd80789f",),
        "counts": ("3f4508953252ddac",),
    },
    "sweep": {
        "photons": ("ee47eaef220b8e17", "2feba27ae93135b3", "0b78e81d16da63e2", "c2cba99a3e990bb0", "e8296e5f6f883cbf"),
        "counts": ("aa69d580524ea7d2", "06fe3b4c9ac3844d", "02f04d2319bad776", "3403a72d7a948367", "e3c2475216f36901"),
    },
    "stills": {
        "photons": ("6018452f42450076", "fa736ed1959aa11c", "fc3d9fed53464f22", "0da2bda3c46b7f75"),
        "counts": ("e28b2ba521979a71", "9ef94ccf5f0228e1", "29100a097661cf70", "3bc9359dbe3680ea"),
    },
}


def experiment(semantics: Semantics = "nanobragg") -> Experiment:
    """Return a Gaussian crystal of 40 x 50 x 60 A cells at 1 A, 60 mm before a detector of 96 x 64 pixels of 0.2 mm.

    Reflections to 4 A have F = 100 + 20 ((7 h^2 + 11 k^2 + 13 l^2) mod 17): whole numbers, with the symmetry mmm.
    """
    import numpy as np

    from cubragg.experiment import Beam, Crystal, Detector, Experiment, Sampling, StructureFactors

    edges = (40.0, 50.0, 60.0)
    hkl = np.stack(np.meshgrid(*(np.arange(-edge // 4, edge // 4 + 1) for edge in edges), indexing="ij"), -1)
    hkl = hkl.reshape(-1, 3).astype(np.int32)
    return Experiment(
        crystal=Crystal(cell=(*edges, 90.0, 90.0, 90.0), cells=(8, 7, 6), misset_deg=(10.0, 20.0, 30.0), shape="gauss"),
        structure_factors=StructureFactors.from_list(hkl, 100.0 + 20.0 * (hkl**2 @ np.array([7, 11, 13]) % 17)),
        beam=Beam(wavelength_A=1.0, fluence=1e27),
        detector=Detector(distance_mm=60.0, pixel_size_mm=0.2, fast_pixels=96, slow_pixels=64),
        sampling=Sampling(oversample=4),
        semantics=semantics)


def image() -> SimulatedImage:
    """Render `experiment` in double precision with NumPy."""
    from cubragg.run.render import simulate

    return simulate(experiment(), backend="numpy", precision="double")


def sweep() -> Sweep:
    """Return a rotation series of 5 images of 1 deg, in physical semantics."""
    from cubragg.dataset.rotation_series import Sweep

    return Sweep(experiment("physical"), images=5, osc_deg=1.0, seed=1, backend="numpy", precision="double")


def stills() -> Stills:
    """Return 4 stills in random orientations, in physical semantics; cells and wavelengths vary."""
    from cubragg.dataset.distribution_functions import normal
    from cubragg.dataset.still_shots import Stills

    return Stills(experiment("physical"), n=4, seed=1, backend="numpy", precision="double",
                  vary={"cell": normal(0.002, relative=True), "beam.wavelength_A": normal(0.002)})
