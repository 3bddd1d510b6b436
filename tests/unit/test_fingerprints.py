"""Fingerprints: a function of the image alone, equal for the C program's images and for those of every backend."""

from __future__ import annotations

import hashlib
import struct
from fractions import Fraction

import numpy as np
import pytest

import cubragg
from cubragg.errors import ConfigError, FormatError
from cubragg.run.fingerprints import fingerprint_of_counts, fingerprint_of_photons
from support import renders
from support.experiments import small_experiment
from support.golden_set import arguments, cases, reference
from support.marks import slow_after


def digest(head: str, code: str, numbers) -> str:
    """The digest as specs/stability.md defines it, without NumPy."""
    return hashlib.sha256(f"{head}\n".encode() + struct.pack(f"<{len(numbers)}{code}", *numbers)).hexdigest()[:16]


@pytest.mark.requirement("AT-STAB-001")
@pytest.mark.parametrize("case_id", slow_after(20, list(cases())))
def test_the_c_programs_image_has_the_same_fingerprint(case_id, elsewhere):
    places, expected = reference(case_id)
    _, image = renders.rendered(tuple(arguments(cases()[case_id])), renders.exact_backend())
    got = image.photons.ravel()[places]
    assert fingerprint_of_photons(got[None]) == fingerprint_of_photons(expected[None])


@pytest.mark.requirement("AT-STAB-002")
def test_photons_are_rounded_as_specified():
    pixels = [0.0, 0.5, 3.25, 700.0, -12.0, 1e-30, float("nan"), float("inf"), -float("inf"), 256.5]
    # 700 x 0.618... = 432.6 is below 512 = 2^9: steps of 512 / 4096 = 1/8.
    factor = Fraction(0.6180339887498949)
    steps = [1 << 20 if value != value else 1 << 21 if value in (float("inf"), -float("inf"))
             else round(Fraction(value) * factor * 8) for value in pixels]
    image = np.array(pixels, dtype=np.float32).reshape(2, 5)
    assert fingerprint_of_photons(image) == digest("photons 9 2 5", "i", steps)


@pytest.mark.requirement("AT-STAB-002")
def test_counts_are_digested_as_they_are():
    image = np.array([[0, 7, -1], [2**31 - 1, 4, 5]], dtype=np.int32)
    expected = digest("counts 2 3", "q", image.ravel().tolist())
    assert fingerprint_of_counts(image) == expected
    assert fingerprint_of_counts(image.astype(np.float64)) == expected
    assert fingerprint_of_counts(image.astype(">i8").T.copy().T) == expected


@pytest.mark.requirement("AT-STAB-001")
def test_backends_have_one_fingerprint_and_other_images_another():
    experiment = small_experiment(semantics="physical")
    images = [cubragg.simulate(experiment, backend=backend, precision="double") for backend in ("numpy", "cpu")]
    assert len({image.fingerprint() for image in images}) == 1
    assert len({image.fingerprint("counts", seed=3) for image in images}) == 1
    image = images[0]
    assert image.fingerprint("counts", seed=3) != image.fingerprint("counts", seed=4)
    changed = image.photons.copy()
    changed[5, 6] += changed.max() / 4000
    assert fingerprint_of_photons(changed) != image.fingerprint()
    assert fingerprint_of_photons(image.photons.T) != image.fingerprint()
    assert fingerprint_of_photons(image.photons * np.float32(1.01)) != image.fingerprint()


@pytest.mark.requirement("AT-STAB-001")
@pytest.mark.parametrize("level", [0.25, 0.5, 1.0, 10.0, 1000.0])
def test_last_bits_of_round_numbers_change_nothing(level):
    flat = np.full((20, 20), level, dtype=np.float32)
    flat[3, 3] = 1024.0
    for change in (0.0, np.inf):
        assert fingerprint_of_photons(np.nextafter(flat, np.float32(change))) == fingerprint_of_photons(flat)


def test_images_of_zeros_and_of_files(tmp_path):
    np.save(tmp_path / "zeros.npy", np.zeros((4, 5), dtype=np.int32))
    assert fingerprint_of_photons(np.zeros((4, 5), dtype=np.float32)) == digest("photons 0 4 5", "i", [0] * 20)
    image = cubragg.simulate(small_experiment())
    image.save(tmp_path / "image.cbf", seed=5)
    assert cubragg.read(tmp_path / "image.cbf").fingerprint("counts") == image.fingerprint("counts", seed=5)


def test_what_has_no_fingerprint():
    image = cubragg.simulate(small_experiment())
    with pytest.raises(ConfigError, match=r"^what: got 'pixels'.*photons, counts"):
        image.fingerprint("pixels")
    for bad in (np.nan, np.inf, 1e19):
        with pytest.raises(FormatError, match="photons"):
            fingerprint_of_counts(np.array([[bad]]))
