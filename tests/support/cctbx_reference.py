"""What cctbx makes of the same question, in a process of its own: it and gemmi do not share one.

    python cctbx_reference.py QUESTION.json ANSWER.npz
"""

from __future__ import annotations

import json
import sys

import iotbx.cif
import iotbx.pdb
import numpy as np
from cctbx import crystal, miller
from cctbx.array_family import flex


def expanded(question: dict) -> dict:
    """The indices and values of anomalous lists in P1."""
    answer = {}
    for name, one in question["lists"].items():
        symmetry = crystal.symmetry(unit_cell=one["cell"], space_group_symbol=one["group"])
        listed = miller.set(symmetry, flex.miller_index([tuple(row) for row in one["hkl"]]), anomalous_flag=True)
        whole = listed.array(data=flex.double(one["values"])).expand_to_p1()
        answer[f"{name} hkl"] = np.array(list(whole.indices()))
        answer[f"{name} values"] = np.array(list(whole.data()))
    return answer


def structure(question: dict):
    """The model as cctbx reads it, with the f' and f'' given."""
    path = question["model"]
    if path.endswith(".cif"):
        read = next(iter(iotbx.cif.reader(file_path=path).build_crystal_structures().values()))
    else:
        read = iotbx.pdb.input(file_name=path).xray_structure_simple()
    read.scattering_type_registry(table="it1992")
    for scatterer in read.scatterers():
        scatterer.fp, scatterer.fdp = question["dispersion"][scatterer.element_symbol()]
        scatterer.flags.set_use_fp_fdp(True)
    return read


def factors(question: dict) -> dict:
    """Structure factors of a model, by direct summation, and the transform of its solvent mask."""
    read = structure(question)
    listed = miller.set(read.crystal_symmetry(), flex.miller_index([tuple(row) for row in question["hkl"]]),
                        anomalous_flag=True)
    answer = {"values": np.array(list(listed.structure_factors_from_scatterers(
        xray_structure=read, algorithm="direct").f_calc().data()))}
    if question["mask"]:
        from mmtbx import masks

        mask = masks.manager(miller_array=listed.array(data=flex.double(listed.size(), 1.0)), xray_structure=read)
        answer["mask"] = np.array(list(mask.shell_f_masks()[0].data()))
    return answer


def main() -> None:
    """Answer."""
    with open(sys.argv[1]) as file:
        question = json.load(file)
    answer = {"expand": expanded, "factors": factors}[question["what"]](question)
    np.savez(sys.argv[2], **answer)


if __name__ == "__main__":
    main()
