// Kernels of the sparse-sign sketch: they add the columns of a tile of rows, or the entries of one
// row, to the sums of their targets.
#pragma once

#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

// Columns of a tile of W rows, as many as fill 64 bytes of a row. A register holds a part of one
// column, or kFold whole columns if W rows are less than a register.
template <class T, int W>
struct Columns {
    static constexpr int kLanes = Register<T>::kSize;
    static constexpr int kCount = kTileRows<T>;
    static constexpr int kFold = W < kLanes ? kLanes / W : 1;
    static constexpr int kRegisters = W < kLanes ? 1 : W / kLanes;
    static constexpr int kPiece = 16 / static_cast<int>(sizeof(T));  // columns that 16 bytes hold
    Vector<T> x[kCount / kFold][kRegisters];

    // The first of the kPiece columns from c on. The others follow at a distance of kStride.
    static constexpr int kStride = kRegisters * kLanes;
    SKMM_INLINE_MEMBER const T* piece(int c) const {
        const auto* first = x[c / (kFold * kPiece) * kPiece];
        return reinterpret_cast<const T*>(first) + c / kPiece % kFold * W;
    }
};

// transpose() reads the 64 bytes at column c of each of W rows and returns their columns. It reads
// whole cache lines at once, because rows whose distance is a multiple of 4 KB share a set of the
// cache and evict each other.
template <int W>
SKMM_INLINE void transpose(const float* const* rows, i64 c, Columns<float, W>& out) {
    using Block = Columns<float, W>;
    for (int p = 0; p < Block::kRegisters; ++p) {
        Words32 r[4][4 / Block::kFold];
        for (int i = 0; i < 4; ++i)
            for (int q = 0; q < 4 / Block::kFold; ++q)
                r[i][q] = (Words32)join<Block::kFold>(rows + p * Block::kLanes + i, 4,
                                                      c + 4 * Block::kFold * q);
        for (int q = 0; q < 4 / Block::kFold; ++q) {
            const Words64 a = (Words64)SKMM_SHUFFLE(r[0][q], r[1][q], Words32, SKMM_LOWER32);
            const Words64 b = (Words64)SKMM_SHUFFLE(r[2][q], r[3][q], Words32, SKMM_LOWER32);
            const Words64 d = (Words64)SKMM_SHUFFLE(r[0][q], r[1][q], Words32, SKMM_UPPER32);
            const Words64 e = (Words64)SKMM_SHUFFLE(r[2][q], r[3][q], Words32, SKMM_UPPER32);
            out.x[4 * q + 0][p] = (Vector<float>)SKMM_SHUFFLE(a, b, Words64, SKMM_LOWER64);
            out.x[4 * q + 1][p] = (Vector<float>)SKMM_SHUFFLE(a, b, Words64, SKMM_UPPER64);
            out.x[4 * q + 2][p] = (Vector<float>)SKMM_SHUFFLE(d, e, Words64, SKMM_LOWER64);
            out.x[4 * q + 3][p] = (Vector<float>)SKMM_SHUFFLE(d, e, Words64, SKMM_UPPER64);
        }
    }
}

template <int W>
SKMM_INLINE void transpose(const double* const* rows, i64 c, Columns<double, W>& out) {
    using Block = Columns<double, W>;
    for (int p = 0; p < Block::kRegisters; ++p) {
        Words64 r[2][4 / Block::kFold];
        for (int i = 0; i < 2; ++i)
            for (int q = 0; q < 4 / Block::kFold; ++q)
                r[i][q] = (Words64)join<Block::kFold>(rows + p * Block::kLanes + i, 2,
                                                      c + 2 * Block::kFold * q);
        for (int q = 0; q < 4 / Block::kFold; ++q) {
            out.x[2 * q][p] = (Vector<double>)SKMM_SHUFFLE(r[0][q], r[1][q], Words64, SKMM_LOWER64);
            out.x[2 * q + 1][p] =
                (Vector<double>)SKMM_SHUFFLE(r[0][q], r[1][q], Words64, SKMM_UPPER64);
        }
    }
}

// Adds the first `count` columns to the sums of their targets. If Z > 0 then Z = zeta, known at
// compile time.
template <int Z, class T, int W>
SKMM_INLINE void scatter_columns(const Columns<T, W>& columns, int count, int zeta, Targets at,
                                 T* acc) {
    using Block = Columns<T, W>;
    constexpr int kLanes = W / Block::kRegisters;
    using V = Vector<T, kLanes>;
    for (int first = 0; first < count; first += Block::kPiece) {
        const T* x = columns.piece(first);
        for (int c = first; c < first + Block::kPiece && c < count; ++c, x += Block::kStride) {
            for (int b = 0; b < (Z > 0 ? Z : zeta); ++b) {
                T* a = acc + at.target[i64{b} * kTargetBlock + c];
                const auto sign = sign_bits<T, V>(at.sign[i64{b} * kTargetBlock + c]);
                for (int p = 0; p < W; p += kLanes)
                    store(a + p, load<V>(a + p) + (V)((decltype(sign))load<V>(x + p) ^ sign));
            }
        }
    }
}

template <int Z, int W, class T>
SKMM_INLINE void scatter_tile_z(const T* const* rows, const T* const* next, int count, int zeta,
                                Targets at, T* acc) {
    constexpr int C = Columns<T, W>::kCount;
    Columns<T, W> columns;
    int c = 0;
    for (; c + C <= count; c += C) {
        for (int i = 0; i < W; ++i) __builtin_prefetch(next[i] + c, 0, 2);
        transpose(rows, c, columns);
        scatter_columns<Z>(columns, C, zeta, {at.target + c, at.sign + c}, acc);
    }
    if (c == count) return;
    T tail[W][C] = {};
    const T* tails[W];
    for (int i = 0; i < W; ++i) {
        tails[i] = tail[i];
        for (int t = c; t < count; ++t) tail[i][t - c] = rows[i][t];
    }
    transpose(tails, 0, columns);
    scatter_columns<Z>(columns, count - c, zeta, {at.target + c, at.sign + c}, acc);
}

template <int W, class T>
SKMM_INLINE void scatter_tile_of(const T* const* rows, const T* const* next, int count, int zeta,
                                 Targets at, T* acc) {
    switch (zeta) {
        case 1: return scatter_tile_z<1, W>(rows, next, count, zeta, at, acc);
        case 2: return scatter_tile_z<2, W>(rows, next, count, zeta, at, acc);
        case 4: return scatter_tile_z<4, W>(rows, next, count, zeta, at, acc);
        case 8: return scatter_tile_z<8, W>(rows, next, count, zeta, at, acc);
        default: return scatter_tile_z<0, W>(rows, next, count, zeta, at, acc);
    }
}

template <class T>
static void scatter_tile(const T* const* rows, const T* const* next, int width, int count, int zeta,
                         Targets at, T* acc) {
    constexpr int L = kTileRows<T>;
    if (width == L) return scatter_tile_of<L>(rows, next, count, zeta, at, acc);
    if (width == L / 2) return scatter_tile_of<L / 2>(rows, next, count, zeta, at, acc);
    return scatter_tile_of<L / 4>(rows, next, count, zeta, at, acc);
}

// Negates lane l of x if sign[l] is 1 << 31, and keeps it if sign[l] is 0.
SKMM_INLINE Vector<float, 4> flip(Vector<float, 4> x, const u32* sign) {
    return (Vector<float, 4>)((Vector<u32, 4>)x ^ load<Vector<u32, 4>>(sign));
}
SKMM_INLINE Vector<double, 2> flip(Vector<double, 2> x, const u32* sign) {
    return Vector<double, 2>{flip(x[0], sign[0]), flip(x[1], sign[1])};
}

// The loads and stores of the sums limit the speed of this loop. To save loads, entries are loaded
// 16 bytes at a time and then taken from the register. If Z > 0 then Z = zeta, known at compile
// time.
template <int Z, class T>
SKMM_INLINE void scatter_row_z(const T* values, int count, int zeta, Targets at, T* acc) {
    constexpr int W = 16 / static_cast<int>(sizeof(T));
    int c = 0;
    for (; c + W <= count; c += W) {
        const auto x = load<Vector<T, W>>(values + c);
        for (int b = 0; b < (Z > 0 ? Z : zeta); ++b) {
            const u32* target = at.target + i64{b} * kTargetBlock + c;
            const auto y = flip(x, at.sign + i64{b} * kTargetBlock + c);
            for (int l = 0; l < W; ++l) acc[target[l]] += y[l];
        }
    }
    for (; c < count; ++c)
        for (int b = 0; b < zeta; ++b)
            acc[at.target[i64{b} * kTargetBlock + c]] +=
                flip(values[c], at.sign[i64{b} * kTargetBlock + c]);
}

template <class T>
static void scatter_row(const T* values, int count, int zeta, Targets at, T* acc) {
    if (zeta == 8) return scatter_row_z<8>(values, count, zeta, at, acc);
    return scatter_row_z<0>(values, count, zeta, at, acc);
}

template <class T>
static void add_tile(const T* acc, i64 m, T scale, int rows, T* out, i64 stride) {
    constexpr int L = kTileRows<T>;
    Columns<T, L> places;
    i64 k = 0;
    for (; k + L <= m; k += L) {
        const T* block[L];
        for (int c = 0; c < L; ++c) block[c] = acc + (k + c) * L;
        transpose(block, 0, places);
        for (int i = 0; i < rows; ++i) {
            T* o = out + i * stride + k;
            for (int p = 0; p < places.kRegisters; ++p, o += Register<T>::kSize)
                store(o, load<Vector<T>>(o) + scale * places.x[i][p]);
        }
    }
    for (; k < m; ++k)
        for (int i = 0; i < rows; ++i) out[i * stride + k] += scale * acc[k * L + i];
}

}  // namespace skmm::SKMM_LEVEL
