// Kernels for matrix products. A block of sums stays in registers while the products are added.
#pragma once

#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

// The size of the block of sums: kGemmRows rows of kGemmVectors vectors.
#if defined(__AVX512F__)
constexpr int kGemmRows = 6, kGemmVectors = 4;
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

// Computes R rows of the product from row `first` on, in the columns of one group from k0 on.
template <int R, class A, class B, class Out>
SKMM_INLINE void gemm_block(const Product<A, B, Out>& p, i64 first, int k0) {
    using V = Vector<Out>;
    constexpr int L = Register<Out>::kSize;
    const A* a = p.a + first * p.a_row;
    V acc[R][kGemmVectors] = {};
    for (int c = 0; c < p.depth; ++c) {
        V row[kGemmVectors];
        for (int v = 0; v < kGemmVectors; ++v)
            row[v] = load_as<Out>(p.b + c * p.b_row + k0 + L * v);
        for (int i = 0; i < R; ++i)
            for (int v = 0; v < kGemmVectors; ++v)
                acc[i][v] += static_cast<Out>(a[i * p.a_row + c * p.a_col]) * row[v];
    }
    for (int i = 0; i < R; ++i) {
        for (int v = 0; v < kGemmVectors; ++v) {
            const int k = k0 + L * v;
            Out* o = p.out + (first + i) * p.out_row + k;
            if (k + L <= p.width)
                store(o, load<V>(o) + acc[i][v]);
            else
                for (int t = 0; k + t < p.width; ++t) o[t] += acc[i][v][t];
        }
    }
}

// Computes the first `rows` rows of the product. The columns of b of one group stay in the cache
// while all rows meet them.
template <class A, class B, class Out>
SKMM_INLINE void gemm(const Product<A, B, Out>& p, i64 rows) {
    for (int k0 = 0; k0 < p.width; k0 += Register<Out>::kSize * kGemmVectors) {
        i64 i = 0;
        for (; i + kGemmRows <= rows; i += kGemmRows) gemm_block<kGemmRows>(p, i, k0);
        for (; i + 2 <= rows; i += 2) gemm_block<2>(p, i, k0);
        for (; i < rows; ++i) gemm_block<1>(p, i, k0);
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
