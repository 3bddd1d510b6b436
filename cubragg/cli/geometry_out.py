"""Describe the image of a run for other programs: ``--expt``, ``--geom``, ``--cell-file``, ``--xds-inp``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cubragg.io.geometry.experiment_models import ExperimentModels, cell_of, models_of

if TYPE_CHECKING:
    from cubragg.cli.build import Job, Output

KINDS = ("expt", "geom", "cell", "xds")
#: Image formats that other programs read, the best supported first.
_READ = ("nxmx", "cbf", "noise", "int")
_MAX_COUNT = {"nxmx": 2**31 - 1, "cbf": 2**31 - 1, "noise": 65535, "int": 65535}
_XDS_DETECTORS = {"nxmx": "EIGER", "cbf": "PILATUS", "noise": "ADSC", "int": "ADSC"}


def texts(job: Job, targets: Mapping[str, Output]) -> dict[str, str]:
    """Return the contents of the files of these kinds among ``targets``; of a series they describe the first image.

    Raises
    ------
    ConfigError
        For a detector that none of these files can describe.
    FormatError
        For a detector that the format of a file cannot describe.
    """
    wanted = [kind for kind in KINDS if kind in targets]
    if not wanted:
        return {}
    with job.replay.naming():
        models = models_of(job.experiment)
    if models.scan is not None:
        models = replace(models, scan=replace(models.scan, images=job.settings.images))
    shown = next((kind for kind in _READ if kind in targets), None)
    image = targets[shown].path if shown else None
    return {kind: _text(kind, targets[kind].provenance, models, shown, image) for kind in wanted}


def warnings(job: Job, targets: Mapping[str, Output]) -> Iterator[str]:
    """Yield warnings about what the files cannot describe."""
    count = len(job.experiment.placed().panels)
    if "expt" in targets and count > 1 and "nxmx" not in targets:
        yield (f"{targets['expt'].provenance}: DIALS predicts with its {count} panels, but reads SMV and miniCBF "
               "images as a single panel; --nxmx keeps the panels")


def _text(kind: str, provenance: str, models: ExperimentModels, shown: str | None, image: str | None) -> str:
    from cubragg.io.geometry import crystfel, expt_out, xds_inp

    highest = _MAX_COUNT.get(shown or "", 2**31 - 1)
    if kind == "expt":
        return expt_out.expt_text(provenance, models, image=image, trusted=(-1.0, float(highest)))
    if kind == "geom":
        return crystfel.geom_text(provenance, models, data=crystfel.NXMX_DATA if shown == "nxmx" else None)
    if kind == "cell":
        assert models.crystal is not None
        return crystfel.cell_text(cell_of(models.crystal))
    detector = _XDS_DETECTORS.get(shown or "", "PILATUS")
    return xds_inp.xds_inp_text(provenance, models, xds_inp.Data(image, detector, 0, highest, shown == "nxmx"))
