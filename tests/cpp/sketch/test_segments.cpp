#include "../../../cpp/src/sketch/segments.hpp"
#include "../support/check.hpp"

using namespace skmm;

// Every thread has a block where there are as many, and no more wait than memory and ticks allow.
TEST(blocks_in_work_occupy_threads_within_bounds) {
    for (const i64 rows : {1, 2, 16, 17, 300, 5000})
        for (const i64 segments : {1, 2, 3, 10, 3000})
            for (const i64 tile : {1, 16})
                for (const i64 row_bytes : {64, 2048, 1 << 20})
                    for (const i64 entries : {1, 8, 4096})
                        for (const int threads : {1, 2, 3, 16, 1000}) {
                            const Plan p = plan(rows, segments, tile, row_bytes, entries, threads);
                            CHECK(p.group > 0 && p.group % tile == 0 && p.group <= kGroupRows);
                            CHECK(0 < p.wave && p.wave <= segments);
                            CHECK(0 < p.groups && (p.groups - 1) * p.group < rows);
                            const i64 blocks = p.groups * p.wave;
                            const i64 all = ceil_div(rows, p.group) * segments;
                            const i64 room = kSumBytes / (p.group * row_bytes);
                            const i64 work = kWork / (p.group * kSegment * entries);
                            CHECK(blocks >= std::min<i64>(all, threads));
                            CHECK(blocks <= std::max(std::min(room, work), 5 * threads + p.wave));
                        }
}
