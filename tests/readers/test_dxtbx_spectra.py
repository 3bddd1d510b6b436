"""Wavelengths and spectra of shots, as dxtbx reads them from our NXmx files."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import cubragg as cb
from support.dials import dials_python, ran
from support.write_stills import BASE

pytestmark = pytest.mark.dials

#: Wavelengths of a file by the reader that DIALS has for NXmx, and spectra by the one for other NeXus files.
READ = """
import json, sys
import h5py
from dxtbx.format.nexus import BeamFactory
from dxtbx.model.experiment_list import ExperimentListFactory

path = sys.argv[1]
imageset = ExperimentListFactory.from_filenames([path])[0].imageset.get_format_class().get_imageset([path])
found = {"wavelengths": [imageset.get_beam(number).get_wavelength() for number in range(len(imageset))], "spectra": []}


class Beam:
    pass


with h5py.File(path) as file:
    for number in range(len(imageset)):
        beam = Beam()
        beam.handle = file["/entry/instrument/beam"]
        model, spectrum = BeamFactory(beam).read_models(number)
        numbers = [list(spectrum.get_energies_eV()), list(spectrum.get_weights())]
        found["spectra"].append([model.get_wavelength(), *numbers])
print(json.dumps(found))
"""
CHANNELS = (cb.Channel(1.49, 1.0), cb.Channel(1.5, 2.0), cb.Channel(1.52, 1.0))


@pytest.mark.parametrize("vary", [
    {"spectrum": cb.sase(0.01, 4)}, {"spectrum": cb.table(np.eye(5, 3) + 0.1)}, {"wavelength_A": cb.normal(0.01)}])
def test_dxtbx_has_the_wavelength_and_spectrum_of_each_shot(tmp_path, vary):
    python = dials_python()
    base = dataclasses.replace(BASE, beam=cb.Beam(wavelength_A=1.5025, spectrum=CHANNELS))
    data = cb.Stills(base, 5, seed=2, vary=vary)
    data.write(tmp_path / "set", workers=1, shard=2, truth=())
    found = json.loads(ran(python, "-c", READ, "set/master.nxs", folder=tmp_path).splitlines()[-1])
    for number, (wavelength, (theirs, energies, weights)) in enumerate(zip(found["wavelengths"], found["spectra"],
                                                                          strict=True)):
        beam = data[number].crystals[0].experiment.beam
        assert wavelength == pytest.approx(beam.wavelength_A, rel=1e-12)
        assert theirs == pytest.approx(beam.wavelength_A, rel=1e-12)
        assert energies == pytest.approx([12398.4198 / channel.wavelength_A for channel in beam.spectrum], rel=1e-6)
        assert weights == pytest.approx([channel.weight for channel in beam.spectrum])
