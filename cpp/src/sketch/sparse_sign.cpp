// The sparse-sign sketch of dense rows. Rows are taken in tiles; every column of a tile is added to
// the sums of its zeta targets.
#include <algorithm>
#include <numeric>

#include "../linalg/row_block.hpp"
#include "instantiate.hpp"
#include "segments.hpp"
#include "sign_targets.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

// The lanes of the tile that takes n rows: one, a quarter of kTileRows, a half, or all.
template <class T>
i64 lanes_for(i64 n) {
    constexpr i64 L = kTileRows<T>;
    return n == 1 ? 1 : n <= L / 4 ? L / 4 : n <= L / 2 ? L / 2 : L;
}

}  // namespace

// Sums are stored in tiles (m, tile), which are as narrow as the rows of A allow.
template <template <class> class Rows, class U>
void sketch(Rows<U> a, const SparseSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out) {
    using T = Sum<U>;
    constexpr i64 L = kTileRows<T>;
    const i64 m = g.out_dim, tile = lanes_for<T>(a.rows);
    const T scale = entry_of(g);
    const TargetTables tables(g.zeta, n_threads);
    const Scratch<T> rooms(n_threads * L * kTargetBlock);

    const auto add = [&](Rows<U> rows, i64 c0, int slot, T* sums) {
        const Targets at = tables[slot];
        T* const room = rooms.data() + slot * L * kTargetBlock;
        std::uint64_t j[kTargetBlock];
        for (i64 c = 0; c < rows.cols; c += kTargetBlock) {
            const int count = static_cast<int>(std::min<i64>(kTargetBlock, rows.cols - c));
            std::iota(j, j + count, static_cast<std::uint64_t>(c0 + c));
            targets(g, j, count, static_cast<std::uint32_t>(tile), at);
            for (i64 i = 0; i < rows.rows; i += tile) {
                const i64 n = std::min(tile, rows.rows - i), lanes = lanes_for<T>(n);
                // Lanes past the last row repeat the first row of the tile. Their sums are not
                // used.
                const T *x[L], *next[L];
                for (i64 l = 0; l < lanes; ++l) {
                    T* const place = room + l * kTargetBlock;
                    x[l] = l < n ? piece(rows, i + l, c, count, place) : x[0];
                    next[l] = ahead(rows, i + tile + l, c, count, x[l]);
                }
                if (lanes == 1)
                    kernels().of<T>().scatter_row(x[0], count, g.zeta, at, sums + i * m);
                else
                    kernels().of<T>().scatter_tile(x, next, static_cast<int>(lanes), count, g.zeta,
                                                   at, sums + i * m);
            }
        }
    };
    const auto fold = [&](const T* sums, MutableMatrixView<T> rows) {
        if (tile == L)
            kernels().of<T>().add_tile(sums, m, scale, static_cast<int>(rows.rows), rows.data,
                                       rows.stride);
        else
            for (i64 i = 0; i < rows.rows; ++i)
                for (i64 k = 0; k < m; ++k) rows.row(i)[k] += scale * sums[k * tile + i];
    };
    sum_segments(a, offset, {tile, m, g.zeta}, accumulate, n_threads, tick, out, add, fold);
}

SKMM_ROWS(SparseSign)

}  // namespace skmm
