// The sub-pixels of a spot that are summed, row by row; the twin of cubragg/engine/analytic/spot_outline.py.
// specs/analytic.md, section 2
#ifndef CUBRAGG_SPOT_ROWS_CUH
#define CUBRAGG_SPOT_ROWS_CUH

#include "portable.cuh"
#include "spot.cuh"

// Sub-pixels of a row of the box, ends included; last < first: none.
struct Row { int first, last; };

DEVICE Row summed_in_row(const Spot &spot, int row)
{
    const REAL n = REAL(spot.subpixels), s = (row + REAL(0.5)) * (REAL(1) / n) - spot.offset[1] - spot.outline[1];
    const REAL middle = spot.outline[0] + spot.outline[2] * s + spot.offset[0];
    const REAL square = spot.outline[3] - spot.outline[4] * s * s, half = sqrt_(square > REAL(0) ? square : REAL(0));
    const REAL from = ceil_((middle - half) * n - REAL(0.5)), to = floor_((middle + half) * n - REAL(0.5));
    const REAL box_first = REAL(spot.fast_first), box_last = REAL(spot.fast_last);
    const REAL first = from > box_first ? from : box_first, widest = first + REAL(spot.widest - 1);
    const REAL in_box = to < box_last ? to : box_last, last = in_box < widest ? in_box : widest;
    const bool inside = (square > REAL(0)) & (last >= first);
    const Row result = {(int)(inside ? first : box_first), (int)(inside ? last : box_first - REAL(1))};
    return result;
}

#endif
