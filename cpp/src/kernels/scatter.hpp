// Sparse-sign sketch: columns of a tile of rows, or entries of one row, added to their targets.
#pragma once

#include "skmm/kernels.hpp"
#include "vectors.hpp"

namespace skmm {
namespace {

// One vector of a tile's column, and its sign flips.
template <class T>
struct Tile;
template <>
struct Tile<float> {
    using V = f32x16;
    using Bits = u32x16;
    static constexpr int kSignShift = 0;
};
template <>
struct Tile<double> {
    using V = f64x8;
    using Bits = u64x8;
    static constexpr int kSignShift = 32;
};

template <class T>
SKMM_INLINE typename Tile<T>::V flip(typename Tile<T>::V x, u32 sign) {
    using Bits = typename Tile<T>::Bits;
    const Bits mask = Bits{} + (static_cast<decltype(Bits{}[0] + 0)>(sign) << Tile<T>::kSignShift);
    return (typename Tile<T>::V)((Bits)x ^ mask);
}

// x[c][i] = rows[i][c] for a square tile, through 4 x 4 (float) or 2 x 2 (double) blocks.
SKMM_INLINE void transpose(const float* const* rows, i64 c0, float* x) {
    constexpr int L = kTileRows<float>;
    for (int i = 0; i < L; i += 4) {
        for (int c = 0; c < L; c += 4) {
            const f32x4 r0 = load<f32x4>(rows[i] + c0 + c), r1 = load<f32x4>(rows[i + 1] + c0 + c);
            const f32x4 r2 = load<f32x4>(rows[i + 2] + c0 + c),
                        r3 = load<f32x4>(rows[i + 3] + c0 + c);
            const f32x4 a = SKMM_SHUFFLE(r0, r1, i32x4, 0, 4, 1, 5);
            const f32x4 b = SKMM_SHUFFLE(r0, r1, i32x4, 2, 6, 3, 7);
            const f32x4 d = SKMM_SHUFFLE(r2, r3, i32x4, 0, 4, 1, 5);
            const f32x4 e = SKMM_SHUFFLE(r2, r3, i32x4, 2, 6, 3, 7);
            store(x + (c + 0) * L + i, SKMM_SHUFFLE(a, d, i32x4, 0, 1, 4, 5));
            store(x + (c + 1) * L + i, SKMM_SHUFFLE(a, d, i32x4, 2, 3, 6, 7));
            store(x + (c + 2) * L + i, SKMM_SHUFFLE(b, e, i32x4, 0, 1, 4, 5));
            store(x + (c + 3) * L + i, SKMM_SHUFFLE(b, e, i32x4, 2, 3, 6, 7));
        }
    }
}

SKMM_INLINE void transpose(const double* const* rows, i64 c0, double* x) {
    constexpr int L = kTileRows<double>;
    for (int i = 0; i < L; i += 2) {
        for (int c = 0; c < L; c += 2) {
            const f64x2 r0 = load<f64x2>(rows[i] + c0 + c), r1 = load<f64x2>(rows[i + 1] + c0 + c);
            store(x + (c + 0) * L + i, SKMM_SHUFFLE(r0, r1, i64x2, 0, 2));
            store(x + (c + 1) * L + i, SKMM_SHUFFLE(r0, r1, i64x2, 1, 3));
        }
    }
}

// Adds tile columns x[0, count) to their targets; zeta is a constant where Z > 0.
template <int Z, class T>
SKMM_INLINE void scatter_columns(const T* x, int c0, int count, int zeta, Targets at, T* acc) {
    using V = typename Tile<T>::V;
    for (int c = 0; c < count; ++c) {
        const V column = load<V>(x + c * kTileRows<T>);
        const u32* target = at.target + c0 + c;
        const u32* sign = at.sign + c0 + c;
        for (int b = 0; b < (Z > 0 ? Z : zeta); ++b) {
            T* a = acc + target[b * kTargetBlock];
            store(a, load<V>(a) + flip<T>(column, sign[b * kTargetBlock]));
        }
    }
}

template <int Z, class T>
void scatter_tile_z(const T* const* rows, int count, int zeta, Targets at, T* acc) {
    constexpr int L = kTileRows<T>;
    constexpr int kPrefetchBytes = 1024;
    alignas(64) T x[L * L];
    int c = 0;
    for (; c + L <= count; c += L) {
        for (int i = 0; i < L; ++i)
            __builtin_prefetch(reinterpret_cast<const char*>(rows[i] + c) + kPrefetchBytes);
        transpose(rows, c, x);
        scatter_columns<Z>(x, c, L, zeta, at, acc);
    }
    for (int t = c; t < count; ++t)
        for (int i = 0; i < L; ++i) x[(t - c) * L + i] = rows[i][t];
    scatter_columns<Z>(x, c, count - c, zeta, at, acc);
}

template <class T>
void scatter_tile(const T* const* rows, int count, int zeta, Targets at, T* acc) {
    switch (zeta) {
        case 1: return scatter_tile_z<1>(rows, count, zeta, at, acc);
        case 2: return scatter_tile_z<2>(rows, count, zeta, at, acc);
        case 4: return scatter_tile_z<4>(rows, count, zeta, at, acc);
        case 8: return scatter_tile_z<8>(rows, count, zeta, at, acc);
        default: return scatter_tile_z<0>(rows, count, zeta, at, acc);
    }
}

// Adds W entries of a row to their targets; zeta is a constant where Z > 0.
template <int Z, int W, class T>
SKMM_INLINE void scatter_entries(const T* values, int zeta, Targets at, T* acc) {
    constexpr int kMany = Z > 0 ? Z : 8;
    for (int b0 = 0; b0 < (Z > 0 ? Z : zeta); b0 += kMany) {
        const int n = Z > 0 || b0 + kMany <= zeta ? kMany : zeta - b0;
        const u32* target = at.target + b0 * kTargetBlock;
        const u32* sign = at.sign + b0 * kTargetBlock;
        T x[kMany][W];
        for (int b = 0; b < n; ++b)
            for (int c = 0; c < W; ++c) x[b][c] = flip(values[c], sign[b * kTargetBlock + c]);
        for (int c = 0; c < W; ++c)
            for (int b = 0; b < n; ++b) acc[target[b * kTargetBlock + c]] += x[b][c];
    }
}

template <int Z, class T>
SKMM_INLINE void scatter_row_z(const T* values, int count, int zeta, Targets at, T* acc) {
    constexpr int W = 16;
    int c = 0;
    for (; c + W <= count; c += W)
        scatter_entries<Z, W>(values + c, zeta, {at.target + c, at.sign + c}, acc);
    for (; c < count; ++c)
        scatter_entries<Z, 1>(values + c, zeta, {at.target + c, at.sign + c}, acc);
}

template <class T>
void scatter_row(const T* values, int count, int zeta, Targets at, T* acc) {
    if (zeta == 8) return scatter_row_z<8>(values, count, zeta, at, acc);
    return scatter_row_z<0>(values, count, zeta, at, acc);
}

}  // namespace
}  // namespace skmm
