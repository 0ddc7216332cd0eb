// The Gaussian sketch. A block of rows of Γ is generated, multiplied with every row while it is in
// cache, and dropped.
#include <algorithm>
#include <numeric>

#include "../linalg/row_block.hpp"
#include "instantiate.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

constexpr i64 kDepth = 256;        // rows of Γ in a block; block t is [kDepth t, kDepth (t + 1))
constexpr i64 kPiece = 16;         // rows of Γ that a thread generates in one task
constexpr i64 kMaxRows = 256;      // largest number of dense rows of A in a task of a thread
constexpr i64 kCsrRows = 1024;     // largest number of CSR rows that share a generated row of Γ
constexpr i64 kCsrWork = 1 << 30;  // multiply-adds that a thread makes between two ticks

i64 strips_of(const Gaussian& g) { return ceil_div(g.out_dim, kStrip); }

// Generates the rows j[0], ..., j[count - 1] of Γ, cut into strips of kStrip columns. Writes them
// to the first `count` rows of each strip of out (strips, depth, kStrip).
void make_strips(const Gaussian& g, const u64* j, i64 count, i64 depth, float* out) {
    for (i64 strip = 0; strip < strips_of(g); ++strip)
        kernels().any.gaussian(g.seed, j, static_cast<int>(count), g.out_dim,
                               static_cast<int>(strip), out + strip * depth * kStrip);
}

}  // namespace

template <template <class> class Rows, class U>
void sketch(Rows<U> a, const Gaussian& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out) {
    using T = Sum<U>;
    if (!accumulate) clear(out);
    const i64 block = std::clamp<i64>(ceil_div(a.rows, 4 * n_threads), 1, kMaxRows);
    const Scratch<float> gamma(strips_of(g) * kDepth * kStrip);
    const Scratch<T> rooms(n_threads * block * kDepth);
    u64 j[kDepth];
    for (i64 c = 0, depth; c < a.cols; c += depth) {
        depth = std::min(kDepth - (offset + c) % kDepth, a.cols - c);
        tick(a.rows * c);
        std::iota(j, j + depth, static_cast<u64>(offset + c));
        parallel_blocks(ceil_div(depth, kPiece), n_threads, [&](i64 b, int) {
            const i64 first = b * kPiece;
            make_strips(g, j + first, std::min(kPiece, depth - first), depth,
                        gamma.data() + first * kStrip);
        });
        parallel_blocks(ceil_div(a.rows, block), n_threads, [&](i64 b, int slot) {
            const i64 i = b * block, rows = std::min(block, a.rows - i);
            const MatrixView<T> x =
                pieces(part(a, i, rows, c, depth), rooms.data() + slot * block * kDepth);
            for (i64 strip = 0; strip < strips_of(g); ++strip) {
                const i64 k = strip * kStrip;
                kernels().of<T>().gemm_strip(x.data, x.stride, rows, static_cast<int>(depth),
                                             gamma.data() + k * depth, out.row(i) + k, out.stride,
                                             static_cast<int>(std::min<i64>(kStrip, out.cols - k)));
            }
        });
    }
}

namespace {

// Sketches the rows [first, first + rows) of a CSR matrix together, in ascending blocks of kDepth
// columns. A row of Γ is generated once, when the first of these rows has an entry in its column.
// Scratch memory: gamma holds kDepth rows of Γ; next (rows) is the next entry of each row.
// Another thread may change the indices meanwhile, so that each is read once where it leads to
// memory, and a round that finds no entry in its block ends the work.
template <class T, class I>
void sketch_rows(CsrView<T, I> a, i64 first, i64 rows, const Gaussian& g, i64 offset, float* gamma,
                 i64* next, MutableMatrixView<T> out) {
    const i64 width = strips_of(g) * kStrip;
    const I* end = a.indptr + first + 1;
    std::copy_n(a.indptr + first, rows, next);
    for (bool found = true; found;) {
        i64 c = a.cols;
        for (i64 i = 0; i < rows; ++i)
            if (next[i] < end[i]) c = std::min<i64>(c, a.indices[next[i]]);
        bool made[kDepth] = {};
        found = false;
        for (i64 i = 0; i < rows; ++i) {
            for (; next[i] < end[i]; ++next[i]) {
                const i64 column = __atomic_load_n(a.indices + next[i], __ATOMIC_RELAXED);
                if (column < c || column >= std::min(c + kDepth, a.cols)) break;
                const i64 at = column - c;
                const u64 j = static_cast<u64>(offset + column);
                if (!made[at]) make_strips(g, &j, 1, 1, gamma + at * width);
                made[at] = found = true;
                kernels().of<T>().axpy(a.values[next[i]], gamma + at * width, out.cols,
                                       out.row(first + i));
            }
        }
    }
}

}  // namespace

template <class T, class I>
void sketch(CsrView<T, I> a, const Gaussian& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<T> out) {
    if (!accumulate) clear(out);
    const i64 gamma_size = kDepth * strips_of(g) * kStrip;
    const i64 row_work = ceil_div(a.indptr[a.rows] * g.out_dim, a.rows) + 1;
    const i64 most = std::clamp<i64>(kCsrWork / row_work, 1, kCsrRows);
    const i64 block = std::clamp<i64>(ceil_div(a.rows, n_threads), 1, most);
    Scratch<float> gammas(n_threads * gamma_size);
    Scratch<i64> nexts(n_threads * block);
    for (i64 row = 0; row < a.rows; row += n_threads * block) {
        tick(a.indptr[row]);
        parallel_blocks(n_threads, n_threads, [&](i64 b, int slot) {
            const i64 first = std::min(row + b * block, a.rows);
            sketch_rows(a, first, std::min(block, a.rows - first), g, offset,
                        gammas.data() + slot * gamma_size, nexts.data() + slot * block, out);
        });
    }
}

void rows_of(const Gaussian& g, i64 start, MutableMatrixView<float> out) {
    Scratch<float> gamma(strips_of(g) * kStrip);
    for (i64 i = 0; i < out.rows; ++i) {
        const u64 j = static_cast<u64>(start + i);
        make_strips(g, &j, 1, 1, gamma.data());
        std::copy_n(gamma.data(), out.cols, out.row(i));
    }
}

SKMM_ROWS(Gaussian)
SKMM_CSR(Gaussian)

}  // namespace skmm
