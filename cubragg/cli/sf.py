"""``cubragg sf``: compute structure factors from atomic coordinates."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cubragg import units
from cubragg.cli.base_command import BaseCommand, FlagOption
from cubragg.cli.exit_errors import given_twice, one_line
from cubragg.cli.inputs import InputFile, model_path, reading
from cubragg.errors import ConfigError, CubraggError, FormatError

if TYPE_CHECKING:
    from cubragg.crystallography.atomic_factors import ModelFactors

#: Parameters of `structure_factors` and the options that set them.
_FLAGS = {"dmin": "--dmin", "wavelength_A": "-lambda", "k_sol": "--k-sol", "b_sol": "--b-sol",
          "space_group": "--space-group", "anomalous": "--anomalous"}


class Options(NamedTuple):
    """The options of ``sf``, by the names of its parameters."""

    output: str
    dmin_A: float
    wavelength_A: float | None
    energy_eV: float | None
    no_anomalous: bool
    anomalous: tuple[tuple[str, float, float], ...]
    anomalous_file: str | None
    k_sol: float | None
    b_sol: float | None
    no_solvent: bool
    direct: bool
    space_group: str | None
    quiet: bool

    def check(self) -> None:
        """Refuse an energy <= 0 and options that contradict one another.

        Raises
        ------
        ConfigError
            Naming the option.
        """
        given = {"-lambda": self.wavelength_A is not None, "-energy": self.energy_eV is not None,
                 "--no-anomalous": self.no_anomalous, "--anomalous": bool(self.anomalous),
                 "--anomalous-file": self.anomalous_file is not None, "--no-solvent": self.no_solvent,
                 "--k-sol": self.k_sol is not None, "--b-sol": self.b_sol is not None}
        for one, other in (("-energy", "-lambda"), ("--no-solvent", "--k-sol"), ("--no-solvent", "--b-sol"),
                           ("--no-anomalous", "-lambda"), ("--no-anomalous", "-energy"),
                           ("--no-anomalous", "--anomalous"), ("--no-anomalous", "--anomalous-file")):
            if given[one] and given[other]:
                raise ConfigError(one, f"got {other} as well; one of them is accepted")
        if self.energy_eV is not None and not 0.0 < self.energy_eV < float("inf"):
            raise ConfigError("-energy", f"got {self.energy_eV:g} eV; the energy must be > 0 eV")

    @property
    def wavelength(self) -> float:
        """Wavelength [A] from -lambda or -energy, 1 if neither was given."""
        if self.energy_eV is not None:
            return units.angstrom_from_ev(self.energy_eV)
        return 1.0 if self.wavelength_A is None else self.wavelength_A


def sf(model_path: str, options: Options) -> None:
    """Compute and write structure factors, and print a summary.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.io.reflections.write_factors import check_ending, write_factors

    start = time.perf_counter()
    options.check()
    try:
        check_ending(options.output)
    except FormatError as error:
        raise ConfigError("-o", str(error)) from None
    if os.path.realpath(options.output) == os.path.realpath(model_path):
        raise ConfigError("-o", f"got {options.output!r}, which is MODEL itself; every file needs its own name")
    factors = _factors(model_path, options)
    if not options.quiet:
        for warning in factors.warnings:
            click.echo(f"warning: {warning}", err=True)
    try:
        count = write_factors(options.output, factors)
    except OSError as error:
        raise CubraggError(f"-o: cannot write {options.output!r}: {error.strerror or error}") from error
    if not options.quiet:
        click.echo(summary(factors, options.output, count, time.perf_counter() - start), err=True)


def _factors(path: str, options: Options) -> ModelFactors:
    from cubragg.crystallography.atomic_factors import B_SOL, structure_factors
    from cubragg.io.atoms import read_model

    try:
        with reading(InputFile(path, "MODEL")):
            model = read_model(path, options.space_group)
        if not options.quiet:
            for warning in model.warnings:
                click.echo(f"warning: {one_line(warning)}", err=True)
        return structure_factors(model, options.dmin_A, wavelength_A=options.wavelength,
                                 anomalous=not options.no_anomalous, anomalous_values=_anomalous_values(options),
                                 k_sol=0.0 if options.no_solvent else options.k_sol,
                                 b_sol=B_SOL if options.b_sol is None else options.b_sol,
                                 direct=options.direct or None)
    except ConfigError as error:
        raise ConfigError(_FLAGS.get(error.where, error.where), error.what) from None


def _anomalous_values(options: Options) -> dict[str, tuple[float, float]]:
    """Return f' and f'' by element, of --anomalous and --anomalous-file; the option replaces lines of the file."""
    from cubragg.io.dispersion_file import element_symbol, read_dispersion

    values, given = {}, dict[str, tuple[float, float]]()
    if options.anomalous_file is not None:
        with reading(InputFile(options.anomalous_file, "--anomalous-file")):
            values = read_dispersion(options.anomalous_file)
    for name, first, second in options.anomalous:
        before = given.setdefault(symbol := element_symbol("--anomalous", name), (first, second))
        if before != (first, second):
            texts = (f"{one:g} {other:g}" for one, other in (before, (first, second)))
            raise ConfigError(f"--anomalous {symbol}", given_twice(*texts))
    return {**values, **given}


def summary(factors: ModelFactors, path: str, count: int, seconds: float) -> str:
    """Return a summary of the calculation, in lines for stderr."""
    model = factors.model
    cell = " ".join(f"{number:g}" for number in model.cell)
    dispersion = "no f', f''"
    if factors.anomalous:
        dispersion = f"f', f'' at {factors.wavelength_A:.5g} A: " + ", ".join(
            f"{name} {one.first:.3f} {one.second:.3f}" for name, one in sorted(factors.dispersion.items()))
    solvent = (f"{factors.k_sol:g} electrons/A^3, B {factors.b_sol:g} A^2, {factors.solvent_fraction:.1%} of the cell"
               if factors.k_sol > 0.0 else "none")
    rows = [("structure", f"{model.path}, {model.model.count_atom_sites()} atoms"),
            ("cell", f"-cell {cell}"), ("space group", model.group.xhm()),
            ("reflections", f"{len(factors.hkl) - 1} unique to {factors.dmin_A:g} A, {factors.method}"),
            ("scattering", dispersion), ("solvent", solvent),
            ("F000", f"{abs(factors.plus[0]):.6g} electrons"),
            ("file", f"{path}, {count} reflections {'in P1' if path.lower().endswith('.hkl') else 'and their phases'}; "
                     f"{seconds:.3g} s")]
    return "\n".join(f"{label:<14}{text}" for label, text in rows)


_NOTES = """The .hkl file contains every reflection in P1 with its own Friedel mate, absences as 0, and no cell: give
-cell to simulate. The .mtz file contains the cell, with FC and PHIC, or F(+), PHI(+), F(-), PHI(-) if there is f''.

f0 is that of neutral atoms (International Tables C, 6.1.1.4), f' and f'' after Cromer and Liberman, with edges as wide
as their core holes; a warning gives the distance of an edge within 20 eV. Hydrogens are
included if the file contains them, and are not added. Options may have one dash or two; -wave and -wavelength are
-lambda.

MODEL may be a file of that name here, or helix_bundle.pdb (a small protein) or quartz.cif, which come with cubragg.

\b
  cubragg sf helix_bundle.pdb -o F.mtz --dmin 2
  cubragg -hkl F.mtz -lambda 1 -N 10 --png first.png

Exit status: 0, 1 if the run failed or a file cannot be read, 2 for an error in the command line."""


@click.command("sf", cls=BaseCommand, epilog=_NOTES, short_help="Compute structure factors from atomic coordinates.")
@click.argument("model")
@click.option("-o", "--output", "output", cls=FlagOption, required=True, metavar="<file>.hkl|.mtz",
              help="Write h k l F in P1, or the unique reflections with phases.")
@click.option("--dmin", "dmin_A", cls=FlagOption, type=float, required=True, metavar="<A>", help="Resolution.")
@click.option("-lambda", "-wave", "-wavelength", "wavelength_A", cls=FlagOption, type=float, metavar="<A>",
              help="Wavelength of f' and f''.  [1]")
@click.option("-energy", "energy_eV", cls=FlagOption, type=float, metavar="<eV>",
              help="Photon energy, instead of -lambda.")
@click.option("--no-anomalous", cls=FlagOption, is_flag=True, help="Omit f' and f''.")
@click.option("--anomalous", cls=FlagOption, type=(str, float, float), multiple=True, metavar="<element f' f''>",
              help="f' and f'' of an element, as measured; may be repeated.")
@click.option("--anomalous-file", cls=FlagOption, metavar="<file>", help="The same, lines of element, f' and f''.")
@click.option("--k-sol", cls=FlagOption, type=float, metavar="<electrons/A^3>",
              help="Density of bulk solvent.  [0.35 for PDB and mmCIF, else 0]")
@click.option("--b-sol", cls=FlagOption, type=float, metavar="<A^2>", help="B factor of bulk solvent.  [46]")
@click.option("--no-solvent", cls=FlagOption, is_flag=True, help="The same as --k-sol 0.")
@click.option("--space-group", cls=FlagOption, metavar="<name>",
              help="Space group, symbol or number.  [that of the file]")
@click.option("--direct", cls=FlagOption, is_flag=True,
              help="Sum over atoms, even where a Fourier transform is faster.")
@click.option("--quiet", cls=FlagOption, is_flag=True, help="Print errors only.")
def command(model: str, **options: Any) -> None:
    """Compute structure factors of a structure in PDB, mmCIF or small-molecule CIF on absolute scale (electrons
    per unit cell), with F000: all atoms with occupancies, isotropic or anisotropic B, f' and f'', and bulk solvent."""
    sf(model_path(model), Options(**options))
