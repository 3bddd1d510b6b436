"""Options of commands that draw pictures of image files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cubragg.cli.base_command import option
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.view.colours import Style

_OPTIONS = (
    option("--png-colors", "--png-colours", "colours", default="inverted", metavar="<name>",
           type=click.Choice(["inverted", "grey", "sea", "fire", "gray", "gray_r", "viridis", "magma", "inferno",
                              "cividis"]),
           help="Colours: inverted (dark spots on white), grey, sea, fire, gray, gray_r, viridis, magma, "
                "inferno, cividis.  [inverted]"),
    option("--png-scale", "scale", type=click.Choice(["linear", "sqrt", "log"]), default="sqrt",
           metavar="linear|sqrt|log", help="Scale from values to lightness.  [sqrt]"),
    option("--png-range", "percentiles", type=float, nargs=2, metavar="<low high>",
           help="Percentiles of the pixels > 0 at the ends of the scale.  [automatic]"),
    option("--png-rings", "rings", is_flag=True, help="Resolution rings."),
    option("--png-dpi", "--dpi", "dpi", type=click.FloatRange(10.0, 1200.0), metavar="<1/inch>",
           help="A figure with this resolution.  [100]"),
)


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of colours, scale, rings and resolution to a command."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


def style_of(colours: str, scale: str, percentiles: tuple[float, float] | None, dpi: float | None) -> Style:
    """Return the style of a picture.

    Raises
    ------
    ConfigError
        Naming ``--png-range``, whose values the options have not checked.
    """
    from cubragg.view.colours import Style

    try:
        return Style(colours, scale, percentiles, dpi)
    except ConfigError as error:
        raise ConfigError("--png-range", error.what) from None


def check_picture(output: str, flag: str, inputs: Sequence[str], *, figure: str | None) -> None:
    """Check that a picture can be written under its name before anything is read.

    Parameters
    ----------
    output, flag
        The name, and the flag that gave it.
    inputs
        Files that are read.
    figure
        The flag that needs matplotlib whatever the name; ``None``: SVG and PDF alone do.

    Raises
    ------
    ConfigError
        If the name is that of an input or has another ending, or matplotlib is needed and not installed.
    """
    import os

    from cubragg.view.figure import require_matplotlib
    from cubragg.view.png import check_name, is_vector

    if any(os.path.realpath(output) == os.path.realpath(path) for path in inputs):
        raise ConfigError(flag, f"got {output!r}, which is the image itself; another name is accepted")
    check_name(output, flag)
    if figure is not None or is_vector(output):
        require_matplotlib(figure or flag)
