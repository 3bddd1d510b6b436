"""Spectra of the shots in image files: of a shard they are written, of a master file links to those of the shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.dataset.data_set import DataSet
from cubragg.dataset.distributions import Table
from cubragg.dataset.spectrum_draws import SPECTRUM
from cubragg.experiment.spectrum_channels import Channel
from cubragg.io.images import nxmx_beam
from cubragg.io.images.nexus_nodes import field, set_text
from cubragg.io.images.nxmx_beam import (
    BEAM,
    SPECTRUM_PARTS,
    SPREAD,
    Spectrum,
    describe_spectrum,
    remove_spectrum,
    spectrum_of,
)

if TYPE_CHECKING:
    import h5py


class SpectrumForm(NamedTuple):
    """Whether wavelengths and bandwidths, and weights, of channels differ from shot to shot."""

    wavelengths: bool
    weights: bool


def spectrum_form(data: DataSet) -> SpectrumForm:
    """What of the spectrum differs from shot to shot, the same for all files of a data set."""
    names = {parameter.name: parameter.distribution for parameter in data.parameters}
    moves = not {"beam.wavelength_A", "beam.bandwidth", "beam.bandwidth_fwhm"}.isdisjoint(names)
    varied = names.get(SPECTRUM)
    return SpectrumForm(moves or (varied is not None and not isinstance(varied, Table)), varied is not None)


class ShotSpectra:
    """The spectra of the shots of a file, which are added one after the other."""

    def __init__(self, form: SpectrumForm) -> None:
        self._form, self._spectra = form, list[Spectrum]()

    def add(self, channels: Sequence[Channel]) -> None:
        """Add the spectrum of a shot."""
        if any(self._form):
            self._spectra.append(spectrum_of(channels))

    def write(self, file: h5py.File) -> None:
        """Write what differs from shot to shot in place of the spectrum of the first one."""
        if not self._spectra:
            return
        beam = file[BEAM]
        wavelengths, weights, spreads = (np.stack(part) for part in zip(*self._spectra, strict=True))
        remove_spectrum(beam)
        if wavelengths.shape[1] == 1:
            if spreads.any():
                field(beam, SPREAD, spreads[:, 0], "angstrom")
            return
        if not self._form.wavelengths:
            wavelengths, spreads = wavelengths[0], spreads[0]
        nxmx_beam.write_spectrum(beam, Spectrum(wavelengths, weights if self._form.weights else weights[0], spreads))


def link_spectra(master: h5py.File, folder: Path, files: Sequence[tuple[str, int]]) -> None:
    """Link the spectra of all shots, which differ, from the files of the shots, each with its number of shots."""
    import h5py

    beam, count = master[BEAM], sum(shots for _, shots in files)
    remove_spectrum(beam)
    with h5py.File(folder / files[0][0], "r") as first:
        found = {name: first[BEAM][name] for name in (SPREAD, *(nxmx_beam.SPECTRUM + part for part in SPECTRUM_PARTS))
                 if name in first[BEAM]}
        for name, node in found.items():
            if node.ndim < (1 if name == SPREAD else 2):
                beam[name] = node[()]
                continue
            layout, start = h5py.VirtualLayout((count, *node.shape[1:]), "<f8"), 0
            for file, shots in files:
                layout[start:start + shots] = h5py.VirtualSource(file, f"{BEAM}/{name}", (shots, *node.shape[1:]))
                start += shots
            beam.create_virtual_dataset(name, layout)
    if SPREAD in beam:
        set_text(beam[SPREAD], units="angstrom")
    elif found:
        describe_spectrum(beam)
