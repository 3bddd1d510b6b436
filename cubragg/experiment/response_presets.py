"""Responses of detectors by name. A figure without a published source is left out: its effect is off.

Sources
-------
PILATUS
    Counters of 20 bits; chips of 60 x 97 pixels, 8 x 2 in a module of 487 x 195: P. Kraft et al., J. Synchrotron Rad.
    16 (2009) 368, doi:10.1107/S0909049509009911.
EIGER
    Chips of 256 x 256 pixels, 4 x 2 in a module of 1030 x 514, with two virtual pixels between them: R. Dinapoli et
    al., Nucl. Instrum. Methods A 650 (2011) 79; the sizes are those of the catalog.
JUNGFRAU
    Chips as EIGER. Noise of 83 electrons, 10^4 photons of 12 keV: A. Mozzanica et al., JINST 11 (2016) C02047.
ePix10k
    Noise of 245 eV, 11000 photons of 8 keV: G. Blaj et al., arXiv:1903.06805.
AGIPD
    Noise below 1 keV (its upper bound is used), 10^4 photons of 12 keV: A. Allahgholi et al., J. Synchrotron Rad. 26
    (2019) 74.
Rayonix, ADSC
    16 bits; no figure of point spread or noise was found that names its conditions.
"""

from __future__ import annotations

from cubragg.errors import ConfigError
from cubragg.experiment.catalog import find
from cubragg.experiment.response_settings import Response

#: Energy of an electron-hole pair in silicon [eV].
_EV_PER_PAIR = 3.62
_PILATUS_CHIPS = ((60, 97), (1, 1))
_EIGER_CHIPS = ((256, 256), (2, 2))
#: Noise [eV] and largest signal [eV] of detectors that integrate charge.
_NOISE_EV = {"jungfrau": (83 * _EV_PER_PAIR, 1e4 * 12000.0), "epix10k": (245.0, 11000 * 8000.0),
             "agipd": (1000.0, 1e4 * 12000.0)}


def preset(name: str, energy_eV: float | None) -> Response:
    """Return the response of a detector; see `Response.preset`."""
    plain = name.lower().replace(" ", "")
    family = next((family for family in _NOISE_EV if plain.startswith(family)), "")
    if family:
        if plain not in _NOISE_EV:
            find("response", name)
        if energy_eV is None:
            raise ConfigError("response", f"got {name!r} without the photon energy, in which its noise is measured; "
                              "give energy_eV")
        noise_eV, largest_eV = _NOISE_EV[family]
        return Response("integrating", gain_stages=((largest_eV / energy_eV, noise_eV / energy_eV),),
                        chips=_EIGER_CHIPS if family == "jungfrau" else None)
    detector = find("response", name)
    highest = detector.module.highest
    if detector.name.startswith("pilatus"):
        return Response(chips=_PILATUS_CHIPS, count_cutoff=highest)
    if detector.name.startswith("eiger") and not detector.name.startswith("eiger2"):
        return Response(chips=_EIGER_CHIPS, count_cutoff=highest)
    if detector.name.startswith("eiger2"):
        return Response(count_cutoff=highest)
    return Response("integrating", count_cutoff=highest)
