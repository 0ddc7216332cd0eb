// Kernels of the grouped-sign sketch: the targets of rows of Γ, the tables of a chunk, and the step
// that adds 128 columns of G to 128 accumulators by an 8-point Hadamard butterfly and 8 vector
// stores.
//
// simd/kernels.hpp defines chunks, parts, steps and lanes. For a lane of a vector, its place is the
// position to which a permutation moves it.
#pragma once

#include <cstdint>

#include "random_rows.hpp"
#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

// Returns y + (bit `Bit` of y) * column, over GF(2).
template <int Bit, class V>
SKMM_INLINE V shear(V y, V column) {
    return y ^ ((V{} - (y >> Bit & 1)) & column);
}
// Maps a lane to its place by the permutation of the 16 lanes that `bits` holds in its lowest 16
// bits. A lane is a vector of 4 bits over GF(2). The permutation is affine: it adds a shift, then
// multiplies by a unit lower and a unit upper triangular matrix. V is an integer type or a vector
// of integers.
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
// The inverse of place_of_lane().
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

// The random words of a chunk come from these counters j:
//   t                    the column signs of step t, for all parts;
//   output_words(k) + t  the starts, signs and lanes of outputs k and k + 1 (k even) of step t;
//   kPartWords + s / 4   the lanes and the rotation of part s.
constexpr u64 output_words(int k) { return static_cast<u64>(kSteps * (1 + k / 2)); }
constexpr u64 kPartWords = output_words(kParts);

// Returns w[index] for each lane, with an index of its own in each lane.
SKMM_INLINE Words64 pick(const Words64 (&w)[4], Words64 index) {
    Words64 picked{};
    for (u64 t = 0; t < 4; ++t) picked |= w[t] & (Words64)(index == Words64{} + t);
    return picked & 0xffffffff;
}

// The targets of one row of Γ in each lane.
struct Entries {
    Words64 target[kParts], sign[kParts];
};

// Computes the targets of the rows `row` of Γ, from the same random words as grouped_chunk(). The
// lowest bit of a sign counts; the other bits are arbitrary.
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
        if (k % 2 == 0) philox_lanes(key, chunk, step + output_words(k), last, w);
        const Block block = grouped_block(k, m);
        const u64 first = static_cast<u64>(block.first), width = static_cast<u64>(block.width);
        const Words64 bits = w[k % 2 * 2 + 1] & 0xffffffff;
        const Words64 place = place_of_lane(bits >> 16, lane);
        Words64 at = mul_low(mul_low(w[k % 2 * 2], width / unit) >> 32, unit) + place;
        for (u64 over = 0; over <= (kLanes - 1) / width; ++over)
            at -= (Words64)(at >= Words64{} + width) & width;
        const Words64 common = part & static_cast<u64>(k);  // its parity is the Hadamard sign
        out.target[k] = at + first;
        out.sign[k] = sign ^ bits >> place ^ common ^ common >> 1 ^ common >> 2;
    }
}

static void grouped_sign(u64 key, const u64* j, int count, i64 m, u32 stride, Targets out) {
    for_rows(j, count, [&](int c, TwoWords64 rows) {
        Entries a, b;
        grouped_entries(key, rows.a, m, a);
        grouped_entries(key, rows.b, m, b);
        for (int k = 0; k < kParts; ++k) {
            store(out.target + k * kTargetBlock + c, even(a.target[k], b.target[k]) * stride);
            store(out.sign + k * kTargetBlock + c, even(a.sign[k], b.sign[k]) << 31);
        }
    });
}

// For each i < count, writes lane[p] = lane_of_place(bits[i], p), p < kLanes, to out + i * stride.
// The map is affine, so that the images of 0, 1, 2, 4 and 8 determine it. bits is read in whole
// vectors and must have 16 elements.
static void store_lanes(const u32* bits, int count, std::uint8_t* out, i64 stride) {
    constexpr int L = Register<u32>::kSize;
    for (int first = 0; first < count; first += L) {
        const auto lane = [b = load<Words32>(bits + first)](u32 place) {
            return lane_of_place(b, Words32{} + place);
        };
        const Words32 zero = lane(0), one = lane(1) ^ zero, two = lane(2) ^ zero;
        const Words32 four = (lane(4) ^ zero) * 0x01010101, eight = (lane(8) ^ zero) * 0x01010101;
        u32 word[4][L];  // word[q] holds the lanes of the places 4 q, ..., 4 q + 3, a byte each
        const Words32 word0 = zero * 0x01010101 ^ one * 0x01000100 ^ two * 0x01010000;
        store(word[0], word0);
        store(word[1], word0 ^ four);
        store(word[2], word0 ^ eight);
        store(word[3], word0 ^ four ^ eight);
        for (int i = 0; i < L && first + i < count; ++i)
            for (int q = 0; q < 4; ++q)
                __builtin_memcpy(out + (first + i) * stride + 4 * q, &word[q][i], 4);
    }
}

static void grouped_chunk(u64 key, u64 chunk, i64 m, GroupedChunk* out) {
    constexpr int L = 2 * kWordLanes;
    const u64 last = embedding(kGroupedSign, m);
    const auto words = [&](u64 j, u32(&w)[4][L]) {
        const TwoWords64 lanes = load_two(kIota);
        Words64 a[4], b[4];
        philox_lanes(key, Words64{} + chunk, lanes.a + j, last, a);
        philox_lanes(key, Words64{} + chunk, lanes.b + j, last, b);
        for (int t = 0; t < 4; ++t) store(w[t], even(a[t], b[t]));
    };
    u32 w[4][L], bits[16] = {};
    words(kPartWords, w);
    for (int s = 0; s < kParts; ++s) {
        bits[s] = w[s % 4][s / 4];
        out->rotation[s] = bits[s] >> 26;
    }
    store_lanes(bits, kParts, out->lane[0], kLanes);
    const u32 unit = grouped_aligned(m) ? kLanes : 1;
    const u32 stride = static_cast<u32>(grouped_stride(m));
    for (int t0 = 0; t0 < kSteps; t0 += L) {
        GroupedStep* const step = out->step + t0;
        words(static_cast<u64>(t0), w);
        for (int t = 0; t < L; ++t)
            for (int s = 0; s < kParts; ++s)
                step[t].column_signs[s] = static_cast<u16>(w[s / 2][t] >> s % 2 * kLanes);
        for (int k = 0; k < kParts; ++k) {
            if (k % 2 == 0) words(output_words(k) + static_cast<u64>(t0), w);
            const u32 *places = w[k % 2 * 2], *signs = w[k % 2 * 2 + 1];
            const u64 starts = static_cast<u64>(grouped_block(k, m).width) / unit;
            for (int t = 0; t < L; ++t) {
                const u32 start = static_cast<u32>(places[t] * starts >> 32);
                step[t].start[k] = start * unit + static_cast<u32>(k) * stride;
                step[t].output_signs[k] = static_cast<u16>(signs[t]);
                bits[t] = signs[t] >> 16;
            }
            store_lanes(bits, L, step->lane[k], sizeof(GroupedStep));
        }
    }
}

// A vector of kLanes numbers, in as many registers as it takes on this level.
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

// Word l has bit l set.
template <class Word>
static constexpr Word kBitOfLane[] = {1, 2, 4, 8, 16, 32, 64, 128};

// Permutes a vector and changes signs: x[p] becomes x[lane[p]], negated if bit p of `bits` is set.
template <class T>
struct Arrangement {
    using L = Lanes<T>;
    using Word = Bits<T>;
    using Words = Vector<Word>;
    const std::uint8_t* lane;
    Words signs[L::kCount];

    SKMM_INLINE_MEMBER Arrangement(const std::uint8_t* from, u32 bits) : lane(from) {
        constexpr Word kSign = Word{1} << (8 * sizeof(Word) - 1);
        const Words bit = load<Words>(kBitOfLane<Word>);
        for (int i = 0; i < L::kCount; ++i)
            signs[i] = (Words)((Word{bits >> i * L::kSize} & bit) == bit) & kSign;
    }
    SKMM_INLINE_MEMBER void operator()(L& x) const {
        T from[kLanes], to[kLanes];
        store(from, x);
        for (int p = 0; p < kLanes; ++p) to[p] = from[lane[p]];
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

// Replaces (a, b) by (a + b, a - b).
template <class T>
SKMM_INLINE void butterfly(Lanes<T>& a, Lanes<T>& b) {
    for (int i = 0; i < Lanes<T>::kCount; ++i) {
        const Vector<T> difference = a.v[i] - b.v[i];
        a.v[i] += b.v[i];
        b.v[i] = difference;
    }
}

// The number of rows of G that share the tables of a step. With registers of 64 bytes, sharing does
// not pay for the registers that two rows take.
constexpr int kRowsAtOnce = kVectorBytes < 64 ? kGroupedRows : 1;

// grouped_rows() for exactly R rows.
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
static void grouped_rows(const T* const* x, const T* const* next, int rows,
                         const GroupedChunk& chunk, u64 steps, T* acc, i64 row_size) {
    if (rows == kRowsAtOnce)
        return grouped_rows_of<kRowsAtOnce>(x, next, chunk, steps, acc, row_size);
    for (int i = 0; i < rows; ++i)
        grouped_rows_of<1>(x + i, next + i, chunk, steps, acc + i * row_size, row_size);
}

}  // namespace skmm::SKMM_LEVEL
