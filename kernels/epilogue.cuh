// The end of a kernel that renders counts: from the photons of a pixel, which stay in a register, to its count.
// specs/noise.md, specs/response.md; the twin of cubragg/detect/response_chain.py up to the Poisson deviate.
//
//   all   = ((rendered + scale background) + direct) passed               photons, in single precision
//   mean  = all per_shot per_panel product over factors of max(least, 1 + sigma G)
//   count = min(Poisson(mean), cutoff)
//   G Gaussian deviates of the pixel; maps [slow, fast] of the image: background, direct beam, part that passes a beam stop
//
// Operations are those of the steps that take an image, in their order: the counts are the same, to the bit.
#ifndef CUBRAGG_EPILOGUE_CUH
#define CUBRAGG_EPILOGUE_CUH

#include "portable.cuh"
#include "philox.cuh"
#include "poisson.cuh"
#include "normal_deviates.cuh"

// With larger means counts may not fit into 32 bits.
#define LARGEST_INT_MEAN 2146483647.0
#define MOST_FACTORS 2

// A factor of each pixel; none where sigma is 0.
struct DeviateFactor {
    RandomStream stream;
    double sigma, least;
    unsigned draw;
};

// Mirrored by cubragg/detect/epilogue.py.
struct Epilogue {
    double per_shot, per_panel;
    DeviateFactor factors[MOST_FACTORS];
    RandomStream stream;                // of the Poisson deviates
    float scale;                        // of the background
    int width;                          // pixels of a row of the image
    unsigned origin;                    // index in the image of the first pixel of the panel
    int has_background, has_direct, has_passed;
    int cutoff;
};
static_assert(sizeof(Epilogue) == 144, "Epilogue and its NumPy mirror differ in size");

// Maps of the image; one unused element where there is none.
struct Maps { const float *RESTRICT background, *RESTRICT direct, *RESTRICT passed; };

// Index in the image of a pixel of the panel.
DEVICE unsigned image_index(const Epilogue &e, int fast, int slow)
{
    return e.origin + (unsigned)slow * (unsigned)e.width + (unsigned)fast;
}

DEVICE double deviate_factor(const DeviateFactor &factor, unsigned index)
{
    const NormalPair pair = normal_pair(factor.stream, index / 2u, factor.draw);
    const double value = 1.0 + factor.sigma * (index & 1u ? pair.odd : pair.even);
    return value > factor.least ? value : factor.least;
}

// The count of a pixel with `rendered` photons of the crystal. Sets `too_large` where a mean is.
DEVICE int count_of(const Epilogue &e, const Maps &maps, unsigned index, float rendered, int *too_large)
{
    float all = rendered;
    if (e.has_background) all += maps.background[index] * e.scale;
    if (e.has_direct) all += maps.direct[index];
    if (e.has_passed) all *= maps.passed[index];
    double mean = (double)all * e.per_shot * e.per_panel;
    UNROLL
    for (int i = 0; i < MOST_FACTORS; ++i) {
        if (e.factors[i].sigma > 0.0) mean *= deviate_factor(e.factors[i], index);
    }
    if (!(mean <= LARGEST_INT_MEAN)) raise_flag(too_large);
    const double count = poisson_count(e.stream, index, mean);
    return count < (double)e.cutoff ? (int)count : e.cutoff;
}

#endif
