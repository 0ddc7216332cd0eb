// The grouped-sign sketch of dense rows. Each chunk of columns of a row is multiplied with a chunk
// of rows of Γ by Hadamard butterflies.
#include <algorithm>

#include "../linalg/row_block.hpp"
#include "instantiate.hpp"
#include "segments.hpp"
#include "sign_targets.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

static_assert(kSegment % kChunk == 0, "chunks lie inside segments");

// Returns the set of steps, as bits, that read some of the columns [begin, end) of a chunk.
u64 steps_of(const GroupedChunk& chunk, i64 begin, i64 end) {
    u64 steps = 0;
    for (int s = 0; s < kParts; ++s) {
        const i64 part = i64{s} * kPart;
        const i64 first = std::clamp<i64>(begin - part, 0, kPart) / kLanes;
        const i64 last = ceil_div(std::clamp<i64>(end - part, 0, kPart), kLanes);
        for (i64 v = first; v < last; ++v)
            steps |= u64{1} << (v + kSteps - chunk.rotation[s]) % kSteps;
    }
    return steps;
}

}  // namespace

// The accumulators of a row are (kParts, stride), with the layout that grouped_stride() describes.
template <template <class> class Rows, class U>
void sketch(Rows<U> a, const GroupedSign& g, i64 offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out) {
    using T = Sum<U>;
    const i64 m = g.out_dim, stride = grouped_stride(m), row_size = kParts * stride;
    const i64 at_once = kernels().of<T>().grouped_rows_at_once;
    const T scale = entry_of(g);
    const Scratch<GroupedChunk> chunks(n_threads);
    const Scratch<T> rooms(n_threads * kGroupedRows * kChunk);

    const auto add = [&](Rows<U> rows, i64 c0, int slot, T* sums) {
        GroupedChunk& chunk = chunks.data()[slot];
        T* const room = rooms.data() + slot * kGroupedRows * kChunk;
        for (i64 c = 0; c < rows.cols;) {
            // These rows have the columns [begin, begin + count) of the chunk. Unless that is the
            // whole chunk, they are copied to `room`, where the other columns are zero.
            const i64 begin = (c0 + c) % kChunk, count = std::min(kChunk - begin, rows.cols - c);
            const bool whole = count == kChunk;
            kernels().any.grouped_chunk(g.seed, static_cast<u64>((c0 + c) / kChunk), m, &chunk);
            const u64 steps = steps_of(chunk, begin, begin + count);
            if (!whole) std::fill_n(room, kGroupedRows * kChunk, T(0));
            for (i64 i = 0; i < rows.rows; i += at_once) {
                const int n = static_cast<int>(std::min(at_once, rows.rows - i));
                const T *x[kGroupedRows], *next[kGroupedRows];
                for (int l = 0; l < n; ++l) {
                    T* const place = room + l * kChunk + begin;
                    x[l] = piece(rows, i + l, c, static_cast<int>(count), place);
                    next[l] = ahead(rows, i + n + l, c, count, x[l]);
                    if (!whole) {
                        if (x[l] != place) std::copy_n(x[l], count, place);
                        x[l] = next[l] = room + l * kChunk;
                    }
                }
                kernels().of<T>().grouped_rows(x, next, n, chunk, steps, sums + i * row_size,
                                               row_size);
            }
            c += count;
        }
    };
    const auto fold = [&](const T* sums, MutableMatrixView<T> rows) {
        for (i64 i = 0; i < rows.rows; ++i) {
            for (i64 k = 0; k < kParts; ++k) {
                const auto [first, width] = grouped_block(k, m);
                const T* sum = sums + i * row_size + k * stride;
                for (i64 at = 0; at < stride; at += width)
                    for (i64 p = 0; p < std::min(width, stride - at); ++p)
                        rows.row(i)[first + p] += scale * sum[at + p];
            }
        }
    };
    sum_segments(a, offset, {1, row_size, kParts}, accumulate, n_threads, tick, out, add, fold);
}

SKMM_ROWS(GroupedSign)

}  // namespace skmm
