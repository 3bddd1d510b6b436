"""Data sets that are written to a folder and read from one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cubragg.dataset.data_set import DataSet
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.dataset.production import Report
    from cubragg.dataset.specification import Document


class StoredDataSet(DataSet):
    """A data set with its file form: a folder with a specification, shards of images, and truth."""

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The data set of a folder that was written, or of its ``spec.toml``.

        Raises
        ------
        ConfigError
            For a data set of the other kind, no specification, or files that are missing or have changed.
        FormatError
            If the specification is not TOML.
        OSError
            If it cannot be read.
        """
        from cubragg.dataset.specification import read_document

        path = Path(path)
        document = read_document(path / "spec.toml" if path.is_dir() else path)
        if document.kind != cls.kind:
            raise ConfigError(str(path), f"got a data set of {document.kind}; cubragg.{document.kind.title()}.read() "
                              "reads it")
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """The data set of a specification of its kind, whose errors name file and setting."""
        with document.naming():
            data = cls.of_document(document)
            data.source = document.source()
            return data

    @classmethod
    @abstractmethod
    def of_document(cls, document: Document) -> Self:
        """The data set of a specification of its kind.

        Raises
        ------
        ConfigError
            For settings that no data set can have, and files that are missing or have changed.
        """

    def write(self, folder: Path | str, *, workers: int | None = None, devices: Sequence[int] | str | None = None,
              scheduler: str | None = None, resume: bool = True, overwrite: bool = False,
              report: Report | None = None, format: str = "nxmx", dtype: str = "", compression: str = "",
              shard: int | None = None, truth: Sequence[str] = ("refl", "h5"), truth_min: float = 1.0,
              labels: Sequence[str] = (), label_min: float = 10.0) -> dict[str, Any]:
        """Write the data set to a folder, or what is missing of it there.

        The folder gets the specification (``spec.toml``), a file of images for each shard with its truth, and at the
        end a master file, an experiment list of DIALS, a contact sheet and a summary; `specs/data-sets.md`. Ctrl-C and
        SIGTERM finish the shards that are being computed; the same call continues, also after a kill.

        Parameters
        ----------
        folder
            The folder.
        workers
            Number of processes; ``None``: one for each core.
        devices
            ``all`` or numbers of GPUs, with a process for each.
        scheduler
            Address of the scheduler of a Dask cluster, whose workers compute instead of processes of this machine and
            share the folder.
        resume, overwrite
            Continue this data set where it is in the folder (default); remove one that is there first.
        report
            Called with the `production.State` after each shard, and now and then in between.
        format
            ``nxmx``: a file for each shard. ``cbf`` (miniCBF), ``smv``: a file for each image.
        dtype, compression
            Pixels in NXmx: ``uint32`` (default), ``int32``, ``uint16``, or ``float32`` for expected photons without
            noise; and ``bslz4`` (default), ``gzip`` or ``none``. Brighter pixels than the type holds are written as its
            highest value.
        shard
            Shots of a file; ``None``: a tenth of the set, at most 100.
        truth
            Formats of the reflection tables: ``refl`` (DIALS), ``h5``, ``parquet``, ``stream`` (CrystFEL).
        truth_min
            Reflections with fewer expected photons are left out.
        labels, label_min
            ``boxes``, ``mask``, ``heat`` in the HDF5 of the truth, of reflections with at least ``label_min`` expected
            photons.

        Returns
        -------
        The summary, as in ``summary.json``.

        Raises
        ------
        ConfigError
            For wrong settings.
        CubraggError
            If the folder holds another data set or is being written, shards fail, or the disk is full.
        KeyboardInterrupt
            If a signal stopped it.
        OSError
            If the folder cannot be written.
        """
        from cubragg.dataset.production import write_data_set
        from cubragg.dataset.write_settings import WriteSettings

        settings = WriteSettings(dtype, compression, shard, truth, truth_min, labels, label_min, format)
        return write_data_set(self, folder, settings, workers=workers, devices=devices,
                              scheduler=scheduler, resume=resume, overwrite=overwrite, report=report)
