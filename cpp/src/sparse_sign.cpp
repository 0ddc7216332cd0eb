// The sparse-sign sketch: every column of a tile of rows is added to its zeta targets.
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

// Columns summed from zero before they are added to the output: fixes the order of summation for
// any number of threads, and keeps float sums short.
constexpr i64 kSegment = 1 << 15;

// Rows whose accumulators one thread keeps in its cache while it reads a segment.
constexpr i64 kGroupRows = 256;

// CSR rows taken by a thread at a time, and entries of Γ used between two ticks.
constexpr i64 kCsrRows = 64;
constexpr i64 kCsrWork = 1 << 26;

float entry_of(const SparseSign& g) { return 1.0f / std::sqrt(static_cast<float>(g.zeta)); }

// Room for the targets of kTargetBlock rows of Γ, one table per slot.
class TargetTables {
public:
    TargetTables(int zeta, int slots)
        : size_(i64{zeta} * kTargetBlock), words_(2 * size_ * slots) {}
    Targets operator[](int slot) const {
        std::uint32_t* at = words_.data() + 2 * size_ * slot;
        return {at, at + size_};
    }

private:
    i64 size_;
    Scratch<std::uint32_t> words_;
};

// acc (tiles, m, kTileRows) += A[:, c0:c1] Γ √zeta.
template <class T>
void add_segment(MatrixView<T> a, const SparseSign& g, i64 offset, i64 c0, i64 c1, Targets at,
                 T* acc) {
    constexpr int L = kTileRows<T>;
    u64 j[kTargetBlock];
    for (i64 c = c0; c < c1; c += kTargetBlock) {
        const int count = static_cast<int>(std::min<i64>(kTargetBlock, c1 - c));
        std::iota(j, j + count, static_cast<u64>(offset + c));
        kernels().any.sparse_sign(g.seed, j, count, g.out_dim, g.zeta, L, at);
        for (i64 i = 0; i < a.rows; i += L) {
            const T* rows[L];  // past the end the last row repeats; those sums are not used
            for (int l = 0; l < L; ++l) rows[l] = a.row(std::min(i + l, a.rows - 1)) + c;
            kernels().of<T>().scatter_tile(rows, count, g.zeta, at, acc + i * g.out_dim);
        }
    }
}

// out += scale * acc, back from tiles to rows.
template <class T>
void fold(const T* acc, T scale, MutableMatrixView<T> out) {
    constexpr int L = kTileRows<T>;
    for (i64 i = 0; i < out.rows; ++i) {
        const T* sum = acc + i / L * L * out.cols + i % L;
        for (i64 k = 0; k < out.cols; ++k) out.row(i)[k] += scale * sum[k * L];
    }
}

// acc (m) += row i of A Γ √zeta.
template <class T, class I>
void add_row(CsrView<T, I> a, i64 i, const SparseSign& g, i64 offset, Targets at, T* acc) {
    u64 j[kTargetBlock];
    for (i64 e = a.indptr[i]; e < a.indptr[i + 1]; e += kTargetBlock) {
        const int count = static_cast<int>(std::min<i64>(kTargetBlock, a.indptr[i + 1] - e));
        for (int c = 0; c < count; ++c) j[c] = static_cast<u64>(offset + a.indices[e + c]);
        kernels().any.sparse_sign(g.seed, j, count, g.out_dim, g.zeta, 1, at);
        kernels().of<T>().scatter_row(a.values + e, count, g.zeta, at, acc);
    }
}

}  // namespace

template <class T>
void sketch(MatrixView<T> a, const SparseSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<T> out) {
    constexpr i64 L = kTileRows<T>;
    const T scale = entry_of(g);
    const i64 m = g.out_dim;
    if (!accumulate) clear(out);

    // Rectangles of (row group, segment), as many at a time as threads: a group per thread, and
    // several segments of each group where groups are fewer than threads.
    const i64 group = std::clamp(ceil_div(ceil_div(a.rows, n_threads), L) * L, L, kGroupRows);
    const i64 groups = std::min<i64>(n_threads, ceil_div(a.rows, group));
    const i64 segments = ceil_div(a.cols, kSegment);
    const i64 wave = std::clamp<i64>(n_threads / groups, 1, segments);
    TargetTables tables(g.zeta, n_threads);
    Scratch<T> sums(groups * wave * group * m);
    const auto sum_of = [&](i64 k, i64 s) { return sums.data() + (k * wave + s) * group * m; };

    for (i64 row = 0; row < a.rows; row += groups * group) {
        const auto begin = [&](i64 k) { return std::min(row + k * group, a.rows); };
        for (i64 segment = 0; segment < segments; segment += wave) {
            const i64 width = std::min(wave, segments - segment);
            tick(row * a.cols);
            parallel_blocks(groups * width, n_threads, [&](i64 b, int slot) {
                const i64 k = b / width, s = b % width, rows = begin(k + 1) - begin(k);
                const i64 c0 = (segment + s) * kSegment, c1 = std::min(c0 + kSegment, a.cols);
                std::fill_n(sum_of(k, s), ceil_div(rows, L) * L * m, T(0));
                if (rows > 0)
                    add_segment(slice(a, begin(k), rows), g, offset, c0, c1, tables[slot],
                                sum_of(k, s));
            });
            parallel_blocks(groups, n_threads, [&](i64 k, int) {
                for (i64 s = 0; s < width; ++s)
                    fold(sum_of(k, s), scale, slice(out, begin(k), begin(k + 1) - begin(k)));
            });
        }
    }
}

template <class T, class I>
void sketch(CsrView<T, I> a, const SparseSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<T> out) {
    const T scale = entry_of(g);
    const i64 m = g.out_dim;
    if (!accumulate) clear(out);

    TargetTables tables(g.zeta, n_threads);
    Scratch<T> sums(n_threads * m);
    const i64 row_work = ceil_div(a.indptr[a.rows] * g.zeta, a.rows) + 1;
    const i64 batch = std::max<i64>(kCsrWork / row_work, 1) * n_threads;
    const i64 block =
        std::clamp<i64>(ceil_div(std::min(batch, a.rows), 4 * n_threads), 1, kCsrRows);
    for (i64 row = 0; row < a.rows; row += batch) {
        tick(a.indptr[row]);
        const i64 end = std::min(row + batch, a.rows);
        parallel_blocks(ceil_div(end - row, block), n_threads, [&](i64 b, int slot) {
            T* sum = sums.data() + slot * m;
            for (i64 i = row + b * block; i < std::min(row + (b + 1) * block, end); ++i) {
                std::fill_n(sum, m, T(0));
                add_row(a, i, g, offset, tables[slot], sum);
                for (i64 k = 0; k < m; ++k) out.row(i)[k] += scale * sum[k];
            }
        });
    }
}

void rows_of(const SparseSign& g, i64 start, MutableMatrixView<float> out) {
    const float entry = entry_of(g);
    const TargetTables tables(g.zeta, 1);
    clear(out);
    for (i64 i = 0; i < out.rows; ++i) {
        const u64 j = static_cast<u64>(start + i);
        kernels().any.sparse_sign(g.seed, &j, 1, g.out_dim, g.zeta, 1, tables[0]);
        kernels().f32.scatter_row(&entry, 1, g.zeta, tables[0], out.row(i));
    }
}

#define SKMM_INSTANTIATE(T)                                                                        \
    template void sketch(MatrixView<T>, const SparseSign&, i64, bool, int, const Tick&,            \
                         MutableMatrixView<T>);                                                    \
    template void sketch(CsrView<T, std::int32_t>, const SparseSign&, i64, bool, int, const Tick&, \
                         MutableMatrixView<T>);                                                    \
    template void sketch(CsrView<T, std::int64_t>, const SparseSign&, i64, bool, int, const Tick&, \
                         MutableMatrixView<T>);
SKMM_INSTANTIATE(float)
SKMM_INSTANTIATE(double)
#undef SKMM_INSTANTIATE

}  // namespace skmm
