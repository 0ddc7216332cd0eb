// Grouped signs: rows of Γ from their counters, and the butterfly that adds 128 columns of G to 128
// places with 8 stores.
//
// Words of chunk c, counters (c, j): j = t: 16 column signs for each part of step t; j = 64 (1 +
// k / 2) + t: place, signs and lanes of output k of step t; j = 320 + s / 4: lanes and rotation of
// part s.
#pragma once

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
    const Words64 sign = pick(w, part / 2) >> (part % 2 * kLanes + row % kLanes);
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

void store_lanes(u32 bits, std::uint8_t* out) {
    const u8x16 places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    // lane_of_place is affine: the images of 1, 2, 4, 8 and 0 say it all.
    const u32 zero = bits & 15;
    u8x16 lanes = u8x16{} + static_cast<std::uint8_t>(zero);
    for (int i = 0; i < 4; ++i) {
        const u32 image = lane_of_place(bits, 1u << i) ^ zero;
        const u8x16 bit = u8x16{} + static_cast<std::uint8_t>(1 << i);
        lanes ^= (u8x16)((places & bit) == bit) & static_cast<std::uint8_t>(image);
    }
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

    SKMM_INLINE_MEMBER void load_from(const T* p) {
        for (int i = 0; i < kCount; ++i) v[i] = load<Vector<T>>(p + i * kSize);
    }
    SKMM_INLINE_MEMBER void store_to(T* p) const {
        for (int i = 0; i < kCount; ++i) store(p + i * kSize, v[i]);
    }
};

// Signs flipped where the bit of the lane is set.
SKMM_INLINE void flip(Lanes<float>& x, u32 bits) {
    using L = Lanes<float>;
    for (int i = 0; i < L::kCount; ++i) {
#if defined(__AVX512F__)
        const Words32 mask =
            (Words32)_mm512_maskz_set1_epi32(static_cast<__mmask16>(bits), INT32_MIN);
#else
        static const u32 kBit[] = {1, 2, 4, 8, 16, 32, 64, 128};
        const Words32 bit = load<Words32>(kBit + 0);
        const Words32 mask = (Words32)(((bits >> i * L::kSize) & bit) == bit) & 0x80000000u;
#endif
        x.v[i] = (Vector<float>)((Words32)x.v[i] ^ mask);
    }
}

SKMM_INLINE void flip(Lanes<double>& x, u32 bits) {
    using L = Lanes<double>;
    static const u64 kBit[] = {1, 2, 4, 8, 16, 32, 64, 128};
    const Words64 bit = load<Words64>(kBit);
    for (int i = 0; i < L::kCount; ++i) {
        const Words64 mask =
            (Words64)((u64{bits >> i * L::kSize} & bit) == bit) & 0x8000000000000000u;
        x.v[i] = (Vector<double>)((Words64)x.v[i] ^ mask);
    }
}

// x[p] = x[lane[p]].
template <class T>
SKMM_INLINE void permute(Lanes<T>& x, const std::uint8_t* lane) {
    T from[kLanes], to[kLanes];
    x.store_to(from);
    for (int p = 0; p < kLanes; ++p) to[p] = from[lane[p]];
    x.load_from(to);
}

#if defined(__AVX512F__)
SKMM_INLINE void permute(Lanes<float>& x, const std::uint8_t* lane) {
    const __m512i index = _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128((const __m128i*)lane));
    x.v[0] = (Vector<float>)_mm512_maskz_permutexvar_ps(0xffff, index, (__m512)x.v[0]);
}
#elif defined(__AVX2__)
SKMM_INLINE void permute(Lanes<float>& x, const std::uint8_t* lane) {
    const __m256 low = (__m256)x.v[0], high = (__m256)x.v[1];
    for (int i = 0; i < 2; ++i) {
        const __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(lane + 8 * i)));
        x.v[i] = (Vector<float>)_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                                                 _mm256_permutevar8x32_ps(high, index),
                                                 _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
    }
}
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

template <class T>
void grouped_row(const T* x, const T* next, const GroupedChunk& chunk, u64 steps, T* acc) {
    for (; steps != 0; steps &= steps - 1) {
        const u32 t = static_cast<u32>(__builtin_ctzll(steps));
        const GroupedStep& step = chunk.step[t];
        Lanes<T> y[kParts];
        for (int s = 0; s < kParts; ++s) {
            const i64 at = i64{kPart} * s + kLanes * ((t + chunk.rotation[s]) % kSteps);
            for (int c = 0; c < kLanes; c += kTileRows<T>) __builtin_prefetch(next + at + c, 0, 2);
            y[s].load_from(x + at);
            flip(y[s], step.column_signs[s]);
            permute(y[s], chunk.lane[s]);
        }
        for (int half = 1; half < kParts; half *= 2)
            for (int k = 0; k < kParts; ++k)
                if ((k & half) == 0) butterfly(y[k], y[k + half]);
        for (int k = 0; k < kParts; ++k) {
            permute(y[k], step.lane[k]);
            flip(y[k], step.output_signs[k]);
            T* a = acc + step.start[k];
            Lanes<T> sum;
            sum.load_from(a);
            for (int i = 0; i < Lanes<T>::kCount; ++i) sum.v[i] += y[k].v[i];
            sum.store_to(a);
        }
    }
}

}  // namespace
}  // namespace skmm
