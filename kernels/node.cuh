// Nodes of the method analytic and their distributions; the twin of cubragg/engine/analytic/covariances.py and of
// `nodes_of` of spots.py. specs/analytic.md, section 1
//
// Compile-time option, set with -D by cubragg/engine/analytic/list_kernel.py: LIST_PARAMS_SIZE, the size of the NumPy dtype
// that mirrors the struct.
#ifndef CUBRAGG_NODE_CUH
#define CUBRAGG_NODE_CUH

#include "portable.cuh"
#include "lanes.cuh"
#include "vectors.cuh"

// What all spots of a channel of the beam have in common in one layer of a panel.
struct ListParams {
    double stars[3][3];      // rows a*, b*, c* at phi = 0 [1/A]
    double block[3][3];      // covariances: of the block [1/A^2],
    double mosaicity[3][3];  // of rotations [rad^2],
    double position[3][3];   // and of the illuminated position [m^2]
    double strain_variance, widest_mosaicity;  // its largest standard deviation [rad]
    double spindle[3];
    double wavelength, incident[3];            // [A]
    double wavelength_variance, wavelength_direction[3], direction[3][3];  // covariance of the beam
    double peak;             // amplitude times root of the determinant, times pace in a rotation image, over F^2
    double axes[3][3];       // along beam, E vector and B vector
    double centre[3];        // of the illuminated volume [m]
    double corner[3];        // from there to the outer corner of pixel 0 0 of the panel at the depth of the layer [m]
    double normal[3], fast_step[3], slow_step[3];  // steps from pixel to pixel [m]
    double fast_dual[3], slow_dual[3];             // [1/m]
    double first_pixel[2];
    // Of a curved detector: radius, beam and axes; angles of the corner, pixels per angle and its inverse.
    double radius, beam[3], fast_axis[3], slow_axis[3], corner_angles[2], pixels_of_angles[2][2], angles_of_pixels[2][2];
    double solid_angle;      // times r^3 (point pixels: r^2)
    double absorption, edges[2];  // of the sensor [1/m], and front and back of the layer [m]
    double tail;             // half-width of spots [standard deviations]
    int fast_min, fast_max, slow_min, slow_max;  // region, ends included [pixel of the panel]
    int count, first_record; // of the segments or records of a launch, and where its records begin
    int oversample, moving, curved, point_pixel, absorbing, extended;
};
static_assert(sizeof(ListParams) == LIST_PARAMS_SIZE, "ListParams is not the dtype of list_kernel.py");

// Segments of the rotation range: arrays [n].
struct Segments {
    const double *hkl;                         // [n, 3]
    const double *phi, *start, *end;           // start and end relative to phi [rad]
};

struct Node {
    Vec G, velocity, k;    // node [1/A], its change per angle, direction of the ray
    Lanes length, excitation, speed, start, end;  // |G|, distance from the sphere, k.velocity, ends of the segment
    Symmetric covariance, block, rotation;
    Vec mixed;             // Cov(x, G x + di / lambda), x the relative wavelength deviation
};

// [G]x D [G]x^T
DEVICE Symmetric crossed(const Vec &G, const Symmetric &D)
{
    const Lanes zero = 0.0;
    return congruent(D, {zero, -G.z, G.y}, {G.z, zero, -G.x}, {-G.y, G.x, zero});
}

DEVICE Lanes gathered(const double *array, const int (&place)[LANES])
{
    Lanes result;
    for (int i = 0; i < LANES; ++i) set_lane(result, i, array[place[i]]);
    return result;
}

// The nodes of segments with some numbers.
DEVICE Node nodes_of(const ListParams &p, const Segments &segments, const int (&number)[LANES])
{
    Node node;
    int place[LANES];
    for (int i = 0; i < LANES; ++i) place[i] = 3 * number[i];
    const Vec g = gathered(segments.hkl, place) * vec(p.stars[0]) + gathered(segments.hkl + 1, place) * vec(p.stars[1])
                  + gathered(segments.hkl + 2, place) * vec(p.stars[2]);
    Lanes sine, cosine;
    sine_cosine_of(gathered(segments.phi, number), sine, cosine);
    node.start = gathered(segments.start, number);
    node.end = gathered(segments.end, number);
    const Vec spindle = vec(p.spindle), incident = vec(p.incident);
    node.G = turned(spindle, sine, cosine, g);
    node.velocity = Lanes(p.moving ? 1.0 : 0.0) * cross(spindle, node.G);
    const Lanes inverse = 1.0 / p.wavelength;
    const Vec k0 = inverse * incident, beam = k0 + node.G;
    const Lanes length = sqrt_(dot(beam, beam));
    node.k = (Lanes(1.0) / length) * beam;
    // |k0 + G| - |k0| without cancellation.
    node.excitation = dot(node.G, node.G + Lanes(2.0) * k0) / (length + inverse);
    node.length = sqrt_(dot(node.G, node.G));
    node.speed = dot(node.k, node.velocity);
    const Lanes one = 1.0, zero = 0.0;
    const Vec first = turned(spindle, -sine, cosine, {one, zero, zero});  // rows of the rotation
    const Vec second = turned(spindle, -sine, cosine, {zero, one, zero});
    const Vec third = turned(spindle, -sine, cosine, {zero, zero, one});
    node.block = congruent(symmetric(p.block), first, second, third);
    node.rotation = congruent(symmetric(p.mosaicity), first, second, third);
    const Vec with = inverse * vec(p.wavelength_direction);
    node.mixed = Lanes(p.wavelength_variance) * node.G + with;
    node.covariance = node.block + crossed(node.G, node.rotation)
                      + (Lanes(p.wavelength_variance) + Lanes(p.strain_variance)) * square_of(node.G)
                      + products_of(node.G, with) + (inverse * inverse) * symmetric(p.direction);
    return node;
}

// The blur by positions in the crystal at a distance from the pixel.
DEVICE Symmetric footprint(const ListParams &p, const Vec &k, Lanes distance)
{
    const Lanes one = 1.0, zero = 0.0, scale = Lanes(p.wavelength) * distance;
    const Vec x = {one, zero, zero}, y = {zero, one, zero}, z = {zero, zero, one};
    return (one / (scale * scale)) * congruent(symmetric(p.position), x - k.x * k, y - k.y * k, z - k.z * k);
}

#endif
