// The sign sketches of CSR rows, and the rows of a sign matrix Γ. Both are made row by row: the
// targets of each entry are generated from the index of its column.
#include <algorithm>

#include "instantiate.hpp"
#include "sign_targets.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

constexpr i64 kCsrRows = 64;       // largest number of rows in a task of a thread
constexpr i64 kCsrWork = 1 << 26;  // additions that a thread makes between two ticks

// Adds row i of √zeta A Γ to acc (m). `at` is scratch memory for targets.
template <class S, class T, class I>
void add_row(CsrView<T, I> a, i64 i, const S& g, i64 offset, Targets at, T* acc) {
    u64 j[kTargetBlock];
    for (i64 e = a.indptr[i]; e < a.indptr[i + 1]; e += kTargetBlock) {
        const int count = static_cast<int>(std::min<i64>(kTargetBlock, a.indptr[i + 1] - e));
        for (int c = 0; c < count; ++c)  // any word has targets, whatever the index is by now
            j[c] = static_cast<u64>(offset) + static_cast<u64>(a.indices[e + c]);
        targets(g, j, count, 1, at);
        kernels().of<T>().scatter_row(a.values + e, count, entries_of(g), at, acc);
    }
}

template <class S, class T, class I>
void sketch_csr(CsrView<T, I> a, const S& g, i64 offset, bool accumulate, int n_threads,
                const Tick& tick, MutableMatrixView<T> out) {
    const T scale = entry_of(g);
    const i64 m = g.out_dim;
    if (!accumulate) clear(out);

    const TargetTables tables(entries_of(g), n_threads);
    const Scratch<T> sums(n_threads * m);
    const i64 row_work = ceil_div(i64{a.indptr[a.rows]} * entries_of(g), a.rows) + 1;
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

template <class S>
void rows_of_signs(const S& g, i64 start, MutableMatrixView<float> out) {
    const float entry = entry_of(g);
    const TargetTables tables(entries_of(g), 1);
    clear(out);
    for (i64 i = 0; i < out.rows; ++i) {
        const u64 j = static_cast<u64>(start + i);
        targets(g, &j, 1, 1, tables[0]);
        kernels().f32.scatter_row(&entry, 1, entries_of(g), tables[0], out.row(i));
    }
}

}  // namespace

template <class T, class I>
void sketch(CsrView<T, I> a, const SparseSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<T> out) {
    sketch_csr(a, g, offset, accumulate, n_threads, tick, out);
}

template <class T, class I>
void sketch(CsrView<T, I> a, const GroupedSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<T> out) {
    sketch_csr(a, g, offset, accumulate, n_threads, tick, out);
}

void rows_of(const SparseSign& g, i64 start, MutableMatrixView<float> out) {
    rows_of_signs(g, start, out);
}

void rows_of(const GroupedSign& g, i64 start, MutableMatrixView<float> out) {
    rows_of_signs(g, start, out);
}

SKMM_CSR(SparseSign)
SKMM_CSR(GroupedSign)

}  // namespace skmm
