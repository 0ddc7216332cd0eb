// Kernels that generate rows of Γ from their counters: Philox in vectors, the targets of a
// sparse-sign Γ and the entries of a Gaussian Γ. Integers are computed in vectors of the level's
// own width.
#pragma once

#include "skmm/base/philox.hpp"
#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

constexpr int kWordLanes = Register<u64>::kSize;  // number of counters in a vector

// Returns the product of the low 32 bits of every lane of a with the low 32 bits of b.
SKMM_INLINE Words64 mul_low(Words64 a, u64 b) {
#if defined(__AVX512F__)
    return (Words64)_mm512_maskz_mul_epu32(0xff, (__m512i)a,
                                           _mm512_set1_epi64(static_cast<long long>(b)));
#elif defined(__AVX2__)
    return (Words64)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(static_cast<long long>(b)));
#elif defined(__SSE2__)
    return (Words64)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(static_cast<long long>(b)));
#else
    return (a & 0xffffffff) * b;
#endif
}

// Returns the last counter word of an embedding. It is different for each kind and each width
// m < 2^24. So a sketch of a sketch is still random if both use one seed.
SKMM_INLINE u64 embedding(Stream kind, i64 m) { return static_cast<u64>(m) << 8 | kind; }

constexpr u64 kIota[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Computes the four random words of the counters (i, j, last). They are in the low halves of the
// lanes of w; the high halves are arbitrary.
SKMM_INLINE void philox_lanes(u64 key, Words64 i, Words64 j, u64 last, Words64 (&w)[4]) {
    w[0] = i;
    w[1] = i >> 32;
    w[2] = j;
    w[3] = Words64{} + last;
    philox(w, key, mul_low);
}

// Calls f(c, rows) for c = 0, 2 kWordLanes, ..., with the row numbers j[c], j[c + 1], ... Past the
// end the last row number is repeated.
template <class F>
SKMM_INLINE void for_rows(const u64* j, int count, F&& f) {
    constexpr int L = kWordLanes;
    int c = 0;
    for (; c + 2 * L <= count; c += 2 * L) f(c, load_two(j + c));
    if (c < count) {
        u64 rows[2 * L];
        for (int l = 0; l < 2 * L; ++l) rows[l] = j[c + l < count ? c + l : count - 1];
        f(c, load_two(rows));
    }
}

// Generates the targets of a sparse-sign Γ. Each random word serves PerWord blocks of columns. Read
// the word as a fraction u in [0, 1). For a block of the given width, the integer part of
// 2 width u is 2 column + sign; its fractional part is reused as u for the next block.
template <int PerWord>
SKMM_INLINE void sparse_sign_digits(u64 key, const u64* j, int count, i64 m, int zeta, u32 stride,
                                    Targets out) {
    constexpr int kGroup = 4 * PerWord;
    for (int b = 0; b < zeta; b += kGroup) {
        u32 first[kGroup + 1];
        for (int t = 0; t <= kGroup; ++t) first[t] = static_cast<u32>((b + t) * m / zeta);
        for_rows(j, count, [&](int c, TwoWords64 rows) {
            const Words64 group = Words64{} + static_cast<u64>(b / kGroup);
            Words64 w[4], v[4];
            philox_lanes(key, rows.a, group, embedding(kSparseSign, m), w);
            philox_lanes(key, rows.b, group, embedding(kSparseSign, m), v);
            for (int t = 0; t < kGroup; ++t) {
                if (b + t == zeta) return;
                const u32 width = first[t + 1] - first[t];
                Words64 &x = w[t / PerWord], &y = v[t / PerWord];
                x = mul_low(x, 2 * width);
                y = mul_low(y, 2 * width);
                const Words32 entry = odd(x, y);
                const i64 at = i64{b + t} * kTargetBlock + c;
                store(out.target + at, ((entry >> 1) + first[t]) * stride);
                store(out.sign + at, entry << 31);
            }
        });
    }
}

static void sparse_sign(u64 key, const u64* j, int count, i64 m, int zeta, u32 stride,
                        Targets out) {
    if (m <= i64{kPairWidth} * zeta)
        sparse_sign_digits<2>(key, j, count, m, zeta, stride, out);
    else
        sparse_sign_digits<1>(key, j, count, m, zeta, stride, out);
}

// The Box-Muller transform of two random words a and b: (x, y) = sqrt(-2 ln u) (cos 2πv, sin 2πv)
// with u = (floor(a / 2) + 1/4) / 2^31 and v = b / 2^32. ln, cos and sin are polynomials, so that
// the bits do not depend on a mathematical library.
SKMM_INLINE void box_muller(u32 a, u32 b, float* x, float* y) {
    // Write u = z 2^e with z in [sqrt(1/2), sqrt(2)) and f = z - 1. Then ln u = e ln 2 + ln(1 + f),
    // and ln(1 + f) is an odd series in t = f / (2 + f).
    const float u = (static_cast<float>(static_cast<int>(a >> 1)) + 0.25f) * 0x1p-31f;
    u32 bits;
    __builtin_memcpy(&bits, &u, 4);
    const int e = static_cast<int>(bits - 0x3f3504f3u) >> 23;
    const u32 zbits = bits - (static_cast<u32>(e) << 23);
    float z;
    __builtin_memcpy(&z, &zbits, 4);
    const float f = z - 1.0f;
    const float t = f / (2.0f + f);
    const float t2 = t * t;
    const float series =
        2.0f + t2 * (0.666666687f + t2 * (0.399999917f + t2 * (0.285714298f + t2 * 0.222222224f)));
    const float log_u = static_cast<float>(e) * 0.693147182f + t * series;
    const float neg = -2.0f * log_u;
    const float r = __builtin_sqrtf(neg > 0.0f ? neg : 0.0f);
    // The angle is 2πv = quadrant π/2 + q with q in [-π/4, π/4), up to full turns. sin q and cos q
    // are Taylor polynomials.
    const u32 turned = b + 0x20000000u;
    const u32 quadrant = turned >> 30;
    const float h = static_cast<float>(static_cast<int>(turned & 0x3fffffffu) - 0x20000000);
    const float q = h * (1.57079633f * 0x1p-30f);
    const float q2 = q * q;
    const float s =
        q + q * q2 *
                (-0.166666667f + q2 * (8.33333333e-3f + q2 * (-1.98412698e-4f + q2 * 2.75573e-6f)));
    const float c =
        1.0f + q2 * (-0.5f + q2 * (4.16666667e-2f + q2 * (-1.38888889e-3f + q2 * 2.48015873e-5f)));
    const float c1 = quadrant & 1 ? s : c;
    const float s1 = quadrant & 1 ? c : s;
    *x = r * ((quadrant == 1 || quadrant == 2) ? -c1 : c1);
    *y = r * (quadrant & 2 ? -s1 : s1);
}

// The columns 16 c + l, c < 4, of a strip are the two Box-Muller pairs from the four words of
// counter (j, 16 strip + l).
static void gaussian(u64 key, const u64* j, int count, i64 m, int strip, float* out) {
    constexpr int L = kStrip / 4;
    const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(m));
    for (int c = 0; c < count; ++c) {
        u32 words[4][L];
        for (int l = 0; l < L; l += 2 * kWordLanes) {
            const u64 first = static_cast<u64>(strip * L + l);
            const TwoWords64 iota = load_two(kIota);
            Words64 w[4], v[4];
            philox_lanes(key, Words64{} + j[c], iota.a + first, embedding(kGaussian, m), w);
            philox_lanes(key, Words64{} + j[c], iota.b + first, embedding(kGaussian, m), v);
            for (int t = 0; t < 4; ++t) store(words[t] + l, even(w[t], v[t]));
        }
        float* row = out + c * kStrip;
        for (int l = 0; l < L; ++l) box_muller(words[0][l], words[1][l], row + l, row + L + l);
        for (int l = 0; l < L; ++l)
            box_muller(words[2][l], words[3][l], row + 2 * L + l, row + 3 * L + l);
        for (int k = 0; k < kStrip; ++k) row[k] *= scale;
    }
}

}  // namespace skmm::SKMM_LEVEL
