// The frame of both sign families on dense rows: sums over segments of columns, in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "skmm/float16.hpp"
#include "skmm/kernels.hpp"
#include "skmm/memory.hpp"
#include "skmm/parallel.hpp"
#include "skmm/views.hpp"

namespace skmm {

// Rows of Γ [kSegment s, kSegment (s + 1)) are summed from zero before they are added to the
// output: this fixes the order of summation for any number of threads, and keeps float sums short.
constexpr std::int64_t kSegment = 1 << 15;

constexpr std::int64_t kGroupRows = 256;       // rows that share the tables of a thread, at most
constexpr std::int64_t kGroupBytes = 1 << 19;  // of their sums: part of an L2 cache
constexpr std::int64_t kSumBytes = 1 << 22;    // of sums that wait to be added to the output

// out (+)= what `fold` makes of the sums of all segments, where
// add(rows, c, slot, sums) adds the columns of a slice of `a`, of which the first meets row c of Γ,
// to sums (rows, row_size), and fold(sums, rows) adds sums of up to kTileRows rows to the output.
template <class U, class Add, class Fold>
void sum_segments(MatrixView<U> a, std::int64_t offset, std::int64_t row_size, bool accumulate,
                  int n_threads, const Tick& tick, MutableMatrixView<Sum<U>> out, const Add& add,
                  const Fold& fold) {
    using i64 = std::int64_t;
    using T = Sum<U>;
    constexpr i64 L = kTileRows<T>;

    // Blocks of (row group, segment); rows are split only as far as it takes to occupy the threads,
    // and as many blocks are in work as their sums have room.
    const i64 first = offset / kSegment, last = ceil_div(offset + a.cols, kSegment);
    const i64 segments = last - first;
    i64 groups = 1;
    while (groups * segments % n_threads != 0 && groups * segments < 5 * n_threads) ++groups;
    const i64 row_bytes = row_size * static_cast<i64>(sizeof(T));
    const i64 most = std::clamp(kGroupBytes / row_bytes / L * L, L, kGroupRows);
    const i64 group = std::min(most, ceil_div(ceil_div(a.rows, groups), L) * L);
    const i64 blocks = std::max<i64>(kSumBytes / (group * row_bytes), n_threads);
    const i64 wave = std::min(segments, blocks);
    groups = std::min(std::max(groups, blocks / wave), ceil_div(a.rows, group));
    Scratch<T> scratch(groups * wave * group * row_size);

    for (i64 row = 0; row < a.rows; row += groups * group) {
        const i64 rows = std::min(groups * group, a.rows - row);
        for (i64 segment = first; segment < last; segment += wave) {
            const i64 width = std::min(wave, last - segment);
            const auto sums = [&](i64 s, i64 i) {
                return scratch.data() + (s * groups * group + i) * row_size;
            };
            tick(row * a.cols + rows * std::max<i64>(segment * kSegment - offset, 0));
            parallel_blocks(groups * width, n_threads, [&](i64 b, int slot) {
                const i64 s = b / groups, i = b % groups * group, n = std::min(group, rows - i);
                if (n <= 0) return;
                const i64 c0 = std::max((segment + s) * kSegment, offset);
                const i64 c1 = std::min((segment + s + 1) * kSegment, offset + a.cols);
                std::fill_n(sums(s, i), ceil_div(n, L) * L * row_size, T(0));
                add(MatrixView<U>{a.row(row + i) + c0 - offset, n, c1 - c0, a.stride}, c0, slot,
                    sums(s, i));
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
