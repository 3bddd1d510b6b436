// The arithmetic of the inner loop in double precision, which `vector_width.py` times: lattice amplitudes of a tile of pixels
// at one orientation after the other, as in kernels/shape_square.cuh.
#include "mathematics.cuh"

DEVICE double ratio_of_sines(double fraction, double cells)
{
    const double turns = fraction * cells;
    return quotient(sinpi_(turns - rint_(turns)), sinpi_(fraction));
}

extern "C" double amplitudes(int orientations)
{
    PRIV3(double, fraction);
    PRIV(double, sum);
    FOR_T {
        L3(fraction, 0) = 0.001 + 0.002 * t;
        L3(fraction, 1) = 0.002 + 0.003 * t;
        L3(fraction, 2) = 0.003 + 0.001 * t;
        L(sum) = 0.0;
    }
    for (int i = 0; i < orientations; ++i) {
        const double turned = 1e-7 * i;
        FOR_T {
            const double amplitude = ratio_of_sines(L3(fraction, 0) + turned, 20.0)
                                     * ratio_of_sines(L3(fraction, 1) + turned, 25.0)
                                     * ratio_of_sines(L3(fraction, 2) + turned, 30.0);
            L(sum) += amplitude * amplitude;
        }
    }
    double total = 0.0;
    for (int t = 0; t < BLOCK; ++t) total += sum[t];
    return total;
}
