// Sub-pixels and bounding boxes of spots; the twin of cubragg/engine/analytic/spot_boxes.py and of `spots_on` of spots.py.
// specs/analytic.md, section 2
#ifndef CUBRAGG_SPOT_EXTENT_CUH
#define CUBRAGG_SPOT_EXTENT_CUH

#include "portable.cuh"
#include "lanes.cuh"
#include "vectors.cuh"
#include "node.cuh"
#include "ray.cuh"

// Constants of spot_boxes.py, spots.py and rotation_segments.py under their names.
#define MOST_SUBPIXELS 8.0
#define FINEST 32
#define LEAST_SIGMA 0.8
#define FULL_SIGMAS 5.0
#define SIZE_MARGIN 1.2
#define LEAST_MARGIN 10.0
#define REACH_SIGMAS 6.0

// A symmetric matrix of fast and slow.
struct Planar { Lanes ff, fs, ss; };

// Shape of spots on the detector [pixel]: covariance where the sphere cuts the distribution, and of the distribution along
// its path; centre of the section per excitation error, its motion per angle, and centre of the shadow.
struct Sections {
    Planar section, shadow;
    Lanes shift[2], path[2], crossing[2];
    Lanes sigma;  // of the excitation error
};

// P C P^T of two rows P.
DEVICE Planar projected(const Symmetric &covariance, const Vec &fast, const Vec &slow)
{
    const Vec of_fast = covariance * fast, of_slow = covariance * slow;
    return {dot(fast, of_fast), dot(fast, of_slow), dot(slow, of_slow)};
}

// Rows `fast` and `slow`: pixels per change of the scattering vector.
DEVICE Sections sections_of(const Symmetric &covariance, const Node &node, const Vec &fast, const Vec &slow)
{
    Sections result;
    const Vec towards = covariance * node.k;
    const Lanes variance = dot(node.k, towards), inverse = Lanes(1.0) / variance;
    result.shift[0] = -dot(fast, towards) * inverse;
    result.shift[1] = -dot(slow, towards) * inverse;
    const Planar plain = projected(covariance, fast, slow);
    result.section = {plain.ff - variance * result.shift[0] * result.shift[0],
                      plain.fs - variance * result.shift[0] * result.shift[1],
                      plain.ss - variance * result.shift[1] * result.shift[1]};
    const Lanes moving[2] = {dot(fast, node.velocity), dot(slow, node.velocity)};
    // NaN in a still.
    const Lanes per_distance[2] = {moving[0] / node.speed, moving[1] / node.speed};
    // P_v C P_v^T with P_v = 1 - v k^T / (k.v).
    result.shadow = projected(covariance, fast - per_distance[0] * node.k, slow - per_distance[1] * node.k);
    for (int axis = 0; axis < 2; ++axis) {
        result.crossing[axis] = -node.excitation * per_distance[axis];
        result.path[axis] = moving[axis] + result.shift[axis] * node.speed;
    }
    result.sigma = sqrt_(variance);
    return result;
}

// The smallest standard deviation; 0 for NaN.
DEVICE Lanes narrowest(const Planar &c)
{
    const Lanes difference = c.ff - c.ss;
    const Lanes square = Lanes(0.5) * (c.ff + c.ss) - sqrt_(Lanes(0.25) * difference * difference + c.fs * c.fs);
    return sqrt_(choose(square > 0.0, square, 0.0));
}

// Sub-pixels along an edge, and the variance by which a spot is blurred [pixel^2].
struct Sampling { Lanes count, blur; };

DEVICE Sampling subpixels_of(const ListParams &p, const Sections &sections, const Node &node)
{
    const Lanes width = narrowest(sections.section), reach = FULL_SIGMAS * sections.sigma, pace = fabs_(node.speed);
    const LaneMask full = (-node.start * pace > reach) & (node.end * pace > reach);
    const Lanes of_spot = choose(full, larger_of(width, narrowest(sections.shadow)), width);
    const Lanes wanted = ceil_(Lanes(1.0) / larger_of(of_spot, 1e-3));
    const double least = p.oversample < FINEST ? p.oversample : FINEST;
    const Lanes count = larger_of(smaller_of(larger_of(wanted, 1.0), MOST_SUBPIXELS), least);
    const Lanes of_subpixel = Lanes(LEAST_SIGMA) / count;
    return {count, larger_of(of_subpixel * of_subpixel - of_spot * of_spot, 0.0)};
}

// The bounds of a spot along one axis [pixel from the ray].
struct Interval { Lanes lower, upper; };

DEVICE Interval interval_of(const ListParams &p, const Sections &sections, int axis, Lanes variance, Lanes shadow_variance,
                            const Node &node, Lanes inwards, Lanes along_path)
{
    const Lanes centre = sections.shift[axis] * node.excitation;
    const Lanes begin = centre + sections.path[axis] * node.start, end = centre + sections.path[axis] * node.end;
    const Lanes half = p.tail * sqrt_(variance), half_shadow = p.tail * sqrt_(shadow_variance);
    Lanes lower = smaller_of(begin, end) - half, upper = larger_of(begin, end) + half;
    const LaneMask moves = node.end > node.start;
    // Infinite or NaN for a node that does not move through the sphere: then these comparisons are false.
    const Lanes from = sections.crossing[axis] - half_shadow, to = sections.crossing[axis] + half_shadow;
    lower = choose(moves & (from > lower), from, lower);
    upper = choose(moves & (to < upper), to, upper);
    lower += smaller_of(inwards, 0.0) + smaller_of(along_path, 0.0);
    upper += larger_of(inwards, 0.0) + larger_of(along_path, 0.0);
    const Lanes stretch = 1.0 + p.tail * sqrt_(p.wavelength_variance);
    return {lower * stretch, upper * stretch};
}

// A spot: its covariance, bounds and sub-pixels, and whether any of them is in the region.
struct Extent {
    Symmetric covariance;       // with footprint and sub-pixels
    Interval bounds[2];         // fast and slow [pixel from the ray]
    Lanes count;                // sub-pixels along an edge
    Lanes first[2], last[2];    // box [sub-pixel of the panel]
    Lanes corner[2], end[2];    // first and last pixel
    LaneMask seen;
};

// Whether spots can reach the region, by a bound of their size.
DEVICE LaneMask near_region(const ListParams &p, const Node &node, const Ray &ray)
{
    const Lanes pixels = p.wavelength * sqrt_(dot(ray.fast_of, ray.fast_of) + dot(ray.slow_of, ray.slow_of));
    const Lanes moved = sqrt_(dot(node.velocity, node.velocity)) * (node.end - node.start);
    const Lanes reach = SIZE_MARGIN * pixels * ((p.tail + REACH_SIGMAS) * sqrt_(trace(node.covariance)) + moved)
                        + LEAST_MARGIN;
    return ray.meets & (ray.fast > p.fast_min - reach) & (ray.fast < p.fast_max + 1 + reach)
           & (ray.slow > p.slow_min - reach) & (ray.slow < p.slow_max + 1 + reach);
}

DEVICE Extent extent_of(const ListParams &p, const Node &node, const Ray &ray, LaneMask near)
{
    Extent spot;
    const Lanes wavelength = p.wavelength, one = 1.0;
    const Vec fast = wavelength * ray.fast_of, slow = wavelength * ray.slow_of;
    Symmetric covariance = node.covariance;
    if (p.extended) covariance = covariance + footprint(p, node.k, ray.distance);
    const Sampling sampling = subpixels_of(p, sections_of(covariance, node, fast, slow), node);
    // Changes of the scattering vector from pixel to pixel.
    const Lanes scale = one / (wavelength * ray.distance);
    const Vec along_fast = scale * (ray.fast_step - dot(node.k, ray.fast_step) * node.k);
    const Vec along_slow = scale * (ray.slow_step - dot(node.k, ray.slow_step) * node.k);
    // Each sample is the mid-point of a sub-pixel: the average over it is a blur.
    const Lanes blur = one / (Lanes(12.0) * sampling.count * sampling.count) + sampling.blur;
    spot.covariance = covariance + blur * (square_of(along_fast) + square_of(along_slow));
    const Sections sections = sections_of(spot.covariance, node, fast, slow);
    // The outermost parts of a spot bend with the sphere of its rotations, and its path towards the spindle.
    const Vec radial = (one / node.length) * node.G, spindle = vec(p.spindle);
    const Lanes sine = dot(radial, node.k), width = p.tail * p.widest_mosaicity;
    const Lanes sag = width * width * node.length / (Lanes(2.0) * larger_of(one - sine * sine, 1e-6));
    const Lanes reach = larger_of(fabs_(node.start), fabs_(node.end)), bend = Lanes(-0.5) * reach * reach;
    const Vec towards = node.G - dot(node.G, spindle) * spindle;
    spot.bounds[0] = interval_of(p, sections, 0, sections.section.ff, sections.shadow.ff, node, -dot(fast, radial) * sag,
                                 bend * dot(fast, towards));
    spot.bounds[1] = interval_of(p, sections, 1, sections.section.ss, sections.shadow.ss, node, -dot(slow, radial) * sag,
                                 bend * dot(slow, towards));
    const Lanes n = sampling.count, position[2] = {ray.fast, ray.slow};
    const double least[2] = {(double)p.fast_min, (double)p.slow_min}, most[2] = {p.fast_max + 1.0, p.slow_max + 1.0};
    spot.count = n;
    spot.seen = near;
    for (int axis = 0; axis < 2; ++axis) {
        // The box in sub-pixels; its pixels are those that hold any of them.
        spot.first[axis] = larger_of(floor_((position[axis] + spot.bounds[axis].lower) * n), n * least[axis]);
        spot.last[axis] = smaller_of(floor_((position[axis] + spot.bounds[axis].upper) * n), n * most[axis] - one);
        spot.corner[axis] = floor_(spot.first[axis] / n);
        spot.end[axis] = floor_(spot.last[axis] / n);
        spot.seen = spot.seen & (spot.first[axis] <= spot.last[axis]);
    }
    return spot;
}

#endif
