// Kernels for matrix products. A block of sums stays in registers while the products are added.
#pragma once

#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

// The size of the block of sums: kGemmRows rows of kGemmVectors vectors.
#if defined(__AVX512F__)
constexpr int kGemmRows = 6, kGemmVectors = 4;
#elif defined(__FMA__)
constexpr int kGemmRows = 6, kGemmVectors = 2;
#else
constexpr int kGemmRows = 4, kGemmVectors = 2;
#endif

// The product out[i][k] += Σ_c a[i a_row + c a_col] b[c b_row + k] for c < depth and k < width.
// Rows of b are read in groups of kGemmVectors whole vectors, possibly beyond width.
template <class A, class B, class Out>
struct Product {
    const A* a;
    i64 a_row, a_col;
    int depth;
    const B* b;
    int b_row;
    Out* out;
    i64 out_row;
    int width;
};

// Computes R rows of the product from row `first` on, in the columns of the first group.
template <int R, class A, class B, class Out>
SKMM_INLINE void gemm_block(const Product<A, B, Out>& p, i64 first) {
    using V = Vector<Out>;
    constexpr int L = Register<Out>::kSize;
    const A* a = p.a + first * p.a_row;
    V acc[R][kGemmVectors] = {};
    for (int c = 0; c < p.depth; ++c) {
        V row[kGemmVectors];
        for (int v = 0; v < kGemmVectors; ++v) row[v] = load_as<Out>(p.b + c * p.b_row + L * v);
        for (int i = 0; i < R; ++i) {
            const V factor = static_cast<Out>(a[i * p.a_row + c * p.a_col]) - V{};
            for (int v = 0; v < kGemmVectors; ++v) acc[i][v] = fused(factor, row[v], acc[i][v]);
        }
    }
    for (int i = 0; i < R; ++i) {
        for (int v = 0; v < kGemmVectors; ++v) {
            Out* o = p.out + (first + i) * p.out_row + L * v;
            if (L * (v + 1) <= p.width)
                store(o, load<V>(o) + acc[i][v]);
            else
                for (int t = 0; L * v + t < p.width; ++t) o[t] += acc[i][v][t];
        }
    }
}

// Computes the first `rows` rows of the product, in the columns of the first group.
template <class A, class B, class Out>
SKMM_INLINE void gemm_group(const Product<A, B, Out>& p, i64 rows) {
    i64 i = 0;
    for (; i + kGemmRows <= rows; i += kGemmRows) gemm_block<kGemmRows>(p, i);
    for (; i + 2 <= rows; i += 2) gemm_block<2>(p, i);
    for (; i < rows; ++i) gemm_block<1>(p, i);
}

// Computes the first `rows` rows of the product, kSummed products at a time. The columns of
// b of one group stay in the L1 cache while all rows meet them. Where a group is narrower than the
// rows of b, its columns are copied together: lines at such a distance would share few cache sets.
template <class A, class B, class Out>
SKMM_INLINE void gemm(Product<A, B, Out> p, i64 rows) {
    using V = Vector<Out>;
    constexpr int L = Register<Out>::kSize, kGroup = L * kGemmVectors;
    const int depth = p.depth, width = p.width;
    const B* const b = p.b;
    Out* const out = p.out;
    for (int from = 0; from < depth; from += kSummed, p.a += kSummed * p.a_col) {
        p.depth = depth - from < kSummed ? depth - from : kSummed;
        for (int k0 = 0; k0 < width; k0 += kGroup) {
            p.b = b + from * p.b_row + k0;
            p.out = out + k0;
            p.width = width - k0;
            if constexpr (kVectorBytes == 64) {
                gemm_group(p, rows);
            } else {
                alignas(64) Out group[kSummed * kGroup];
                for (int c = 0; c < p.depth; ++c)
                    for (int v = 0; v < kGemmVectors; ++v)
                        store<V>(group + c * kGroup + L * v,
                                 load_as<Out>(p.b + c * p.b_row + L * v));
                gemm_group(Product<A, Out, Out>{p.a, p.a_row, p.a_col, p.depth, group, kGroup,
                                                p.out, p.out_row, p.width},
                           rows);
            }
        }
    }
}

template <class T>
static void gemm_strip(const T* a, i64 a_stride, i64 rows, int depth, const float* strip, T* out,
                       i64 out_stride, int width) {
    gemm(Product<T, float, T>{a, a_stride, 1, depth, strip, kStrip, out, out_stride, width}, rows);
}

static void gemm_panel(const double* a, i64 a_row, i64 a_col, i64 rows, int depth,
                       const double* panel, double* out, i64 out_row) {
    gemm(Product<double, double, double>{a, a_row, a_col, depth, panel, kPanel, out, out_row,
                                         kPanel},
         rows);
}

template <class T>
static void axpy(T x, const float* row, i64 m, T* out) {
    for (i64 k = 0; k < m; ++k) out[k] += x * static_cast<T>(row[k]);
}

}  // namespace skmm::SKMM_LEVEL
