// Grouped signs: rows of Γ from their counters, and the butterfly that adds 128 columns of G to 128
// places with 8 stores.
//
// Words of chunk c, counters (c, j): j = t: 16 column signs for each part of step t; j = 64 (1 +
// k / 2) + t: place, signs and lanes of output k of step t; j = 320 + s / 4: lanes and rotation of
// part s.
#pragma once

#include <cstdint>

#include "random_rows.hpp"
#include "skmm/kernels.hpp"
#include "vectors.hpp"

namespace skmm {
namespace {

// An affine permutation of the 16 lanes over GF(2) from 16 bits: a shift, then a unit lower and a
// unit upper triangular matrix. V holds integers: lanes, or vectors of them.
template <int Bit, class V>
SKMM_INLINE V shear(V y, V column) {
    return y ^ ((V{} - (y >> Bit & 1)) & column);
}
template <class V>
SKMM_INLINE V place_of_lane(V bits, V lane) {
    V y = lane ^ (bits & 15);
    y = shear<0>(y, (bits >> 4 & 7) << 1);
    y = shear<1>(y, (bits >> 7 & 3) << 2);
    y = shear<2>(y, (bits >> 9 & 1) << 3);
    y = shear<3>(y, bits >> 10 & 7);
    y = shear<2>(y, bits >> 13 & 3);
    return shear<1>(y, bits >> 15 & 1);
}
// Its inverse.
template <class V>
SKMM_INLINE V lane_of_place(V bits, V place) {
    V y = shear<1>(place, bits >> 15 & 1);
    y = shear<2>(y, bits >> 13 & 3);
    y = shear<3>(y, bits >> 10 & 7);
    y = shear<2>(y, (bits >> 9 & 1) << 3);
    y = shear<1>(y, (bits >> 7 & 3) << 2);
    y = shear<0>(y, (bits >> 4 & 7) << 1);
    return y ^ (bits & 15);
}

constexpr u64 kPartWords = 320;

struct Block {
    u32 first, width;
};
SKMM_INLINE Block block_of(int k, i64 m) {
    const i64 first = k * m / kParts;
    return {static_cast<u32>(first), static_cast<u32>((k + 1) * m / kParts - first)};
}

// w[index], lane by lane.
SKMM_INLINE Words64 pick(const Words64 (&w)[4], Words64 index) {
    Words64 picked{};
    for (u64 t = 0; t < 4; ++t) picked |= w[t] & (Words64)(index == Words64{} + t);
    return picked & 0xffffffff;
}

struct Entries {
    Words64 target[kParts], sign[kParts];
};

SKMM_INLINE void grouped_entries(u64 key, Words64 row, i64 m, Entries& out) {
    const u64 last = embedding(kGroupedSign, m), unit = grouped_aligned(m) ? kLanes : 1;
    const Words64 chunk = row / kChunk, part = row / kPart % kParts;
    Words64 w[4];
    philox_lanes(key, chunk, kPartWords + part / 4, last, w);
    const Words64 of_part = pick(w, part % 4);
    const Words64 step = (row / kLanes - (of_part >> 26)) % kSteps;
    const Words64 lane = place_of_lane(of_part & 0xffff, row % kLanes);
    philox_lanes(key, chunk, step, last, w);
    const Words64 sign = pick(w, part / 2) >> (part % 2 * kLanes + lane);
    for (int k = 0; k < kParts; ++k) {
        if (k % 2 == 0)
            philox_lanes(key, chunk, step + static_cast<u64>(kSteps * (1 + k / 2)), last, w);
        const auto [first, width] = block_of(k, m);
        const Words64 bits = w[k % 2 * 2 + 1] & 0xffffffff;
        const Words64 place = place_of_lane(bits >> 16, lane);
        Words64 at = mul_low(mul_low(w[k % 2 * 2], width / unit) >> 32, unit) + place;
        for (u32 over = 0; over <= (kLanes - 1) / width; ++over)
            at -= (Words64)(at >= Words64{} + width) & width;
        const Words64 common = part & static_cast<u64>(k);  // its parity: the Hadamard matrix
        out.target[k] = at + first;
        out.sign[k] = sign ^ bits >> place ^ common ^ common >> 1 ^ common >> 2;
    }
}

void grouped_sign(u64 key, const u64* j, int count, i64 m, u32 stride, Targets out) {
    for_rows(j, count, [&](int c, Words64 rows, Words64 more_rows) {
        Entries a, b;
        grouped_entries(key, rows, m, a);
        grouped_entries(key, more_rows, m, b);
        for (int k = 0; k < kParts; ++k) {
            store(out.target + k * kTargetBlock + c, even(a.target[k], b.target[k]) * stride);
            store(out.sign + k * kTargetBlock + c, even(a.sign[k], b.sign[k]) << 31);
        }
    });
}

typedef std::uint8_t u8x16 __attribute__((vector_size(16)));

SKMM_INLINE u8x16 splat(u32 byte) {
    u8x16 v;
    __builtin_memset(&v, static_cast<int>(byte), sizeof v);
    return v;
}

// out[p] = lane_of_place(bits, p), from the images of 0, 1, 2, 4 and 8: the map is affine.
void store_lanes(u32 bits, std::uint8_t* out) {
    const u8x16 places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const u32 zero = lane_of_place(bits, 0u);
    u8x16 lanes = splat(zero);
    for (int i = 0; i < 4; ++i)
        lanes ^=
            (u8x16)((places & splat(1u << i)) != 0) & splat(lane_of_place(bits, 1u << i) ^ zero);
    store(out, lanes);
}

void grouped_chunk(u64 key, u64 chunk, i64 m, GroupedChunk* out) {
    const u64 last = embedding(kGroupedSign, m);
    const auto words = [&](u64 j, u32(&w)[4][2 * kWordLanes]) {
        const Words64 lanes = load<Words64>(kIota) + j;
        Words64 a[4], b[4];
        philox_lanes(key, Words64{} + chunk, lanes, last, a);
        philox_lanes(key, Words64{} + chunk, lanes + u64{kWordLanes}, last, b);
        for (int t = 0; t < 4; ++t) store(w[t], even(a[t], b[t]));
    };
    u32 w[4][2 * kWordLanes];
    words(kPartWords, w);
    for (int s = 0; s < kParts; ++s) {
        store_lanes(w[s % 4][s / 4], out->lane[s]);
        out->rotation[s] = w[s % 4][s / 4] >> 26;
    }
    const u32 unit = grouped_aligned(m) ? kLanes : 1;
    const u32 stride = static_cast<u32>(grouped_stride(m));
    for (int t0 = 0; t0 < kSteps; t0 += 2 * kWordLanes) {
        words(static_cast<u64>(t0), w);
        for (int t = 0; t < 2 * kWordLanes; ++t)
            for (int s = 0; s < kParts; ++s)
                out->step[t0 + t].column_signs[s] = static_cast<u16>(w[s / 2][t] >> s % 2 * kLanes);
        for (int k = 0; k < kParts; k += 2) {
            words(static_cast<u64>(kSteps * (1 + k / 2) + t0), w);
            for (int h = 0; h < 2; ++h) {
                const u64 starts = block_of(k + h, m).width / unit;
                for (int t = 0; t < 2 * kWordLanes; ++t) {
                    GroupedStep& step = out->step[t0 + t];
                    const u32 start = static_cast<u32>(w[2 * h][t] * starts >> 32);
                    step.start[k + h] = start * unit + static_cast<u32>(k + h) * stride;
                    step.output_signs[k + h] = static_cast<u16>(w[2 * h + 1][t]);
                    store_lanes(w[2 * h + 1][t] >> 16, step.lane[k + h]);
                }
            }
        }
    }
}

// kLanes numbers in registers of the level.
template <class T>
struct Lanes {
    static constexpr int kSize = Register<T>::kSize, kCount = kLanes / kSize;
    Vector<T> v[kCount];
};
template <class T>
SKMM_INLINE Lanes<T> load_lanes(const T* p) {
    Lanes<T> x;
    for (int i = 0; i < Lanes<T>::kCount; ++i) x.v[i] = load<Vector<T>>(p + i * Lanes<T>::kSize);
    return x;
}

SKMM_INLINE Vector<float, 4> gather(const float* x, const std::uint8_t* at) {
    return Vector<float, 4>{x[at[0]], x[at[1]], x[at[2]], x[at[3]]};
}
SKMM_INLINE Vector<double, 2> gather(const double* x, const std::uint8_t* at) {
    return Vector<double, 2>{x[at[0]], x[at[1]]};
}

// x[p] becomes ± x[lane[p]], negated where bit p of signs is set.
template <class T>
struct Arrangement {
    using L = Lanes<T>;
    using Word = Bits<T>;
    using Words = Vector<Word>;
    const std::uint8_t* lane;
    Words signs[L::kCount];

    SKMM_INLINE_MEMBER Arrangement(const std::uint8_t* from, u32 bits) : lane(from) {
        static const Word kBit[] = {1, 2, 4, 8, 16, 32, 64, 128};
        constexpr Word kSign = Word{1} << (8 * sizeof(Word) - 1);
        const Words bit = load<Words>(kBit);
        for (int i = 0; i < L::kCount; ++i)
            signs[i] = (Words)((Word{bits >> i * L::kSize} & bit) == bit) & kSign;
    }
    SKMM_INLINE_MEMBER void operator()(L& x) const {
        T from[kLanes], to[kLanes];
        store(from, x);
        for (int p = 0; p < kLanes; p += 16 / static_cast<int>(sizeof(T)))
            store(to + p, gather(from, lane + p));
        x = load_lanes(to);
        for (int i = 0; i < L::kCount; ++i) x.v[i] = (Vector<T>)((Words)x.v[i] ^ signs[i]);
    }
};

#if defined(__AVX512F__)
template <>
struct Arrangement<float> {
    __m512i index;
    __mmask16 signs;

    SKMM_INLINE_MEMBER Arrangement(const std::uint8_t* lane, u32 bits)
        : index(_mm512_maskz_cvtepu8_epi32(
              0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(lane)))),
          signs(static_cast<__mmask16>(bits)) {}
    SKMM_INLINE_MEMBER void operator()(Lanes<float>& x) const {
        const __m512i y =
            _mm512_castps_si512(_mm512_maskz_permutexvar_ps(0xffff, index, (__m512)x.v[0]));
        x.v[0] = (Vector<float>)_mm512_mask_xor_epi32(y, signs, y, _mm512_set1_epi32(INT32_MIN));
    }
};
#elif defined(__AVX2__)
template <>
struct Arrangement<float> {
    __m256i index[2], signs[2];

    SKMM_INLINE_MEMBER Arrangement(const std::uint8_t* lane, u32 bits) {
        const __m256i left = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
        for (int i = 0; i < 2; ++i) {
            index[i] = _mm256_cvtepu8_epi32(
                _mm_loadl_epi64(reinterpret_cast<const __m128i*>(lane + 8 * i)));
            signs[i] = _mm256_and_si256(
                _mm256_sllv_epi32(_mm256_set1_epi32(static_cast<int>(bits >> 8 * i)), left),
                _mm256_set1_epi32(INT32_MIN));
        }
    }
    SKMM_INLINE_MEMBER void operator()(Lanes<float>& x) const {
        const __m256 low = (__m256)x.v[0], high = (__m256)x.v[1];
        for (int i = 0; i < 2; ++i) {
            const __m256 from_high = _mm256_castsi256_ps(_mm256_slli_epi32(index[i], 28));
            const __m256 y = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index[i]),
                                              _mm256_permutevar8x32_ps(high, index[i]), from_high);
            x.v[i] = (Vector<float>)_mm256_xor_ps(y, _mm256_castsi256_ps(signs[i]));
        }
    }
};
#endif

// (a, b) = (a + b, a - b).
template <class T>
SKMM_INLINE void butterfly(Lanes<T>& a, Lanes<T>& b) {
    for (int i = 0; i < Lanes<T>::kCount; ++i) {
        const Vector<T> difference = a.v[i] - b.v[i];
        a.v[i] += b.v[i];
        b.v[i] = difference;
    }
}

// R rows share what a step knows of Γ.
template <int R, class T>
SKMM_INLINE void grouped_rows_of(const T* const* x, const T* const* next, const GroupedChunk& chunk,
                                 u64 steps, T* acc, i64 row_size) {
    for (; steps != 0; steps &= steps - 1) {
        const u32 t = static_cast<u32>(__builtin_ctzll(steps));
        const GroupedStep& step = chunk.step[t];
        Lanes<T> y[R][kParts];
        for (int s = 0; s < kParts; ++s) {
            const i64 at = i64{kPart} * s + kLanes * ((t + chunk.rotation[s]) % kSteps);
            const Arrangement<T> arrange{chunk.lane[s], step.column_signs[s]};
            for (int i = 0; i < R; ++i) {
                for (int c = 0; c < kLanes; c += kTileRows<T>)
                    __builtin_prefetch(next[i] + at + c, 0, 2);
                y[i][s] = load_lanes(x[i] + at);
                arrange(y[i][s]);
            }
        }
        for (int i = 0; i < R; ++i)
            for (int half = 1; half < kParts; half *= 2)
                for (int k = 0; k < kParts; ++k)
                    if ((k & half) == 0) butterfly(y[i][k], y[i][k + half]);
        for (int k = 0; k < kParts; ++k) {
            const Arrangement<T> arrange{step.lane[k], step.output_signs[k]};
            for (int i = 0; i < R; ++i) {
                arrange(y[i][k]);
                T* a = acc + i * row_size + step.start[k];
                Lanes<T> sum = load_lanes(a);
                for (int p = 0; p < Lanes<T>::kCount; ++p) sum.v[p] += y[i][k].v[p];
                store(a, sum);
            }
        }
    }
}

template <class T>
void grouped_rows(const T* const* x, const T* const* next, int rows, const GroupedChunk& chunk,
                  u64 steps, T* acc, i64 row_size) {
    if (rows == 2) return grouped_rows_of<2>(x, next, chunk, steps, acc, row_size);
    return grouped_rows_of<1>(x, next, chunk, steps, acc, row_size);
}

}  // namespace
}  // namespace skmm
