"""Fixtures of pytest, which loads this module wherever cubragg is installed.

``-p no:cubragg.testing.pytest_fixtures`` leaves them out. Every fixture belongs to the session: images are read-only,
and files are for reading; a test that changes one copies it first. Nothing is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

TYPE_CHECKING = False  #: As in typing, whose import pytest would pay for at every start.
if TYPE_CHECKING:
    from cubragg.dataset.rotation_series import Sweep
    from cubragg.dataset.still_shots import Stills
    from cubragg.dataset.stored_set import StoredDataSet
    from cubragg.experiment.experiment import Experiment
    from cubragg.run.simulated_image import SimulatedImage


@pytest.fixture(scope="session")
def cubragg_experiment() -> Experiment:
    """`cubragg.testing.experiment`: a small crystal before a detector of 96 x 64 pixels, in nanobragg semantics."""
    from cubragg.testing import experiment

    return experiment()


@pytest.fixture(scope="session")
def cubragg_image() -> SimulatedImage:
    """Image of `cubragg_experiment`, whose fingerprint no release changes."""
    from cubragg.testing import image

    found = image()
    found.photons.flags.writeable = False
    return found


@pytest.fixture(scope="session")
def cubragg_image_file(cubragg_image: SimulatedImage, tmp_path_factory: pytest.TempPathFactory
                       ) -> Callable[[str], Path]:
    """Function that returns the path of `cubragg_image` as a file, counts of seed 0: ``path_of(".cbf")``."""
    folder = tmp_path_factory.mktemp("cubragg_image")

    def path_of(suffix: str) -> Path:
        path = folder / f"image{suffix}"
        if not path.exists():
            cubragg_image.save(path)
        return path

    return path_of


@pytest.fixture(scope="session")
def cubragg_sweep() -> Sweep:
    """`cubragg.testing.sweep`: a rotation series of 5 images."""
    from cubragg.testing import sweep

    return sweep()


@pytest.fixture(scope="session")
def cubragg_stills() -> Stills:
    """`cubragg.testing.stills`: 4 stills."""
    from cubragg.testing import stills

    return stills()


@pytest.fixture(scope="session")
def cubragg_sweep_folder(cubragg_sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of `cubragg_sweep` as files: NXmx, models and reflections of DIALS, truth; specs/data-sets.md."""
    return _written(cubragg_sweep, tmp_path_factory)


@pytest.fixture(scope="session")
def cubragg_stills_folder(cubragg_stills: Stills, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of `cubragg_stills` as files."""
    return _written(cubragg_stills, tmp_path_factory)


def _written(data: StoredDataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(f"cubragg_{data.kind}") / "set"
    data.write(folder, workers=1)
    return folder
