#include <atomic>
#include <numeric>

#include "../support/check.hpp"
#include "../support/ranks.hpp"
#include "../support/shared.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/strips.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::kQuiet;

namespace {

// Σ x along a tree over strips of 2048 2^j numbers, and in blocks of kSumBlock numbers, one by one.
double sum_of_strip(const std::vector<double>& x, i64 first, i64 last) {
    double sum = 0.0;
    for (; first < last; first += kSumBlock)
        sum +=
            std::accumulate(x.begin() + first, x.begin() + std::min(last, first + kSumBlock), 0.0);
    return sum;
}
double along_tree(const std::vector<double>& x, i64 length, i64 first, i64 strips) {
    const i64 n = static_cast<i64>(x.size());
    if (strips == 1) return sum_of_strip(x, first * length, std::min(n, (first + 1) * length));
    const double left = along_tree(x, length, first, strips / 2);
    if ((first + strips / 2) * length >= n) return left;
    return left + along_tree(x, length, first + strips / 2, strips / 2);
}

double sum(const std::vector<double>& x, const Strips& strips, i64 first, int threads) {
    double total = 0.0;
    sum_rows(
        strips, 1, threads, kQuiet,
        [&](const Strips::Block& block, int, double* part) {
            *part = std::accumulate(x.begin() + first + block.first, x.begin() + first + block.last,
                                    0.0);
        },
        &total);
    return total;
}

}  // namespace

TEST(strips_are_added_along_one_tree_on_any_threads_and_ranks) {
    const std::pair<i64, i64> cases[] = {{1, 2048},      {2048, 2048},   {9000, 2048},
                                         {400000, 2048}, {600000, 4096}, {2000000, 8192}};
    for (const auto& [n, length] : cases) {
        const std::vector<double> x = check::normals<double>(n);
        const double expected = along_tree(x, length, 0, 256);
        for (const int threads : {1, 2, 5}) CHECK(sum(x, Strips(n), 0, threads) == expected);
        for (const i64 size : {2, 3, 4, 7}) {
            std::atomic<int> faults{0};
            check::on_ranks(size, [&, n = n](const Ranks& ranks) {
                const Range rows = rows_of_rank(n, size, ranks.rank);
                if (sum(x, Strips(n, ranks), rows.first, 1) != expected) ++faults;
            });
            CHECK(faults == 0);
        }
    }
}

TEST(ranks_hold_consecutive_rows_and_all_of_them) {
    for (const i64 n : {i64{0}, i64{1}, i64{1500}, i64{10000}, i64{1} << 40})
        for (const i64 size : {1, 2, 3, 64, 256, 300}) {
            i64 next = 0;
            for (i64 rank = 0; rank < size; ++rank) {
                const Range rows = rows_of_rank(n, size, rank);
                CHECK(rows.first == next && rows.last >= rows.first);
                next = rows.last;
            }
            CHECK(next == n);
        }
}

TEST(blocks_cover_the_rows_of_strips) {
    const Strips strips = Strips(6000).of_some({0, 900, 900, 907});
    CHECK(strips.count() == 3 && strips.n_rows() == 907);
    CHECK(strips.blocks().size() == 2);  // none where a strip has no rows
    CHECK(strips.blocks()[1].strip == 2 && strips.blocks()[1].first == 900);
    CHECK(sum(std::vector<double>(907, 1.0), strips, 0, 2) == 907.0);
    i64 next = 0;
    for (const Strips::Block& block : Strips(5000000).blocks()) {
        CHECK(block.first == next && block.last - block.first <= kSumBlock);
        next = block.last;
    }
    CHECK(next == 5000000);
}

TEST(ranks_put_numbers_together) {
    const std::vector<i64> sent = check::on_ranks(3, [](const Ranks& ranks) {
        const Strips strips(10000, ranks);
        const double rank = static_cast<double>(ranks.rank);
        CHECK((strips.sum({1.0, rank}) == std::vector<double>{3.0, 3.0}));
        CHECK((strips.largest({-rank, rank}) == std::vector<double>{0.0, 2.0}));
        CHECK((strips.of_all(std::vector<double>(at(ranks.rank), rank)) ==
               std::vector<double>{1.0, 2.0, 2.0}));
    });
    for (const i64 count : sent) CHECK(count == 2 + 2 + 1 + 2);
    CHECK((Strips(5).of_all({4.0}) == std::vector<double>{4.0}));
}

// Where a strip takes 4 blocks, 2 ranks send one branch of the tree each, whatever N.
TEST(what_a_sum_sends_does_not_grow_with_the_rows) {
    for (const i64 n : {i64{300000}, i64{1200000}}) {
        const std::vector<double> x(at(n), 1.0);
        const std::vector<i64> sent = check::on_ranks(2, [&](const Ranks& ranks) {
            CHECK(sum(x, Strips(n, ranks), 0, 1) == static_cast<double>(n));
        });
        for (const i64 count : sent) CHECK(count <= 8);
    }
}
