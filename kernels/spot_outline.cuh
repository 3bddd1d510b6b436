// Which second-order terms of a spot matter, and the ellipse whose sub-pixels are summed; the twin of `fill_outline` of
// cubragg/engine/analytic/spot_outline.py, which has the constants. specs/analytic.md, section 2
#ifndef CUBRAGG_SPOT_OUTLINE_CUH
#define CUBRAGG_SPOT_OUTLINE_CUH

#include "portable.cuh"
#include "lanes.cuh"
#include "spot.cuh"
#include "spot_profile.cuh"
#include "spot_extent.cuh"

// Second-order terms are evaluated where they change a standardized deviation by more than NEGLIGIBLE; more than STRONG
// along the path. A segment shorter than SHORTEST deviations is evaluated at its middle.
#define NEGLIGIBLE 1e-3
#define STRONG 0.25
#define SHORTEST 0.25
// Least ratio of the axes of an ellipse, squared; and the square of half a row that holds every box [pixel^2].
#define FLATTEST 1e-8
#define WIDE 1e12

// Whole numbers of `Spot`.
struct Outline { Lanes bent, path, widest; };

DEVICE Lanes largest_change(Lanes before, Lanes change) { return larger_of(before, fabs_(change)); }

// The moments of the angle of samples at `y`, in segments of which some are short.
DEVICE AngleMoments<Lanes> moments_of_any(const SpotNumbers<Lanes> &spot, LaneMask is_short, Lanes y)
{
    const AngleMoments<Lanes> brief = moments<SHORT>(spot, y), whole = moments<LONG>(spot, y);
    return {choose(is_short, brief.mean, whole.mean), choose(is_short, brief.variance, whole.variance),
            choose(is_short, brief.third, whole.third), whole.probability};
}

// Set the ellipse, and find which terms matter.
DEVICE Outline outline_of(SpotNumbers<Lanes> &spot, const ListParams &p, const Extent &extent)
{
    const Lanes zero = 0.0, one = 1.0;
    const LaneMask is_short = spot.ends[1] - spot.ends[0] < SHORTEST;
    const Interval &fast = extent.bounds[0], &slow = extent.bounds[1];
    Lanes slopes[3][2], most = zero, along = zero, changes[3] = {zero, zero, zero};
    UNROLL
    for (int i = 0; i < 3; ++i) {
        UNROLL
        for (int axis = 0; axis < 2; ++axis) slopes[i][axis] = spot.rows[i][axis] - spot.rows[i][2] * spot.towards[axis];
    }
    for (int place = 0; place < 9; ++place) {
        const Lanes f = fast.lower + (fast.upper - fast.lower) * (0.5 * (place / 3));
        const Lanes s = slow.lower + (slow.upper - slow.lower) * (0.5 * (place % 3));
        const Distance<Lanes> distance = distance_of(spot, f, s);
        Lanes before[3], y[3];
        UNROLL
        for (int i = 0; i < 3; ++i) y[i] = before[i] = functional(spot.rows[i], f, s, distance);
        Lanes weight;
        if (p.moving) weight = correct<true>(spot, y, moments_of_any(spot, is_short, y[2]));
        else weight = correct<false>(spot, y, moments<NONE>(spot, y[2]));
        most = largest_change(most, weight - one);
        along = largest_change(along, y[2] - before[2]);
        UNROLL
        for (int i = 0; i < 3; ++i) {
            most = largest_change(most, y[i] - before[i]);
            const Lanes linear = slopes[i][0] * f + slopes[i][1] * s - spot.rows[i][3], change = y[i] - linear;
            changes[i] = larger_of(changes[i], change * change);
        }
    }
    // In a rotation image the third deviation, along the path, is no part of the ellipse.
    const Lanes third = p.moving ? 0.0 : 1.0;
    Lanes a = zero, b = zero, c = zero, to_f = zero, to_s = zero;
    UNROLL
    for (int i = 0; i < 3; ++i) {
        const Lanes f = i == 2 ? third * slopes[i][0] : slopes[i][0], s = i == 2 ? third * slopes[i][1] : slopes[i][1];
        a += f * f;
        b += f * s;
        c += s * s;
        to_f += f * spot.rows[i][3];
        to_s += s * spot.rows[i][3];
    }
    const Lanes found = a * c - b * b, sum = a + c;
    const LaneMask flat = found < FLATTEST * sum * sum;
    const Lanes determinant = choose(flat, one, found), per_determinant = one / determinant;
    const Lanes reach = p.tail + sqrt_(changes[0] + changes[1] + third * changes[2]);
    spot.outline[0] = choose(flat, zero, (c * to_f - b * to_s) * per_determinant);
    spot.outline[1] = choose(flat, zero, (a * to_s - b * to_f) * per_determinant);
    spot.outline[2] = choose(flat, zero, -b / a);
    spot.outline[3] = choose(flat, WIDE, reach * reach / a);
    spot.outline[4] = choose(flat, zero, determinant / (a * a));
    const Lanes longest = floor_(Lanes(2.0) * sqrt_(spot.outline[3]) * extent.count + 2.0);
    const Lanes bent = choose(most > NEGLIGIBLE, Lanes(BENT), Lanes(STRAIGHT));
    return {choose(along > STRONG, Lanes(STRONGLY_BENT), bent),
            p.moving ? choose(is_short, Lanes(SHORT), Lanes(LONG)) : Lanes(NONE),
            smaller_of(longest, extent.last[0] - extent.first[0] + one)};
}

#endif
