// Entry points that compute the constants of spots of the method analytic, a thread a spot; on the CPU a vector of spots in
// step. The twin of cubragg/engine/analytic/spots.py. specs/analytic.md, sections 1 to 3
//
// `bound_spots` computes the boxes of all segments of rotation on a layer of a panel, [n]; the host lists those that are
// seen. `fill_spots` computes the records of the `chosen` ones, [count], and stores them and the paces of the nodes from
// `first_record` on; numbers in double precision, which are rounded to REAL when they are stored.
//
// Thread mapping: block x has the segments or records from BLOCK x on.
#include "portable.cuh"
#include "params.cuh"
#include "lanes.cuh"
#include "vectors.cuh"
#include "node.cuh"
#include "ray.cuh"
#include "spot.cuh"
#include "spot_profile.cuh"
#include "spot_extent.cuh"
#include "second_order.cuh"
#include "spot_outline.cuh"

// Box of a segment [pixel of the panel], whether any of it is in the region, and whether the node moves into the sphere.
struct SpotBounds { int fast_min, fast_max, slow_min, slow_max, seen, entering; };

// Numbers of LANES items from `first` on; the last one again beyond the end.
DEVICE void number_lanes(int (&number)[LANES], int first, int count)
{
    for (int i = 0; i < LANES; ++i) number[i] = first + i < count ? first + i : count - 1;
}

ENTRY(bound_spots)(const ListParams p, const double *RESTRICT hkl, const double *RESTRICT phi,
                   const double *RESTRICT start, const double *RESTRICT end, SpotBounds *RESTRICT bounds)
{
    const int begin = (int)blockIdx.x * BLOCK, stop = begin + BLOCK < p.count ? begin + BLOCK : p.count;
    FOR_LANES(first, begin, stop)
    {
        int number[LANES];
        number_lanes(number, first, p.count);
        const Node node = nodes_of(p, {hkl, phi, start, end}, number);
        const Ray ray = ray_of(p, node.k);
        const LaneMask near = near_region(p, node, ray);
        for (int i = 0; i < LANES && first + i < stop; ++i) bounds[first + i].seen = 0;
        if (!any_of(near)) continue;
        const Extent spot = extent_of(p, node, ray, near);
        for (int i = 0; i < LANES && first + i < stop; ++i) {
            if (!lane(spot.seen, i)) continue;
            bounds[first + i] = {(int)lane(spot.corner[0], i), (int)lane(spot.end[0], i), (int)lane(spot.corner[1], i),
                                 (int)lane(spot.end[1], i), 1, lane(node.speed, i) < 0.0};
        }
    }
}

// Set the geometry of the samples, the functionals of delta, and what the factors of a pixel are computed from.
DEVICE void set_geometry(SpotNumbers<Lanes> &numbers, const ListParams &p, const Node &node, const Ray &ray,
                         const Frame &frame)
{
    const Lanes per_distance = Lanes(1.0) / ray.distance, inverse = 1.0 / p.wavelength;
    const Vec fast = per_distance * ray.fast_step, slow = per_distance * ray.slow_step;
    numbers.towards[0] = dot(node.k, fast);
    numbers.towards[1] = dot(node.k, slow);
    numbers.square[0] = dot(fast, fast);
    numbers.square[1] = dot(fast, slow);
    numbers.square[2] = dot(slow, slow);
    UNROLL
    for (int i = 0; i < 3; ++i) {
        const Vec u = frame.standard[i], axis = vec(p.axes[i]);
        const Lanes towards = dot(u, node.k);
        numbers.rows[i][0] = dot(u, fast) * inverse;
        numbers.rows[i][1] = dot(u, slow) * inverse;
        numbers.rows[i][2] = towards * inverse;
        numbers.rows[i][3] = towards * node.excitation;
        numbers.direction[i][0] = dot(axis, node.k);
        numbers.direction[i][1] = dot(axis, fast);
        numbers.direction[i][2] = dot(axis, slow);
    }
    const Lanes moving = p.moving ? 1.0 : 0.0;
    numbers.ends[0] = moving * frame.pace * node.start;
    numbers.ends[1] = moving * frame.pace * node.end;
    numbers.solid_angle = p.solid_angle * per_distance * per_distance * (p.point_pixel ? Lanes(1.0) : per_distance);
    const Lanes depth = p.absorption / larger_of(dot(node.k, vec(p.normal)), GRAZING);
    numbers.depths[0] = p.absorbing ? depth * p.edges[0] : p.edges[0];
    numbers.depths[1] = p.absorbing ? depth * p.edges[1] : p.edges[1];
}

ENTRY(fill_spots)(const ListParams p, const double *RESTRICT hkl, const double *RESTRICT phi,
                  const double *RESTRICT start, const double *RESTRICT end, const double *RESTRICT F,
                  const int *RESTRICT chosen, Spot *RESTRICT spots, double *RESTRICT pace)
{
    const int begin = (int)blockIdx.x * BLOCK, stop = begin + BLOCK < p.count ? begin + BLOCK : p.count;
    FOR_LANES(first, begin, stop)
    {
        int number[LANES];
        number_lanes(number, first, p.count);
        for (int i = 0; i < LANES; ++i) number[i] = chosen[number[i]];
        const Node node = nodes_of(p, {hkl, phi, start, end}, number);
        const Ray ray = ray_of(p, node.k);
        const Extent extent = extent_of(p, node, ray, near_region(p, node, ray));
        const Frame frame = frame_of(extent.covariance, node.velocity, node.length);
        SpotNumbers<Lanes> numbers;
        numbers.offset[0] = ray.fast - extent.corner[0];
        numbers.offset[1] = ray.slow - extent.corner[1];
        set_geometry(numbers, p, node, ray, frame);
        set_second_order(numbers, p, node, frame, extent.covariance - node.covariance);
        const Outline outline = outline_of(numbers, p, extent);
        const Lanes factor = gathered(F, number), height = p.peak * factor * factor / frame.determinant;
        const Lanes amplitude = p.moving ? height / frame.pace : height;
        for (int i = 0; i < LANES && first + i < stop; ++i) {
            const int record = p.first_record + first + i;
            Spot &spot = spots[record];
            spot.amplitude = lane(amplitude, i);
            spot.fast_min = (int)lane(extent.corner[0], i);
            spot.fast_max = (int)lane(extent.end[0], i);
            spot.slow_min = (int)lane(extent.corner[1], i);
            spot.slow_max = (int)lane(extent.end[1], i);
            spot.subpixels = (int)lane(extent.count, i);
            spot.fast_first = (int)lane(extent.first[0], i) - spot.fast_min * spot.subpixels;
            spot.fast_last = (int)lane(extent.last[0], i) - spot.fast_min * spot.subpixels;
            spot.slow_first = (int)lane(extent.first[1], i) - spot.slow_min * spot.subpixels;
            spot.slow_last = (int)lane(extent.last[1], i) - spot.slow_min * spot.subpixels;
            spot.bent = (int)lane(outline.bent, i);
            spot.path = (int)lane(outline.path, i);
            spot.widest = (int)lane(outline.widest, i);
            pace[record] = lane(frame.pace, i);
            // The numbers of a record are an array; on the CPU those of the lanes alternate.
            const double *number_of = (const double *)&numbers;
            REAL *stored = (REAL *)(SpotNumbers<REAL> *)&spot;
            for (int place = 0; place < (int)(sizeof(SpotNumbers<REAL>) / sizeof(REAL)); ++place) {
                stored[place] = (REAL)number_of[place * LANES + i];
            }
        }
    }
}
