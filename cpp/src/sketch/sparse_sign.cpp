// The sparse-sign sketch of dense rows. Rows are taken in tiles; every column of a tile is added to
// the sums of its zeta targets.
#include <algorithm>
#include <numeric>

#include "instantiate.hpp"
#include "row_block.hpp"
#include "segments.hpp"
#include "sign_targets.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

// Up to this many rows are sketched one by one, since a tile of 16 rows costs about as much as
// three single rows.
constexpr i64 kFewRows = 2;

}  // namespace

// Sums are stored in tiles (m, tile). A tile has kTileRows rows, or one row if A has so few rows
// that all are sketched one by one.
template <template <class> class Rows, class U>
void sketch(Rows<U> a, const SparseSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out) {
    using T = Sum<U>;
    constexpr i64 L = kTileRows<T>;
    const i64 m = g.out_dim, tile = a.rows > kFewRows ? L : 1;
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
            for (i64 i = 0; i < rows.rows; i += L) {
                const i64 n = std::min(L, rows.rows - i);
                // Lanes past the last row repeat the first row of the tile. Their sums are not
                // used.
                const T *x[L], *next[L];
                for (i64 l = 0; l < L; ++l) {
                    T* const place = room + l * kTargetBlock;
                    x[l] = l < n ? piece(rows, i + l, c, count, place) : x[0];
                    next[l] = ahead(rows, i + L + l, c, count, x[l]);
                }
                if (n > kFewRows) {
                    kernels().of<T>().scatter_tile(x, next, count, g.zeta, at, sums + i * m);
                } else {
                    for (i64 l = 0; l < n; ++l)
                        kernels().of<T>().scatter_row(x[l], count, g.zeta, at,
                                                      sums + (i + l) / tile * tile * m + l % tile);
                }
            }
        }
    };
    const auto fold = [&](const T* sums, MutableMatrixView<T> rows) {
        if (tile > 1)
            kernels().of<T>().add_tile(sums, m, scale, static_cast<int>(rows.rows), rows.data,
                                       rows.stride);
        else
            for (i64 i = 0; i < rows.rows; ++i)
                for (i64 k = 0; k < m; ++k) rows.row(i)[k] += scale * sums[i * m + k];
    };
    sum_segments(a, offset, {tile, m, g.zeta}, accumulate, n_threads, tick, out, add, fold);
}

SKMM_ROWS(SparseSign)

}  // namespace skmm
