"""``cubragg sf``: structure factors of an atomic model."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cubragg import units
from cubragg.cli.exit_errors import CommandLineFault
from cubragg.cli.inputs import InputFile, reading
from cubragg.cli.options import Option, RequestCommand, split
from cubragg.errors import ConfigError, CubraggError

if TYPE_CHECKING:
    from cubragg.crystallography.atomic_factors import ModelFactors

OPTIONS = {
    "-o": Option(1, str, "<file>.hkl|.mtz", "write h k l F in P1, or the unique reflections with phases"),
    "--dmin": Option(1, float, "<A>", "resolution"),
    "-lambda": Option(1, float, "<A>", "wavelength of f' and f'' [1]"),
    "-energy": Option(1, float, "<eV>", "photon energy, instead of -lambda"),
    "--no-anomalous": Option(0, str, "", "without f' and f''"),
    "--k-sol": Option(1, float, "<electrons/A^3>", "density of bulk solvent [0.35 for PDB and mmCIF, else 0]"),
    "--b-sol": Option(1, float, "<A^2>", "its B [46]"),
    "--no-solvent": Option(0, str, "", "the same as --k-sol 0"),
    "--direct": Option(0, str, "", "sum over atoms, also where a Fourier transform is quicker"),
    "--quiet": Option(0, str, "", "print errors only"),
}
_INTRO = ("Structure factors of a model in PDB, mmCIF or small-molecule CIF, on the absolute scale (electrons per unit "
          "cell), with F000: all atoms with occupancies, isotropic or anisotropic B, f' and f'', and bulk solvent.")
_NOTES = (
    "The .hkl file holds every reflection in P1 with its own Friedel mate, absences as 0; the cell goes on the command "
    "line of simulate. The .mtz file brings the cell: FC and PHIC, or F(+), PHI(+), F(-), PHI(-) with f''.",
    "f0 is that of neutral atoms (International Tables C, 6.1.1.4), f' and f'' after Cromer and Liberman. Hydrogens "
    "count as far as they are in the model, and are not added.",
    "Example: cubragg sf model.pdb -o F.mtz --dmin 2 && cubragg -hkl F.mtz -lambda 1 -N 10 --png first.png",
    "Exit status: 0, 1 if the run failed or a file cannot be understood, 2 for a fault in the command line.",
)
#: Every option with one dash and with two, and the names that simulate has for the wavelength.
_SPELLINGS = {**{f"{dashes}{name.lstrip('-')}": name for name in OPTIONS for dashes in ("-", "--")},
              **{f"{dashes}{name}": "-lambda" for name in ("wave", "wavelength") for dashes in ("-", "--")},
              "--output": "-o"}


@dataclass(frozen=True)
class Request:
    """A command line of ``sf`` understood."""

    model: str
    output: str
    dmin_A: float
    wavelength_A: float
    anomalous: bool
    k_sol: float | None
    b_sol: float | None
    direct: bool | None
    quiet: bool


def parse(args: Sequence[str]) -> Request:
    """A command line of ``sf``.

    Raises
    ------
    CommandLineFault, ConfigError
        For what cannot be understood.
    """
    spelled, rest = split(args, {spelling: OPTIONS[name] for spelling, name in _SPELLINGS.items()})
    options = {_SPELLINGS[spelling]: value for spelling, value in spelled.items()}
    unknown = next((word for word in rest if word.startswith("-")), None)
    if unknown is not None:
        raise CommandLineFault(f"No such option {unknown!r}; 'cubragg sf -h' lists them.")
    if len(rest) != 1:
        raise CommandLineFault(f"Got {len(rest)} models; one is accepted.")
    for name, what in (("-o", "a file ending in .hkl or .mtz"), ("--dmin", "a resolution in A")):
        if name not in options:
            raise ConfigError(name, f"missing; {what} is needed")
    if Path(options["-o"]).suffix.lower() not in (".hkl", ".mtz"):
        raise ConfigError("-o", f"got {options['-o']!r}; a name ending in .hkl or .mtz is accepted")
    for one, other in (("-energy", "-lambda"), ("--no-solvent", "--k-sol"), ("--no-solvent", "--b-sol"),
                       ("--no-anomalous", "-lambda"), ("--no-anomalous", "-energy")):
        if one in options and other in options:
            raise ConfigError(one, f"got {other} as well; one of them is accepted")
    return Request(rest[0], options["-o"], options["--dmin"], _wavelength(options), "--no-anomalous" not in options,
                   0.0 if "--no-solvent" in options else options.get("--k-sol"), options.get("--b-sol"),
                   True if "--direct" in options else None, "--quiet" in options)


def _wavelength(options: dict[str, Any]) -> float:
    energy = options.get("-energy")
    if energy is None:
        return options.get("-lambda", 1.0)
    if not 0.0 < energy < float("inf"):
        raise ConfigError("-energy", f"got {energy:g} eV; the energy must be > 0 eV")
    return units.angstrom_from_ev(energy)


def sf(request: Request) -> None:
    """Compute and write structure factors, and say what they are of.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.crystallography.atomic_factors import structure_factors
    from cubragg.io.atoms import read_model

    start = time.perf_counter()
    if os.path.realpath(request.output) == os.path.realpath(request.model):
        raise ConfigError("-o", f"got {request.output!r}, which is the model; every file needs its own name")
    with reading(InputFile(request.model, "MODEL")):
        model = read_model(request.model)
    if not request.quiet:
        for notice in model.notices:
            click.echo(f"warning: {notice}", err=True)
    more = {} if request.b_sol is None else {"b_sol": request.b_sol}
    try:
        factors = structure_factors(model, request.dmin_A, wavelength_A=request.wavelength_A,
                                    anomalous=request.anomalous, k_sol=request.k_sol, direct=request.direct, **more)
    except ConfigError as error:
        flags = {"dmin": "--dmin", "wavelength_A": "-lambda", "k_sol": "--k-sol", "b_sol": "--b-sol"}
        raise ConfigError(flags.get(error.where, error.where), error.what) from None
    try:
        count = _write(request.output, factors)
    except OSError as error:
        raise CubraggError(f"-o: cannot write {request.output!r}: {error.strerror or error}") from error
    if not request.quiet:
        click.echo(summary(factors, request.output, count, time.perf_counter() - start), err=True)


def _write(path: str, factors: ModelFactors) -> int:
    """Write by extension; how many reflections."""
    if path.lower().endswith(".hkl"):
        from cubragg.io.reflections.hkl import write_hkl

        hkl, amplitudes = factors.expanded().rows()
        # Below what f0 is known to.
        write_hkl(path, hkl, amplitudes.round(4))
        return len(hkl)
    from cubragg import __version__
    from cubragg.io.reflections.mtz import write_mtz

    write_mtz(path, factors.hkl, factors.columns(), factors.model.cell, factors.model.group, factors.wavelength_A,
              [f"cubragg {__version__} sf {Path(factors.model.path).name} to {factors.dmin_A:g} A"])
    return len(factors.hkl)


def summary(factors: ModelFactors, path: str, count: int, seconds: float) -> str:
    """What was computed, in lines for stderr."""
    model = factors.model
    cell = " ".join(f"{number:g}" for number in model.cell)
    dispersion = f"f', f'' at {factors.wavelength_A:.5g} A" if factors.anomalous else "no f', f''"
    solvent = (f"{factors.k_sol:g} electrons/A^3, B {factors.b_sol:g} A^2, {factors.solvent_fraction:.1%} of the cell"
               if factors.k_sol > 0.0 else "none")
    rows = [("model", f"{model.path}, {model.model.count_atom_sites()} atoms"),
            ("cell", f"-cell {cell}"), ("space group", model.group.xhm()),
            ("reflections", f"{len(factors.hkl) - 1} unique to {factors.dmin_A:g} A, {factors.method}"),
            ("scattering", dispersion), ("solvent", solvent),
            ("F000", f"{abs(factors.plus[0]):.6g} electrons"),
            ("file", f"{path}, {count} reflections {'in P1' if path.lower().endswith('.hkl') else 'and their phases'}; "
                     f"{seconds:.3g} s")]
    return "\n".join(f"{label:<14}{text}" for label, text in rows)


@click.command("sf", cls=RequestCommand, parse=parse, usage="MODEL -o <file> --dmin <A> [OPTIONS]", intro=_INTRO,
               options=OPTIONS, notes=_NOTES, fault=CommandLineFault.exit_code,
               short_help="Compute structure factors from atomic coordinates.")
def command(request: Request) -> None:
    """The command as Click knows it."""
    sf(request)
