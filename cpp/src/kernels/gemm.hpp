// Gaussian sketch: rows times a strip of Γ that lies in cache.
#pragma once

#include "skmm/kernels.hpp"
#include "vectors.hpp"

namespace skmm {
namespace {

// The block of rows x vectors whose sums fill the registers.
#if defined(__AVX512F__)
constexpr int kGemmRows = 6, kGemmVectors = 4;
#else
constexpr int kGemmRows = 4, kGemmVectors = 2;
#endif

template <int N>
struct Int {
    static constexpr int value = N;
};

template <int R, class T>
SKMM_INLINE void gemm_rows(const T* a, i64 a_stride, int depth, const float* strip, T* out,
                           i64 out_stride, int width) {
    using V = Vector<T>;
    constexpr int L = Register<T>::kSize;
    for (int k0 = 0; k0 < width; k0 += L * kGemmVectors) {
        V acc[R][kGemmVectors] = {};
        for (int c = 0; c < depth; ++c) {
            V gamma[kGemmVectors];
            for (int v = 0; v < kGemmVectors; ++v)
                gamma[v] = __builtin_convertvector(
                    (load<Vector<float, L>>(strip + c * kStrip + k0 + L * v)), V);
            for (int i = 0; i < R; ++i)
                for (int v = 0; v < kGemmVectors; ++v) acc[i][v] += a[i * a_stride + c] * gamma[v];
        }
        for (int i = 0; i < R; ++i) {
            for (int v = 0; v < kGemmVectors; ++v) {
                const int k = k0 + L * v;
                T* o = out + i * out_stride + k;
                if (k + L <= width)
                    store(o, load<V>(o) + acc[i][v]);
                else
                    for (int t = 0; k + t < width; ++t) o[t] += acc[i][v][t];
            }
        }
    }
}

template <class T>
void gemm_strip(const T* a, i64 a_stride, i64 rows, int depth, const float* strip, T* out,
                i64 out_stride, int width) {
    const auto multiply = [&](auto block, i64 i) {
        gemm_rows<decltype(block)::value>(a + i * a_stride, a_stride, depth, strip,
                                          out + i * out_stride, out_stride, width);
    };
    i64 i = 0;
    for (; i + kGemmRows <= rows; i += kGemmRows) multiply(Int<kGemmRows>{}, i);
    for (; i + 2 <= rows; i += 2) multiply(Int<2>{}, i);
    for (; i < rows; ++i) multiply(Int<1>{}, i);
}

template <class T>
void axpy(T x, const float* row, i64 m, T* out) {
    for (i64 k = 0; k < m; ++k) out[k] += x * static_cast<T>(row[k]);
}

}  // namespace
}  // namespace skmm
