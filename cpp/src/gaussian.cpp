// The Gaussian sketch: pieces of Γ are made in cache, multiplied with every row, and dropped.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "skmm/kernels.hpp"
#include "skmm/memory.hpp"
#include "skmm/parallel.hpp"
#include "skmm/sketch.hpp"

namespace skmm {
namespace {

using i64 = std::int64_t;
using u64 = std::uint64_t;

constexpr i64 kDepth = 256;    // rows of Γ made at a time
constexpr i64 kPiece = 16;     // of which a thread makes this many
constexpr i64 kMaxRows = 256;  // rows of dense A that a thread multiplies at a time
constexpr i64 kCsrRows = 64;   // rows of CSR that a thread multiplies at a time

i64 strips_of(const Gaussian& g) { return ceil_div(g.out_dim, kStrip); }

// Rows j[0, count) of Γ, cut into strips of kStrip columns: out (strips, depth, kStrip), of which
// the rows [., 0:count, .] are written.
void make_strips(const Gaussian& g, const u64* j, i64 count, i64 depth, float* out) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(g.out_dim));
    for (i64 strip = 0; strip < strips_of(g); ++strip)
        kernels().any.gaussian(g.seed, j, static_cast<int>(count), static_cast<int>(strip), scale,
                               out + strip * depth * kStrip);
}

}  // namespace

template <class T>
void sketch(MatrixView<T> a, const Gaussian& g, i64 offset, bool accumulate, int n_threads,
            MutableMatrixView<T> out) {
    if (!accumulate) clear(out);
    const i64 block = std::clamp<i64>(ceil_div(a.rows, 4 * n_threads), 1, kMaxRows);
    Scratch<float> gamma(strips_of(g) * kDepth * kStrip);
    u64 j[kDepth];
    for (i64 c = 0; c < a.cols; c += kDepth) {
        const i64 depth = std::min(kDepth, a.cols - c);
        std::iota(j, j + depth, static_cast<u64>(offset + c));
        parallel_blocks(ceil_div(depth, kPiece), n_threads, [&](i64 b, int) {
            const i64 first = b * kPiece;
            make_strips(g, j + first, std::min(kPiece, depth - first), depth,
                        gamma.data() + first * kStrip);
        });
        parallel_blocks(ceil_div(a.rows, block), n_threads, [&](i64 b, int) {
            const i64 i = b * block, rows = std::min(block, a.rows - i);
            for (i64 strip = 0; strip < strips_of(g); ++strip) {
                const i64 k = strip * kStrip;
                kernels().of<T>().gemm_strip(a.row(i) + c, a.stride, rows, static_cast<int>(depth),
                                             gamma.data() + k * depth, out.row(i) + k, out.stride,
                                             static_cast<int>(std::min<i64>(kStrip, out.cols - k)));
            }
        });
    }
}

// Columns in order; a row of Γ is made once for a block of rows, when the first has an entry there.
template <class T, class I>
void sketch(CsrView<T, I> a, const Gaussian& g, i64 offset, bool accumulate, int n_threads,
            MutableMatrixView<T> out) {
    if (!accumulate) clear(out);
    const i64 width = strips_of(g) * kStrip;
    Scratch<float> gammas(n_threads * kDepth * width);
    Scratch<bool> mades(n_threads * kDepth);
    Scratch<i64> nexts(n_threads * kCsrRows);
    parallel_blocks(ceil_div(a.rows, kCsrRows), n_threads, [&](i64 b, int slot) {
        float* gamma = gammas.data() + slot * kDepth * width;
        bool* made = mades.data() + slot * kDepth;
        i64* next = nexts.data() + slot * kCsrRows;
        const i64 r0 = b * kCsrRows, rows = std::min(kCsrRows, a.rows - r0);
        const auto left = [&](i64 i) { return next[i] < a.indptr[r0 + i + 1]; };
        std::copy_n(a.indptr + r0, rows, next);
        for (;;) {
            i64 c = a.cols;
            for (i64 i = 0; i < rows; ++i)
                if (left(i)) c = std::min<i64>(c, a.indices[next[i]]);
            if (c == a.cols) break;
            std::fill_n(made, kDepth, false);
            for (i64 i = 0; i < rows; ++i) {
                for (; left(i) && a.indices[next[i]] < c + kDepth; ++next[i]) {
                    const i64 at = a.indices[next[i]] - c;
                    const u64 j = static_cast<u64>(offset + c + at);
                    if (!made[at]) make_strips(g, &j, 1, 1, gamma + at * width);
                    made[at] = true;
                    kernels().of<T>().axpy(a.values[next[i]], gamma + at * width, out.cols,
                                           out.row(r0 + i));
                }
            }
        }
    });
}

void rows_of(const Gaussian& g, i64 start, MutableMatrixView<float> out) {
    Scratch<float> gamma(strips_of(g) * kStrip);
    for (i64 i = 0; i < out.rows; ++i) {
        const u64 j = static_cast<u64>(start + i);
        make_strips(g, &j, 1, 1, gamma.data());
        std::copy_n(gamma.data(), out.cols, out.row(i));
    }
}

#define SKMM_INSTANTIATE(T)                                                                   \
    template void sketch(MatrixView<T>, const Gaussian&, i64, bool, int, MutableMatrixView<T>); \
    template void sketch(CsrView<T, std::int32_t>, const Gaussian&, i64, bool, int,           \
                         MutableMatrixView<T>);                                               \
    template void sketch(CsrView<T, std::int64_t>, const Gaussian&, i64, bool, int,           \
                         MutableMatrixView<T>);
SKMM_INSTANTIATE(float)
SKMM_INSTANTIATE(double)
#undef SKMM_INSTANTIATE

}  // namespace skmm
