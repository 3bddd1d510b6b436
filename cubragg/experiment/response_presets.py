"""Responses of detectors by name. A figure without a published source is left out: its effect is off.

Sources
-------
PILATUS
    Counters of 20 bits: user manual of the PILATUS (DECTRIS), section 4.2. Modules of 487 x 195 pixels are 8 x 2 chips
    of 60 x 97 with one pixel between them, whose counts are calculated from its neighbours (8 * 60 + 7, 2 * 97 + 1), in
    programs that mask them (pilatus_gapmask, for solution scattering at cSAXS).
EIGER
    Double-sized pixels between chips and quadruple ones at their corners, divided in the hardware:
    github.com/dials/dials/issues/2585. A module of 1030 x 514 is 4 x 2 chips of 256 x 256 with two pixels between them:
    4 * 256 + 6 and 2 * 256 + 2.
JUNGFRAU
    4 x 2 chips of 256 x 256 in a module: documentation of the JUNGFRAU at the European XFEL
    (rtd.xfel.eu/docs/jungfrau-detector-documentation); its dynamic range "of the order 110 dB" is no figure of noise or
    largest signal, of which none could be confirmed. Chips lie 258 pixels apart: github.com/slaclab/psgeom/issues/41.
CSPAD
    Noise of 1000 eV and 350 photons of 8 keV in high gain, 3500 eV and 2700 photons in low gain: LCLS
    (lcls.slac.stanford.edu/detectors/cspad).
ePix10k
    Noise of 245 eV, 11000 photons of 8 keV: G. Blaj et al., arXiv:1903.06805.
AGIPD
    Noise below 1 keV (its upper bound is used), 10^4 photons of 12 keV: A. Allahgholi et al., J. Synchrotron Rad. 26
    (2019) 74.
ADSC
    16 bits. The point spread of a CCD behind a fibre-optic taper is that of a point of light 27 um above the pixels:
    J. M. Holton, C. Nielsen (ADSC) and K. A. Frankel, J. Synchrotron Rad. 19 (2012) 1006. Its width at half maximum is
    2 sqrt(2^(2/3) - 1) times that height.
Rayonix
    16 bits; no figure of point spread or noise was found.
"""

from __future__ import annotations

import math
from typing import Any

from cubragg.errors import ConfigError
from cubragg.experiment.catalog import find

_PILATUS_CHIPS = ((60, 97), (1, 1))
_EIGER_CHIPS = ((256, 256), (2, 2))
#: Noise [eV] and largest signal [eV] of detectors that integrate charge.
_NOISE_EV = {"epix10k": (245.0, 11000 * 8000.0), "agipd": (1000.0, 1e4 * 12000.0), "cspad": (1000.0, 350 * 8000.0),
             "cspad-low": (3500.0, 2700 * 8000.0)}
_TAPER_FWHM_UM = 27.0 * 2.0 * math.sqrt(2.0 ** (2.0 / 3.0) - 1.0)


def preset_settings(name: str, energy_eV: float | None) -> dict[str, Any]:
    """Return the settings of the `Response` of a detector; see `Response.preset`."""
    plain = name.lower().replace(" ", "")
    if plain in _NOISE_EV:
        if energy_eV is None:
            raise ConfigError("response", f"got {name!r} without the photon energy, in which its noise is measured; "
                              "give energy_eV")
        noise_eV, largest_eV = _NOISE_EV[plain]
        largest = largest_eV / energy_eV
        return {"kind": "integrating", "gain_stages": ((largest, noise_eV / energy_eV),), "count_cutoff": int(largest)}
    try:
        detector = find("response", name)
    except ConfigError as error:
        raise ConfigError("response", f"{error.what}; {', '.join(_NOISE_EV)} are responses as well") from None
    highest = detector.module.highest
    if detector.name.startswith("pilatus"):
        return {"chips": _PILATUS_CHIPS, "count_cutoff": highest}
    if detector.name.startswith("eiger") and not detector.name.startswith("eiger2"):
        return {"chips": _EIGER_CHIPS, "count_cutoff": highest}
    if detector.name.startswith("jungfrau"):
        return {"kind": "integrating", "chips": _EIGER_CHIPS}
    if detector.name.startswith("eiger2"):
        return {"count_cutoff": highest}
    if detector.name.startswith("adsc"):
        return {"kind": "integrating", "psf": "fiber", "psf_fwhm_um": _TAPER_FWHM_UM, "count_cutoff": highest}
    return {"kind": "integrating", "count_cutoff": highest}
