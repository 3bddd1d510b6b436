// Kahn's polarization factor (Kahn et al. 1982). specs/core-physics.md
//
//   P = (1 + c^2 - K cos(2 psi) (1 - c^2)) / 2
//   c = i.d, psi = -atan2(d.B, d.E): cos(2 psi) = ((d.E)^2 - (d.B)^2) / ((d.E)^2 + (d.B)^2), 1 where both vanish
//   d: direction of the diffracted beam; i, E, B: unit vectors of the incident beam and of its fields; K: kahn
#ifndef CUBRAGG_POLARIZATION_CUH
#define CUBRAGG_POLARIZATION_CUH

#include "portable.cuh"
#include "params.cuh"

DEVICE INDEX along(const double *unit, INDEX x, INDEX y, INDEX z)
{
    return (INDEX)unit[0] * x + (INDEX)unit[1] * y + (INDEX)unit[2] * z;
}

// Polarization factor for K = 0 and the unit vector x, y, z; `source` is a row of the table of sources.
DEVICE REAL unpolarized(const double *source, INDEX x, INDEX y, INDEX z)
{
    const INDEX cosine = along(source + UNIT_INCIDENT, x, y, z);
    return (REAL)(INDEX(0.5) * (INDEX(1) + cosine * cosine));
}

// Polarization factor for any K.
DEVICE REAL polarization(const Params &p, const double *source, INDEX x, INDEX y, INDEX z)
{
    const INDEX cosine = along(source + UNIT_INCIDENT, x, y, z);
    const INDEX cosine_sqr = cosine * cosine;
    const INDEX e = along(source + ELECTRIC, x, y, z), b = along(source + MAGNETIC, x, y, z);
    const INDEX total = e * e + b * b;
    const INDEX cos_2psi = total == INDEX(0) ? INDEX(1) : (e * e - b * b) / (total == INDEX(0) ? INDEX(1) : total);
    return (REAL)(INDEX(0.5) * (INDEX(1) + cosine_sqr - (INDEX)p.kahn * cos_2psi * (INDEX(1) - cosine_sqr)));
}

#endif
