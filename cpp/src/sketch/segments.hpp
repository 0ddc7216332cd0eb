// sum_segments(): the loop that both sign sketches of dense rows share. It cuts the columns into
// segments and adds their sums in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "skmm/base/float16.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/tick.hpp"
#include "skmm/base/types.hpp"
#include "skmm/base/views.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

// Segment s is the rows [kSegment s, kSegment (s + 1)) of Γ. Its contribution is summed from zero
// before it is added to the output. This makes the order of summation independent of the number of
// threads, and keeps sums of floats short.
constexpr std::int64_t kSegment = 1 << 15;

// A group is the rows of A that one thread takes through a segment; they share tables of targets.
constexpr std::int64_t kGroupRows = 256;       // largest number of rows in a group
constexpr std::int64_t kGroupBytes = 1 << 19;  // bytes of the sums of a group: part of an L2 cache
constexpr std::int64_t kSumBytes = 1 << 22;    // bytes of all sums not yet added to the output
constexpr std::int64_t kWork = 1 << 30;        // additions between two ticks

// A task of a thread is one group in one segment. The tasks between two ticks are those of `wave`
// segments and `groups` groups of `group` rows, where `group` is a multiple of `tile`. They are at
// least one per thread if there are enough; beyond that, kSumBytes and kWork limit them. Rows are
// split into groups only as far as it takes to occupy the threads, since a group shares tables.
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

// The layout of sums. The sums of `tile` rows are stored together, with row_size numbers for each
// row. A row of Γ has `entries` nonzero entries.
struct Layout {
    std::int64_t tile, row_size, entries;
};

// Computes the sketch of `a` segment by segment and writes it to out, or adds it with `accumulate`.
// add(rows, c, slot, sums) must add the contribution of `rows`, a part of `a`, to the sums of these
// rows; the first column of `rows` belongs to row c of Γ. fold(sums, rows) must add the sums of up
// to kTileRows rows to `rows`, a part of the output.
template <template <class> class Rows, class U, class Add, class Fold>
void sum_segments(Rows<U> a, std::int64_t offset, Layout layout, bool accumulate, int n_threads,
                  const Tick& tick, MutableMatrixView<Sum<U>> out, const Add& add,
                  const Fold& fold) {
    using T = Sum<U>;
    constexpr i64 L = kTileRows<T>;
    const i64 row_size = layout.row_size;
    const i64 first = offset / kSegment, last = ceil_div(offset + a.cols, kSegment);
    const Plan tasks = plan(a.rows, last - first, layout.tile,
                            row_size * static_cast<i64>(sizeof(T)), layout.entries, n_threads);
    const i64 group = tasks.group, wave = tasks.wave, at_once = group * tasks.groups;
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
