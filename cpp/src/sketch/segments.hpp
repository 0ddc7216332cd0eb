// The frame of both sign families on dense rows: sums over segments of columns, in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "skmm/base/float16.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/base/views.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

// Rows of Γ [kSegment s, kSegment (s + 1)) are summed from zero before they are added to the
// output: this fixes the order of summation for any number of threads, and keeps float sums short.
constexpr std::int64_t kSegment = 1 << 15;

constexpr std::int64_t kGroupRows = 256;       // rows that share the tables of a thread, at most
constexpr std::int64_t kGroupBytes = 1 << 19;  // of their sums: part of an L2 cache
constexpr std::int64_t kSumBytes = 1 << 22;    // of sums that wait to be added to the output
constexpr std::int64_t kWork = 1 << 30;        // additions between two ticks

// Blocks of (row group, segment) in work at a time: `wave` segments of `groups` groups of `group`
// rows, a multiple of `tile`. At least a block per thread, where there are as many, and no more
// than kSumBytes and kWork allow beyond that. Rows are split only as far as it takes to occupy the
// threads, since the rows of a group share tables.
struct Plan {
    std::int64_t group, groups, wave;
};
inline Plan plan(std::int64_t rows, std::int64_t segments, std::int64_t tile,
                 std::int64_t row_bytes, std::int64_t entries, int n_threads) {
    std::int64_t splits = 1;
    while (splits * segments % n_threads != 0 && splits * segments < 5 * n_threads) ++splits;
    const std::int64_t most = std::clamp(kGroupBytes / row_bytes / tile * tile, tile, kGroupRows);
    const std::int64_t group = std::min(most, ceil_div(ceil_div(rows, splits), tile) * tile);
    const std::int64_t affordable =
        std::min(kSumBytes / (group * row_bytes), kWork / (group * kSegment * entries));
    const std::int64_t blocks = std::max<std::int64_t>(affordable, n_threads);
    const std::int64_t wave = std::min(segments, blocks);
    return {group, std::min(std::max(splits, blocks / wave), ceil_div(rows, group)), wave};
}

// The sums of rows: in tiles of `tile` rows of row_size numbers each; `entries` of Γ for a column.
struct Layout {
    std::int64_t tile, row_size, entries;
};

// out (+)= what `fold` makes of the sums of all segments, where
// add(rows, c, slot, sums) adds the columns of a slice of `a`, of which the first meets row c of Γ,
// to the sums of these rows, and fold(sums, rows) adds sums of up to kTileRows rows to the output.
template <template <class> class Rows, class U, class Add, class Fold>
void sum_segments(Rows<U> a, std::int64_t offset, Layout layout, bool accumulate, int n_threads,
                  const Tick& tick, MutableMatrixView<Sum<U>> out, const Add& add,
                  const Fold& fold) {
    using T = Sum<U>;
    constexpr i64 L = kTileRows<T>;
    const i64 row_size = layout.row_size;
    const i64 first = offset / kSegment, last = ceil_div(offset + a.cols, kSegment);
    const auto [group, groups, wave] =
        plan(a.rows, last - first, layout.tile, row_size * static_cast<i64>(sizeof(T)),
             layout.entries, n_threads);
    const i64 at_once = group * groups;
    const Scratch<T> scratch(wave * at_once * row_size);

    for (i64 row = 0; row < a.rows; row += at_once) {
        const i64 rows = std::min(at_once, a.rows - row);
        for (i64 segment = first; segment < last; segment += wave) {
            const i64 width = std::min(wave, last - segment);
            const auto sums = [&](i64 s, i64 i) {
                return scratch.data() + (s * at_once + i) * row_size;
            };
            tick(row * a.cols + rows * std::max<i64>(segment * kSegment - offset, 0));
            const i64 in_rows = ceil_div(rows, group);
            parallel_blocks(in_rows * width, n_threads, [&](i64 b, int slot) {
                const i64 s = b / in_rows, i = b % in_rows * group, n = std::min(group, rows - i);
                const i64 c0 = std::max((segment + s) * kSegment, offset);
                const i64 c1 = std::min((segment + s + 1) * kSegment, offset + a.cols);
                std::fill_n(sums(s, i), ceil_div(n, layout.tile) * layout.tile * row_size, T(0));
                add(part(a, row + i, n, c0 - offset, c1 - c0), c0, slot, sums(s, i));
            });
            parallel_blocks(ceil_div(rows, L), n_threads, [&](i64 tile, int) {
                const i64 i = tile * L;
                if (!accumulate && segment == first)
                    clear(slice(out, row + i, std::min(L, rows - i)));
                for (i64 s = 0; s < width; ++s)
                    fold(sums(s, i), slice(out, row + i, std::min(L, rows - i)));
            });
        }
    }
}

}  // namespace skmm
