// The image, and the search for the pixel that stops interpolation. specs/core-physics.md, specs/physical.md
//
//   nanobragg  I = r_e^2 fluence / steps * (W + sum F^2 latt^2) P omega capture
//              sum over layers, sub-pixels, sources, phi, domains, in this order; P, omega, capture of the first
//              sub-pixel, or multiplied into the running sum after each term (running_*)
//   physical   I = r_e^2 fluence / steps * sum w F^2 latt^2 P omega capture + W sum w P omega, each factor at its
//              own sub-pixel, layer and source
//   F [electrons] structure factor, latt lattice amplitude, P polarization factor, omega [sr] solid angle,
//   capture absorbed fraction, w weight of a source, W water
//
// Thread mapping: block (x, y) owns tile column x and tile row y + first_tile_row of the region,
// TILE_FAST x TILE_SLOW pixels; thread t is pixel (t % TILE_FAST, t / TILE_FAST) of it. Grid: (tile columns,
// tile rows of this launch). Every pixel is written by one thread, once, and its sum runs in a fixed order:
// the same inputs give the same bits, however the rows are cut into launches.
//
// With CREDITED, on the CPU, `attribute` takes the place of `render`: the same sum, its terms told apart by reflection.
// specs/truth.md
//
// Arrays: table [h, k, l] REAL, padded grid (one unused element where FACTORS is CONSTANT); vectors
// [orientation, 9] double, a, b, c with x, y, z [m]; sources [source, SOURCE_COLUMNS] double; limits [h, k, l] float,
// grid LIMIT_PAD wider than the padded one, and axes [18, orientation] float, a, b, c [m] and their duals [1/m],
// orientations filled up to whole chunks (one unused element each where CULLED is 0); mask uint8 and image float
// [slow - first_row, fast]; found uint8 [place - first place of the launch]; turns [orientation, TURN_COLUMNS] double,
// reach [h, k, l] double and rim uint8 [slow - first_row, fast] as accounts.cuh has them.
#if CREDITED
#include <vector>
#endif
#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"
#include "geometry.cuh"
#include "polarization.cuh"
#include "sample.cuh"
#include "culling.cuh"
#include "accounts.cuh"

// What a block remembers of the culling of its tile: 32-bit words, for all sources; orientations, in single precision.
#if !CULLED
#define VOTE_WORDS 1
#define KEPT CHUNK
#elif defined(__CUDACC__)
#define VOTE_WORDS 512
#define KEPT CHUNK
#else
#define VOTE_WORDS 8192
#define KEPT 1024
#endif
#define CHUNK_WORDS (CHUNK / 32)

DEVICE int region_width(const Params &p) { return p.fast_max - p.fast_min + 1; }

#if CREDITED
ENTRY(attribute)(const Params p, const REAL *RESTRICT table, const double *RESTRICT vectors,
                 const double *RESTRICT sources, const unsigned char *RESTRICT mask,
                 const float *RESTRICT limits, const float *RESTRICT axes, const double *RESTRICT turns,
                 const double *RESTRICT reach, const unsigned char *RESTRICT rim, Account *account)
#else
ENTRY(render)(const Params p, const REAL *RESTRICT table, const double *RESTRICT vectors,
              const double *RESTRICT sources, const unsigned char *RESTRICT mask,
              const float *RESTRICT limits, const float *RESTRICT axes, float *RESTRICT image)
#endif
{
    THREAD;
    const int first_fast = p.fast_min + (int)blockIdx.x * TILE_FAST;
    const int first_slow = p.slow_min + ((int)blockIdx.y + p.first_tile_row) * TILE_SLOW;

    PRIV(int, fast);
    PRIV(int, slow);
    PRIV(FLAG, active);
    FOR_T
    {
        L(fast) = first_fast + t % TILE_FAST;
        L(slow) = first_slow + t / TILE_FAST;
        L(active) = L(fast) <= p.fast_max && L(slow) <= p.slow_max;
    }
    if (p.masked) {
        FOR_ROWS
        {
            if (L_ROWS(active)) {
                L_ROWS(active) = mask[(long long)(first_slow + row - p.first_row) * p.fast_pixels + first_fast + column];
            }
        }
        if (!ANY(active)) return;
    }

    PRIV(FLAG, interpolates);
#if FACTORS == TRICUBIC
    FOR_T
    {
        const int place = (L(slow) - p.slow_min) * region_width(p) + L(fast) - p.fast_min;
        L(interpolates) = PHYSICAL || place < p.interpolated_to;
    }
    const bool any_interpolates = ANY(interpolates);
#else
    FOR_T L(interpolates) = 0;
    const bool any_interpolates = false;
#endif

    PRIV(INDEX, path);
    PRIV3(INDEX, d);  // direction of the diffracted beam; in single precision less that of the tile's centre
    PRIV3(INDEX, q);  // scattering vector [1/m]; in single precision likewise, in units of 1 / lambda
    PRIV(REAL, omega);
    PRIV(REAL, capture);
    PRIV(REAL, polar);             // in physical semantics of the source in turn
    PRIV(REAL, inner);             // sum over a chunk of orientations
    PRIV(ACC, total);              // sum over everything
    PRIV(ACC, flat);               // sum of w P omega, for the water of physical semantics
    PRIV(FLAG, keep);     // not cut by dmin
    PRIV(FLAG, lacking);  // polarization is still to be computed
    FOR_T
    {
        L(total) = PHYSICAL ? 0.0 : p.water;
        L(flat) = 0.0;
        L(polar) = p.polarized && !PHYSICAL ? REAL(0) : REAL(1);
        L(capture) = REAL(1);
        L(keep) = 1;
    }
#if CULLED
    SHARED(unsigned, votes, VOTE_WORDS);
    SHARED(int, list, CHUNK);
    SHARED(Patch, directions, 1);
    SHARED(Region, region, 1);
    ONE_THREAD directions[0] = tile_directions(p, first_fast, first_slow);
    const int source_words = (p.orientations + CHUNK - 1) / CHUNK * CHUNK_WORDS;
    // One vote serves all sub-pixels and layers, where the words have room; else each asks again.
    const bool remembers = p.sources <= VOTE_WORDS / source_words;
    for (int number = 0; remembers && number < p.sources; ++number) {
        SYNC();
        ONE_THREAD region[0] = tile_scattering(p, directions[0], sources + number * SOURCE_COLUMNS);
        SYNC();
        for (int start = 0; start < p.orientations; start += CHUNK) {
            const int count = p.orientations - start < CHUNK ? p.orientations - start : CHUNK;
            VOTE(votes + number * source_words + start / CHUNK * CHUNK_WORDS, i, count,
                 contributes(p, table, limits, axes, start + i, region[0]));
        }
    }
    SYNC();
    unsigned any = remembers ? 0 : 1;
    for (int word = 0; any == 0 && word < p.sources * source_words; ++word) any |= votes[word];
    // The image holds 0 already, which is what the factors of an empty sum would leave; a capture may be no number.
    if (any == 0 && p.water == 0.0 && !p.absorbing) return;
#else
    (void)limits, (void)axes;
#endif
#if CREDITED
    Segment &segment = account->segments[(std::size_t)blockIdx.y * account->columns + blockIdx.x / SEGMENT_TILES];
    Tally tally;
    begin(tally);
#endif
#if PRECISION == SINGLE
    SHARED(Orientation, chunk, KEPT);
#if CULLED
    // A layer's sub-pixels share orientations too, where there is room for all; a cut could skip the filling.
    int kept = p.dmin > 0.0 || !remembers ? KEPT + 1 : 0;
    for (int word = 0; kept <= KEPT && word < p.sources * source_words; ++word) kept += set_bits(votes[word]);
    const bool shared = kept <= KEPT;
#endif
#endif

    for (int layer = 0; layer < p.layers; ++layer) {
        const Centre centre = tile_centre(p, first_fast, first_slow, layer);
        for (int sub = 0; sub < p.oversample * p.oversample; ++sub) {
            const int sub_slow = sub / p.oversample, sub_fast = sub % p.oversample;
#if CULLED && PRECISION == SINGLE
            int place = 0;
#endif
            if (p.curved) {
                FOR_T
                {
                    const SubPixel s = curved_sub_pixel(p, centre, L(fast), L(slow), layer, sub_fast, sub_slow);
                    L(path) = s.path, L3(d, 0) = s.x, L3(d, 1) = s.y, L3(d, 2) = s.z;
                }
            } else {
                FOR_T
                {
                    const SubPixel s = sub_pixel(p, centre, first_fast, first_slow, L(fast), L(slow), layer, sub_fast,
                                                 sub_slow);
                    L(path) = s.path, L3(d, 0) = s.x, L3(d, 1) = s.y, L3(d, 2) = s.z;
                }
            }
            const INDEX centre_x = (INDEX)centre.direction.x, centre_y = (INDEX)centre.direction.y,
                        centre_z = (INDEX)centre.direction.z;
            if (PHYSICAL || p.running_omega || (layer == 0 && sub == 0)) {
                FOR_T L(omega) = solid_angle(p, L(path));
            }
            if (p.absorbing || p.running_thick) {
                const bool anew = PHYSICAL || p.running_thick;
                FOR_T
                {
                    const INDEX parallax = (centre_x + L3(d, 0)) * (INDEX)p.normal[0]
                                           + (centre_y + L3(d, 1)) * (INDEX)p.normal[1]
                                           + (centre_z + L3(d, 2)) * (INDEX)p.normal[2];
                    const REAL known = p.absorbing && sub == 0 ? REAL(0) : L(capture);
                    // A fraction of 0 counts as not yet known.
                    L(capture) = anew || known == REAL(0) ? capture_fraction(p, layer, parallax) : known;
                }
            }
            for (int number = 0; number < p.sources; ++number) {
                const double *source = sources + number * SOURCE_COLUMNS;
                if (PHYSICAL) {
                    if (p.polarized) {
#if PRECISION != SINGLE
                        FOR_T
                        {
                            const INDEX length = sqrt_(L3(d, 0) * L3(d, 0) + L3(d, 1) * L3(d, 1)
                                                       + L3(d, 2) * L3(d, 2));
                            L3(d, 0) /= length, L3(d, 1) /= length, L3(d, 2) /= length;
                        }
#endif
                        if (p.kahn == 0.0) {
                            FOR_T L(polar) = unpolarized(source, centre_x + L3(d, 0), centre_y + L3(d, 1),
                                                         centre_z + L3(d, 2));
                        } else {
                            FOR_T L(polar) = polarization(p, source, centre_x + L3(d, 0), centre_y + L3(d, 1),
                                                          centre_z + L3(d, 2));
                        }
                    }
                    if (layer == 0) {
                        FOR_T L(flat) += source[WEIGHT] * (double)(L(omega) * L(polar));
                    }
                }

                const double wavelength = source[WAVELENGTH];
                const Vector outside = {centre.direction.x - source[INCIDENT], centre.direction.y - source[INCIDENT + 1],
                                        centre.direction.z - source[INCIDENT + 2]};
#if PRECISION == SINGLE
                const Vector centre_q = {outside.x / wavelength, outside.y / wavelength, outside.z / wavelength};
                const double q_unit = 1.0 / wavelength;
                FOR_T L3(q, 0) = L3(d, 0), L3(q, 1) = L3(d, 1), L3(q, 2) = L3(d, 2);
#else
                const Vector centre_q = {0.0, 0.0, 0.0};
                const double q_unit = 1.0;
                FOR_T
                {
                    L3(q, 0) = (L3(d, 0) + outside.x) / wavelength;
                    L3(q, 1) = (L3(d, 1) + outside.y) / wavelength;
                    L3(q, 2) = (L3(d, 2) + outside.z) / wavelength;
                }
#endif
                if (p.dmin > 0.0) {
                    FOR_T
                    {
                        L(keep) = !resolution_cut(p.dmin, centre_q.x + q_unit * (double)L3(q, 0),
                                                  centre_q.y + q_unit * (double)L3(q, 1),
                                                  centre_q.z + q_unit * (double)L3(q, 2));
                    }
                    if (!ANY(keep)) continue;
                }
                if (!PHYSICAL) {
                    FOR_T L(lacking) = L(keep) && (p.running_polar || L(polar) == REAL(0));
                    if (ANY(lacking)) {
                        if (p.kahn == 0.0) {
                            FOR_T
                            {
                                const REAL factor = unpolarized(source, centre_x + L3(d, 0), centre_y + L3(d, 1),
                                                                centre_z + L3(d, 2));
                                L(polar) = L(lacking) ? factor : L(polar);
                            }
                        } else {
                            FOR_T
                            {
                                const REAL factor = polarization(p, source, centre_x + L3(d, 0),
                                                                 centre_y + L3(d, 1), centre_z + L3(d, 2));
                                L(polar) = L(lacking) ? factor : L(polar);
                            }
                        }
                        // The C program makes the direction a unit vector once more here and goes on with it.
#if PRECISION != SINGLE
                        if (p.sources > 1) {
                            FOR_T
                            {
                                const INDEX length = L(lacking) ? sqrt_(L3(d, 0) * L3(d, 0) + L3(d, 1) * L3(d, 1)
                                                                        + L3(d, 2) * L3(d, 2)) : 1.0;
                                L3(d, 0) /= length, L3(d, 1) /= length, L3(d, 2) /= length;
                            }
                        }
#endif
                    }
                }

#if CREDITED
                const double in_fast = (sub_fast + 0.5) / p.oversample, in_slow = (sub_slow + 0.5) / p.oversample;
                PRIV(double, factor);
                FOR_T L(factor) = PHYSICAL ? source[WEIGHT] * L(omega) * L(polar) * L(capture) : 1.0;
#endif
                for (int start = 0; start < p.orientations; start += CHUNK) {
                    int count = p.orientations - start < CHUNK ? p.orientations - start : CHUNK;
#if CULLED
                    unsigned *words = votes;
                    SYNC();
                    if (remembers) {
                        words += number * source_words + start / CHUNK * CHUNK_WORDS;
                    } else {
                        ONE_THREAD region[0] = tile_scattering(p, directions[0], source);
                        SYNC();
                        VOTE(words, i, count, contributes(p, table, limits, axes, start + i, region[0]));
                        SYNC();
                    }
                    count = listed(words, list);
                    SYNC();
#define MEMBER(i) (start + list[i])
#else
#define MEMBER(i) (start + (i))
#endif
#if PRECISION == SINGLE
#if CULLED
                    Orientation *const members = chunk + (shared ? place : 0);
                    place += count;
                    const bool fresh = !shared || sub == 0;
#else
                    Orientation *const members = chunk;
                    const bool fresh = true;
#endif
                    SYNC();
                    if (fresh) {
                        FOR_COUNT(i, count)
                        {
                            members[i] = orientation_at(p, vectors + (long long)MEMBER(i) * 9, centre_q, q_unit);
                        }
                    }
                    SYNC();
#endif
                    FOR_T L(inner) = REAL(0);
                    for (int i = 0; i < count; ++i) {
#if PRECISION == SINGLE
                        const Orientation o = members[i];
#else
                        const Orientation o = orientation_at(p, vectors + (long long)MEMBER(i) * 9);
#endif
#if CREDITED
                        const double *turn = turns + (long long)MEMBER(i) * TURN_COLUMNS;
                        FOR_T
                        {
                            const Sample s = sample(p, table, o, L3(q, 0), L3(q, 1), L3(q, 2), any_interpolates,
                                                    L(interpolates));
                            const double term = s.squares * s.amplitude.value * s.amplitude.value;
                            add(tally, t, L(keep) && L(active) ? term : 0.0, code_of(reach, turn, s.h, s.k, s.l),
                                turn[TURN_PHI]);
                        }
                        turn_over(tally, turn[TURN_PHI], factor, in_fast, in_slow, segment.pixels);
#else
                        if (RUNNING) {
                            FOR_T
                            {
                                const Sample s = sample(p, table, o, L3(q, 0), L3(q, 1), L3(q, 2), any_interpolates,
                                                        L(interpolates));
                                const ACC term = (ACC)(s.squares * s.amplitude.value * s.amplitude.value)
                                                 * p.term_scale;
                                const bool alive = L(keep) && (s.amplitude.alive || p.water != 0.0);
                                ACC sum = L(total) + (L(keep) ? term : 0.0);
                                if (p.running_thick) sum *= alive ? (ACC)L(capture) : 1.0;
                                if (p.running_polar) sum *= alive ? (ACC)L(polar) : 1.0;
                                if (p.running_omega) sum *= alive ? (ACC)L(omega) : 1.0;
                                L(total) = sum;
                            }
                        } else {
                            FOR_T
                            {
                                const Sample s = sample(p, table, o, L3(q, 0), L3(q, 1), L3(q, 2), any_interpolates,
                                                        L(interpolates));
                                L(inner) = fma_(s.squares * s.amplitude.value, s.amplitude.value, L(inner));
                            }
                        }
#endif
                    }
#if !CREDITED
                    if (RUNNING) continue;
                    if (PHYSICAL) {
                        const double weight = p.term_scale * source[WEIGHT];
                        FOR_T L(total) += L(keep) ? weight * (ACC)L(inner) * (ACC)(L(omega) * L(polar))
                                                    * (ACC)L(capture) : 0.0;
                    } else {
                        FOR_T L(total) += L(keep) ? p.term_scale * (ACC)L(inner) : 0.0;
                    }
#endif
                }
#if CREDITED
                FOR_T fold(tally, t, L(factor), in_fast, in_slow);
#endif
            }
        }
    }

#if CREDITED
    PRIV(double, scale);
    FOR_T L(scale) = p.scale * (PHYSICAL ? 1.0 : L(capture) * L(polar) * L(omega));
    for (int t = 0; t < BLOCK; ++t) enter(tally, t, segment.pixels);
    settle(p, segment, scale, rim, first_fast, first_slow);
}
HOST_SEGMENTS(attribute)
#else
    PRIV(float, photons);
    FOR_T
    {
        if (PHYSICAL) {
            L(photons) = (float)(L(total) * p.scale + p.water * L(flat));
        } else {
            L(photons) = (float)(L(total) * p.scale * (p.running_thick ? 1.0 : (ACC)L(capture))
                                 * (p.running_polar ? 1.0 : (ACC)L(polar)) * (p.running_omega ? 1.0 : (ACC)L(omega)));
        }
    }
    FOR_ROWS
    {
        if (L_ROWS(active)) {
            image[(long long)(first_slow + row - p.first_row) * p.fast_pixels + first_fast + column] = L_ROWS(photons);
        }
    }
}
HOST_KERNEL(render)
#endif

#if FACTORS == TRICUBIC && PRECISION == DOUBLE

// found[place - first place of the launch] = 1 where a sample's neighbourhood leaves the grid, of the samples that
// are neither cut nor skipped. The first such place stops interpolation in nanobragg semantics.
ENTRY(find_outside)(const Params p, const double *RESTRICT vectors, const double *RESTRICT sources,
                    const unsigned char *RESTRICT mask, unsigned char *RESTRICT found)
{
    THREAD;
    const int first_fast = p.fast_min + (int)blockIdx.x * TILE_FAST;
    const int first_slow = p.slow_min + ((int)blockIdx.y + p.first_tile_row) * TILE_SLOW;
    const Centre centre = tile_centre(p, first_fast, first_slow, 0);
    FOR_T
    {
        const int fast = first_fast + t % TILE_FAST, slow = first_slow + t / TILE_FAST;
        const int place = (slow - p.slow_min) * region_width(p) + fast - p.fast_min;
        const bool inside = fast <= p.fast_max && slow <= p.slow_max;
        bool active = inside && place != p.skipped_place;
        if (active && p.masked) active = mask[(long long)(slow - p.first_row) * p.fast_pixels + fast] != 0;
        bool leaves = false;
        const int sub_pixels = p.oversample * p.oversample;
        for (int number = 0; active && !leaves && number < p.layers * sub_pixels; ++number) {
            const int layer = number / sub_pixels, sub = number % sub_pixels;
            const int sub_slow = sub / p.oversample, sub_fast = sub % p.oversample;
            const SubPixel s = p.curved ? curved_sub_pixel(p, centre, fast, slow, layer, sub_fast, sub_slow)
                                        : sub_pixel(p, centre, first_fast, first_slow, fast, slow, layer, sub_fast,
                                                    sub_slow);
            for (int source = 0; source < p.sources; ++source) {
                const double *row = sources + source * SOURCE_COLUMNS;
                const double qx = (s.x - row[INCIDENT]) / row[WAVELENGTH];
                const double qy = (s.y - row[INCIDENT + 1]) / row[WAVELENGTH];
                const double qz = (s.z - row[INCIDENT + 2]) / row[WAVELENGTH];
                if (p.dmin > 0.0 && resolution_cut(p.dmin, qx, qy, qz)) continue;
                for (int i = 0; i < p.orientations; ++i) {
                    const Orientation o = orientation_at(p, vectors + (long long)i * 9);
                    const double h = miller_index(o.ax, o.ay, o.az, 0.0, qx, qy, qz);
                    const double k = miller_index(o.bx, o.by, o.bz, 0.0, qx, qy, qz);
                    const double l = miller_index(o.cx, o.cy, o.cz, 0.0, qx, qy, qz);
                    const bool outside = leaves_axis(h, o.low_h, p.grid_size[0])
                                         || leaves_axis(k, o.low_k, p.grid_size[1])
                                         || leaves_axis(l, o.low_l, p.grid_size[2]);
                    if (!outside) continue;
                    const Amplitude amplitude = lattice_amplitude(p, (REAL)(h - ceil_(h - 0.5)),
                                                                  (REAL)(k - ceil_(k - 0.5)),
                                                                  (REAL)(l - ceil_(l - 0.5)));
                    leaves = leaves || amplitude.alive || p.water != 0.0;
                }
            }
        }
        if (inside) found[place - p.first_tile_row * TILE_SLOW * region_width(p)] = leaves;
    }
}
HOST_KERNEL(find_outside)

#endif
