#!/usr/bin/env python3
"""Make cubragg/examples/helix_bundle.pdb: four ideal helices with side chains, packed into P 21 21 21.

    python scripts/make_helix_bundle.py [FILE]

No structure of nature: bond lengths and angles after R. A. Engh and R. Huber, Acta Cryst. A47, 392 (1991), helix
angles phi -57 and psi -47 deg, side chains in common rotamers, positions found by a seeded random search for the
packing whose closest contact is the longest.
"""

from __future__ import annotations

import sys

import gemmi
import numpy as np

CELL = (42.0, 47.0, 58.0, 90.0, 90.0, 90.0)
GROUP = "P 21 21 21"
SEQUENCE = "AEKLASAAEKLAMAAEKVASAAEI"
PHI, PSI, OMEGA = -57.0, -47.0, 180.0
#: Distance of neighbouring axes [A], and turns about them [deg] that keep side chains apart (of a scan in steps of 12).
DISTANCE_A, SPINS_DEG = 10.5, (324.0, 144.0, 504.0, 324.0)
TRIALS, SEED = 3000, 1

#: Atom: three atoms it is placed from, bond [A], angle [deg], torsion [deg] or the name of one.
_BETA = {"CB": (("N", "C", "CA"), 1.53, 110.4, 122.6)}
_CHI = {"chi1": -65.0, "chi2": 175.0, "chi3": 180.0, "chi4": 180.0}
_GAMMA = (("N", "CA", "CB"), 1.52, 114.0, "chi1")
SIDE_CHAINS = {
    "S": ("SER", {**_BETA, "OG": (("N", "CA", "CB"), 1.417, 111.1, "chi1")}),
    "A": ("ALA", _BETA),
    "V": ("VAL", {**_BETA, "CG1": (("N", "CA", "CB"), 1.521, 110.5, 175.0), "CG2": (("N", "CA", "CB"), 1.521, 110.5,
                                                                                   -63.0)}),
    "I": ("ILE", {**_BETA, "CG1": (("N", "CA", "CB"), 1.53, 110.4, "chi1"),
                  "CG2": (("N", "CA", "CB"), 1.521, 110.5, 171.0), "CD1": (("CA", "CB", "CG1"), 1.513, 113.8, 170.0)}),
    "L": ("LEU", {**_BETA, "CG": (("N", "CA", "CB"), 1.53, 116.3, "chi1"),
                  "CD1": (("CA", "CB", "CG"), 1.521, 110.7, 175.0), "CD2": (("CA", "CB", "CG"), 1.521, 110.7, -62.0)}),
    "M": ("MET", {**_BETA, "CG": _GAMMA, "SD": (("CA", "CB", "CG"), 1.803, 112.7, "chi2"),
                  "CE": (("CB", "CG", "SD"), 1.791, 100.9, 70.0)}),
    "E": ("GLU", {**_BETA, "CG": _GAMMA, "CD": (("CA", "CB", "CG"), 1.516, 112.6, "chi2"),
                  "OE1": (("CB", "CG", "CD"), 1.249, 118.4, -10.0), "OE2": (("CB", "CG", "CD"), 1.249, 118.4, 170.0)}),
    "K": ("LYS", {**_BETA, "CG": _GAMMA, "CD": (("CA", "CB", "CG"), 1.52, 111.3, "chi2"),
                  "CE": (("CB", "CG", "CD"), 1.52, 111.3, "chi3"), "NZ": (("CG", "CD", "CE"), 1.489, 111.9, "chi4")}),
}
Atoms = list[tuple[int, str, str, np.ndarray]]


def place(a: np.ndarray, b: np.ndarray, c: np.ndarray, bond: float, angle_deg: float, torsion_deg: float) -> np.ndarray:
    """The point at a bond from c, an angle with b and a torsion with a."""
    angle, torsion = np.radians([angle_deg, torsion_deg])
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    return c + bond * (-np.cos(angle) * along + np.sin(angle) * (np.cos(torsion) * np.cross(normal, along)
                                                                 + np.sin(torsion) * normal))


def helix() -> Atoms:
    """Residue number, residue name, atom name and position of each atom, the axis along z through the origin."""
    chain: list[dict[str, np.ndarray]] = []
    for _ in SEQUENCE:
        if chain:
            last = chain[-1]
            n = place(last["N"], last["CA"], last["C"], 1.329, 116.2, PSI)
            ca = place(last["CA"], last["C"], n, 1.458, 121.7, OMEGA)
            c = place(last["C"], n, ca, 1.525, 111.2, PHI)
        else:
            n, ca = np.zeros(3), np.array([1.458, 0.0, 0.0])
            c = place(np.array([0.0, 1.0, 0.0]), n, ca, 1.525, 111.2, PHI)
        chain.append({"N": n, "CA": ca, "C": c})
    for residue in chain:
        residue["O"] = place(residue["N"], residue["CA"], residue["C"], 1.231, 120.1, PSI + 180.0)
    for residue, letter in zip(chain, SEQUENCE, strict=True):
        for name, (before, bond, angle, torsion) in SIDE_CHAINS[letter][1].items():
            a, b, c = (residue[one] for one in before)
            residue[name] = place(a, b, c, bond, angle, _CHI[torsion] if isinstance(torsion, str) else torsion)
    # CA(i-1) + CA(i+1) - 2 CA(i) points at the axis: two neighbours give its direction.
    alphas = np.array([residue["CA"] for residue in chain])
    inward = alphas[:-2] + alphas[2:] - 2.0 * alphas[1:-1]
    axis = np.cross(inward[:-1], inward[1:]).mean(axis=0)
    axis /= np.linalg.norm(axis)
    across = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    frame = np.array([across, np.cross(axis, across), axis])
    centre = alphas[:18].mean(axis=0)
    atoms = [(number, SIDE_CHAINS[letter][0], name, frame @ (position - centre))
             for number, (residue, letter) in enumerate(zip(chain, SEQUENCE, strict=True), start=1)
             for name, position in residue.items()]
    middle = np.mean([position[2] for *_, position in atoms])
    return [(number, residue, name, position - [0.0, 0.0, middle]) for number, residue, name, position in atoms]


def turn(axis: int, angle_deg: float) -> np.ndarray:
    """Rotation about a Cartesian axis."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i], matrix[j, j], matrix[i, j], matrix[j, i] = c, c, -s, s
    return matrix


def bundle(points: np.ndarray) -> np.ndarray:
    """Four helices [4, n, 3] on the corners of a square, neighbours antiparallel."""
    corner = np.array([DISTANCE_A, DISTANCE_A, 0.0]) / 2.0
    return np.array([points @ (turn(0, 180.0 * (number % 2)) @ turn(2, spin)).T + turn(2, 90.0 * number) @ corner
                     for number, spin in enumerate(SPINS_DEG)])


def closest(a: np.ndarray, b: np.ndarray) -> float:
    """Shortest distance between two sets of points."""
    return float(np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2).min()))


def contact(molecule: np.ndarray, enough: float) -> float:
    """Shortest distance [A] of a molecule [n, 3] to its mates in the crystal, or any that is below ``enough``."""
    edges, shortest = np.array(CELL[:3]), np.inf
    low, high = molecule.min(axis=0) - 6.0, molecule.max(axis=0) + 6.0
    for number, op in enumerate(gemmi.SpaceGroup(GROUP).operations()):
        mate = molecule @ (np.array(op.rot) / op.DEN).T + np.array(op.tran) / op.DEN * edges
        base = np.rint((molecule.mean(axis=0) - mate.mean(axis=0)) / edges)
        for step in base + np.array(list(np.ndindex(3, 3, 3))) - 1.0:
            if number or step.any():
                moved = mate + step * edges
                near = moved[((moved > low) & (moved < high)).all(axis=1)]
                shortest = min(shortest, closest(molecule, near) if len(near) else np.inf)
            if shortest < enough:
                return shortest
    return shortest


def packed(helices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions in the crystal [4, n, 3]."""
    best, kept = 0.0, helices
    for trial in range(TRIALS):
        if trial < TRIALS // 2:
            rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            rotation *= np.sign(np.linalg.det(rotation))
            moved = helices @ rotation.T + rng.uniform(0.0, 1.0, 3) * CELL[:3]
        else:
            # From the best so far, in small steps.
            centre = kept.mean(axis=(0, 1))
            rotation = turn(0, rng.normal(scale=2.0)) @ turn(1, rng.normal(scale=2.0)) @ turn(2, rng.normal(scale=2.0))
            moved = (kept - centre) @ rotation.T + centre + rng.normal(scale=0.4, size=3)
        distance = contact(moved.reshape(-1, 3), best)
        if distance > best:
            best, kept = distance, moved
    inside = min(closest(one, other) for i, one in enumerate(helices) for other in helices[:i])
    print(f"closest contact: {inside:.2f} A between helices, {best:.2f} A between molecules", file=sys.stderr)
    return kept


def main() -> None:
    """Write the file."""
    target = sys.argv[1] if len(sys.argv) > 1 else "cubragg/examples/helix_bundle.pdb"
    atoms = helix()
    points = np.array([position for *_, position in atoms])
    crystal = packed(bundle(points), np.random.default_rng(SEED))
    centre = crystal.mean(axis=(0, 1))
    structure, model = gemmi.Structure(), gemmi.Model(1)
    structure.name = "HELIX BUNDLE"
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(*CELL), GROUP
    for name, positions in zip("ABCD", crystal, strict=True):
        chain = gemmi.Chain(name)
        for (number, kind, label, _), position in zip(atoms, positions, strict=True):
            if len(chain) < number:
                residue = gemmi.Residue()
                residue.name, residue.seqid = kind, gemmi.SeqId(str(number))
                residue.entity_type = gemmi.EntityType.Polymer
                chain.add_residue(residue)
            atom = gemmi.Atom()
            atom.name, atom.element, atom.pos = label, gemmi.Element(label[0]), gemmi.Position(*position)
            # Looser outside than inside, and side chains than the main chain.
            depth = {"N": 0, "CA": 0, "C": 0, "O": 1, "CB": 1}.get(label, 2 + "GDEZ".find(label[1:2]))
            atom.b_iso = round(10.0 + 0.04 * float(((position - centre) ** 2).sum()) + 2.5 * depth, 2)
            chain[-1].add_atom(atom)
        model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    structure.assign_serial_numbers()
    structure.raw_remarks = [
        "REMARK   1 A MODEL MADE BY GEOMETRY, NO STRUCTURE OF NATURE: FOUR IDEAL ALPHA",
        "REMARK   1 HELICES. MADE BY SCRIPTS/MAKE_HELIX_BUNDLE.PY OF CUBRAGG."]
    structure.write_pdb(target)


if __name__ == "__main__":
    main()
