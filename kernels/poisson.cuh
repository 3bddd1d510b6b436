// Poisson deviates, exact to the resolution of double precision at every mean up to 1e18. specs/noise.md
//
//   mean < SEARCH_BELOW: inversion. The count is the number of k = 0, 1, ... with v < S(k), where v is a uniform deviate
//     of 64 bits and S(k) the probability of a count above k: S(0) = 1 - exp(-mean), S(k) = S(k - 1) - p(k). Nearly
//     always the first 32 bits of v decide; where S(k) lies in the interval that they leave, a second word is drawn.
//   other means: transformed rejection, algorithm PTRS of W. Hoermann, Insurance: Mathematics and Economics 12 (1993)
//     39-45, a block of random words an attempt. With the published constants the density exceeds the comparison function
//     by up to 0.5 % for means below 1000, and the squeeze the density: here the former is 1 % larger, the latter 2 %
//     smaller, so that the deviates are exact (tests/unit/test_poisson.py). The logarithm of the probability is
//       ln p(k) = -k ln(k / mean) + (k - mean) - ln(2 pi k) / 2 - (1 / 12 k - 1 / 360 k^3 + ...)
//     with the first two terms from a series in (k - mean) / (k + mean), without cancellation (C. Loader, "Fast and
//     accurate computation of binomial probabilities", 2000).
//
// All decisions are in double precision, in operations that IEEE 754 rounds correctly and in a fixed order, so that the
// counts have the same bits in every compiler and in NumPy (cubragg/detect/poisson.py). Without branches per pixel, the
// functions below can be evaluated on vectors; `poisson_count` draws the count of one pixel.
#ifndef CUBRAGG_POISSON_CUH
#define CUBRAGG_POISSON_CUH

#include "portable.cuh"
#include "philox.cuh"

#define SEARCH_BELOW 24.0
#define LARGEST_MEAN 1e18
#define ENVELOPE 1.01
#define SQUEEZE 0.98
// S(k) is below 2^-46 S(0) from this k on.
#define LAST_STEP 79

// 1 / k; on the CPU a search goes up to two steps further.
CONSTANT_TABLE double INVERSE[LAST_STEP + 3] = {
    0.0, 1.0 / 1, 1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5, 1.0 / 6, 1.0 / 7, 1.0 / 8, 1.0 / 9, 1.0 / 10, 1.0 / 11, 1.0 / 12,
    1.0 / 13, 1.0 / 14, 1.0 / 15, 1.0 / 16, 1.0 / 17, 1.0 / 18, 1.0 / 19, 1.0 / 20, 1.0 / 21, 1.0 / 22, 1.0 / 23,
    1.0 / 24, 1.0 / 25, 1.0 / 26, 1.0 / 27, 1.0 / 28, 1.0 / 29, 1.0 / 30, 1.0 / 31, 1.0 / 32, 1.0 / 33, 1.0 / 34,
    1.0 / 35, 1.0 / 36, 1.0 / 37, 1.0 / 38, 1.0 / 39, 1.0 / 40, 1.0 / 41, 1.0 / 42, 1.0 / 43, 1.0 / 44, 1.0 / 45,
    1.0 / 46, 1.0 / 47, 1.0 / 48, 1.0 / 49, 1.0 / 50, 1.0 / 51, 1.0 / 52, 1.0 / 53, 1.0 / 54, 1.0 / 55, 1.0 / 56,
    1.0 / 57, 1.0 / 58, 1.0 / 59, 1.0 / 60, 1.0 / 61, 1.0 / 62, 1.0 / 63, 1.0 / 64, 1.0 / 65, 1.0 / 66, 1.0 / 67,
    1.0 / 68, 1.0 / 69, 1.0 / 70, 1.0 / 71, 1.0 / 72, 1.0 / 73, 1.0 / 74, 1.0 / 75, 1.0 / 76, 1.0 / 77, 1.0 / 78,
    1.0 / 79, 1.0 / 80, 1.0 / 81};

// The mean that is used: 0 for negative ones, LARGEST_MEAN for larger ones and NaN.
DEVICE double usable_mean(double mean)
{
    const double limited = mean < LARGEST_MEAN ? mean : LARGEST_MEAN;
    return limited > 0.0 ? limited : 0.0;
}

// Search

// p(k) and S(k).
template <typename T> struct Tail { T term, above; };

// 1.5 2^52: added to a number below 2^51, it rounds it to a whole number in the last bits.
#define WHOLE 6755399441055744.0

// k = 0, for means below 700: exp(-mean) and 1 - exp(-mean), both with a relative error of 1e-15. T is double or a vector
// of them.
template <typename T> DEVICE Tail<T> first_tail(T mean)
{
    const T shifted = mean * -1.4426950408889634 + WHOLE, n = shifted - WHOLE;
    const T r = (-mean - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    T e = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
    e = r * e + 1.0 / 39916800.0;
    e = r * e + 1.0 / 3628800.0;
    e = r * e + 1.0 / 362880.0;
    e = r * e + 1.0 / 40320.0;
    e = r * e + 1.0 / 5040.0;
    e = r * e + 1.0 / 720.0;
    e = r * e + 1.0 / 120.0;
    e = r * e + 1.0 / 24.0;
    e = r * e + 1.0 / 6.0;
    e = r * e + 0.5;
    e = (r * r) * e + r;
    const T power = double_of_bits((bits_of_double(shifted) + 1023) << 52);  // 2^n
    const T scaled = power * e;
    return {power + scaled, (1.0 - power) - scaled};
}

// From k - 1 to k.
template <typename T> DEVICE void next_tail(Tail<T> &tail, T mean, int k)
{
    tail.term *= mean * INVERSE[k];
    tail.above -= tail.term;
}

// v, or the smallest v for which rounding errors of S(k), at most 2^-47 S(0), do not matter.
template <typename T> DEVICE T searched_deviate(T v, T first_above)
{
    const T least = first_above * TWO_TO_MINUS_46;
    return v < least ? least : v;
}

// The number of S(k) above v. It is the count if the smallest of them, `nearest`, is above all v that the word leaves.
DEVICE int search(double mean, double v, double &nearest)
{
    Tail<double> tail = first_tail(mean);
    v = searched_deviate(v, tail.above);
    nearest = 1.0;
    int count = 0;
    while (v < tail.above) {
        nearest = tail.above;
        next_tail(tail, mean, ++count);
    }
    return count;
}

// Rejection

// ln x of a normal number: x = 2^n m with m between 1/sqrt(2) and sqrt(2), ln m = 2 atanh((m - 1) / (m + 1)).
DEVICE double logarithm(double x)
{
    // A shift of signed numbers of 64 bits is no instruction of AVX2.
    const unsigned long long bits = (unsigned long long)bits_of_double(x);
    // The exponent as the last bits of 2^52.
    const double exponent = double_of_bits((long long)(0x4330000000000000ull | bits >> 52)) - 4503599627371519.0;
    const double fraction = double_of_bits((long long)((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull));
    const bool high = fraction > 1.4142135623730951;
    const double m = high ? fraction * 0.5 : fraction, n = high ? exponent + 1.0 : exponent;
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double t = z * (1.0 / 23.0) + 1.0 / 21.0;
    t = z * t + 1.0 / 19.0;
    t = z * t + 1.0 / 17.0;
    t = z * t + 1.0 / 15.0;
    t = z * t + 1.0 / 13.0;
    t = z * t + 1.0 / 11.0;
    t = z * t + 1.0 / 9.0;
    t = z * t + 1.0 / 7.0;
    t = z * t + 1.0 / 5.0;
    t = z * t + 1.0 / 3.0;
    const double small = n * 1.90821492927058770002e-10 + 2.0 * (s * z * t);
    return n * 6.93147180369123816490e-01 + (2.0 * s + small);
}

// ln k! - (k ln k - k + ln(2 pi k) / 2), 0 for k = 0. A table of the first ones would be a gather on vectors.
DEVICE double stirling(double k)
{
    const double r = 1.0 / (k < 8.0 ? 8.0 : k), z = r * r;
    double s = z * (-3617.0 / 122400.0) + 1.0 / 156.0;
    s = z * s - 691.0 / 360360.0;
    s = z * s + 1.0 / 1188.0;
    s = z * s - 1.0 / 1680.0;
    s = z * s + 1.0 / 1260.0;
    s = z * s - 1.0 / 360.0;
    s = z * s + 1.0 / 12.0;
    s *= r;
    s = k == 7.0 ? 0.01189670994589177 : s;
    s = k == 6.0 ? 0.013876128823070748 : s;
    s = k == 5.0 ? 0.016644691189821193 : s;
    s = k == 4.0 ? 0.020790672103765093 : s;
    s = k == 3.0 ? 0.02767792568499834 : s;
    s = k == 2.0 ? 0.0413406959554093 : s;
    s = k == 1.0 ? 0.08106146679532726 : s;
    return k == 0.0 ? 0.0 : s;
}

// k ln(k / mean) - (k - mean).
DEVICE double deviance(double k, double mean)
{
    const double difference = k - mean, v = difference / (k + mean), z = v * v;
    double t = z * (1.0 / 19.0) + 1.0 / 17.0;
    t = z * t + 1.0 / 15.0;
    t = z * t + 1.0 / 13.0;
    t = z * t + 1.0 / 11.0;
    t = z * t + 1.0 / 9.0;
    t = z * t + 1.0 / 7.0;
    t = z * t + 1.0 / 5.0;
    t = z * t + 1.0 / 3.0;
    const double series = difference * v + (2.0 * k) * (v * z) * t;
    const double far = k * logarithm((k > 0.0 ? k : mean) / mean) - difference;
    return z < 0.01 ? series : far;
}

// A proposed count with the two deviates that it comes from, and what they say without logarithms.
struct Proposal {
    double count;
    double edge, v;  // distance of the first deviate from its nearest end, 0 to 1/2; second deviate
    bool accepted, rejected;
};

// The comparison function of a mean: its inverse is (2 a / edge + b) u + mean + 0.43.
struct Comparison { double a, b; };

DEVICE Comparison comparison(double mean)
{
    const double b = 0.931 + 2.53 * sqrt_(mean);
    return {-0.059 + 0.02483 * b, b};
}

// 62 bits of two words as a number in (0, 1].
DEVICE double deviate(unsigned high, unsigned low)
{
    return ((double)(int)(high >> 1) + ((double)(int)(low >> 1) + 0.5) * TWO_TO_MINUS_31) * TWO_TO_MINUS_31;
}

DEVICE Proposal propose(double mean, unsigned first, unsigned second, unsigned third, unsigned fourth)
{
    const Comparison c = comparison(mean);
    const double edge = 0.5 * deviate(first, second), v = deviate(third, fourth);
    const double distance = 0.5 - edge, u = first & 1u ? -distance : distance;
    const double whole = floor_(mean), offset = (mean - whole) + 0.43;
    const double count = whole + floor_((2.0 * c.a / edge + c.b) * u + offset);
    const bool accepted = edge >= 0.07 && v <= SQUEEZE * (0.9277 - 3.6224 / (c.b - 2.0));
    const bool rejected = count < 0.0 || (edge < 0.013 && v > edge);
    return {count, edge, v, accepted, rejected};
}

// Whether a proposal that is neither accepted nor rejected is accepted.
DEVICE bool accepts(double mean, double count, double edge, double v)
{
    const Comparison c = comparison(mean);
    const double ratio = v * (ENVELOPE * (1.1239 + 1.1328 / (c.b - 3.4))) / (c.a / (edge * edge) + c.b);
    const double weight = count > 0.0 ? 6.283185307179586 * count : 1.0;
    return 0.5 * logarithm(ratio * ratio * weight) <= -deviance(count, mean) - stirling(count);
}

// One pixel

DEVICE double rejection_count(const RandomStream &stream, unsigned index, double mean)
{
    for (unsigned attempt = 0;; ++attempt) {
        const RandomBlock block = own_block(stream, index, attempt);
        const Proposal p = propose(mean, block.words[0], block.words[1], block.words[2], block.words[3]);
        if (p.accepted || (!p.rejected && accepts(mean, p.count, p.edge, p.v))) return p.count;
    }
}

// The count of a pixel with a mean below SEARCH_BELOW and with the word of draw 0.
DEVICE int search_count(const RandomStream &stream, unsigned index, double mean, unsigned word)
{
    double nearest;
    const double v = (double)word * TWO_TO_MINUS_32;
    const int count = search(mean, v, nearest);
    return v + TWO_TO_MINUS_32 < nearest ? count
                                         : search(mean, uniform_of(word, random_word(stream, index, 1)), nearest);
}

// The count of the pixel with an index; an epilogue calls it for each pixel.
DEVICE double poisson_count(const RandomStream &stream, unsigned index, double expected)
{
    const double mean = usable_mean(expected);
    return mean < SEARCH_BELOW ? (double)search_count(stream, index, mean, random_word(stream, index, 0))
                               : rejection_count(stream, index, mean);
}

#endif
