#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "../support/check.hpp"
#include "skmm/base/philox.hpp"
#include "skmm/base/types.hpp"
#include "skmm/select/sampling.hpp"

using namespace skmm;

TEST(draws_are_distinct_and_of_fixed_size) {
    std::vector<double> pi(1001);
    for (std::size_t i = 0; i < pi.size(); ++i) pi[i] = static_cast<double>(i % 7) / 6.0;
    const double sum = std::accumulate(pi.begin(), pi.end(), 0.0);
    const i64 n = static_cast<i64>(sum);
    for (double& p : pi) p *= static_cast<double>(n) / sum;
    std::vector<i64> order(pi.size());
    for (std::size_t k = 0; k < order.size(); ++k) order[k] = static_cast<i64>(k * 10 % 1001);
    for (u64 seed = 0; seed < 200; ++seed) {
        for (const auto& drawn :
             {draw_systematic(pi.data(), 1001, n, seed), draw_pivotal(pi.data(), 1001, n, seed),
              draw_systematic(pi.data(), 1001, n, seed, order.data()),
              draw_pivotal(pi.data(), 1001, n, seed, order.data()), draw_subset(1001, n, seed)}) {
            const std::set<i64> distinct(drawn.begin(), drawn.end());
            CHECK(static_cast<i64>(distinct.size()) == n && static_cast<i64>(drawn.size()) == n);
        }
    }
}

TEST(draws_bear_a_sum_that_is_off) {
    for (const double off : {-1e-3, 1e-3}) {
        const double pi[] = {0.0, 1.0, 0.5, 0.5 + off, 0.0, 1.0};
        for (u64 seed = 0; seed < 5000; ++seed) {
            const std::vector<i64> drawn = draw_systematic(pi, 6, 3, seed);
            CHECK(drawn.size() == 3 && drawn[0] == 1 && drawn[2] == 5);
            CHECK(drawn[1] == 2 || drawn[1] == 3);
            CHECK(draw_pivotal(pi, 6, 3, seed).size() == 3);
        }
    }
}

TEST(draws_bear_probabilities_that_are_none) {
    const double inf = std::numeric_limits<double>::infinity(), nan = inf - inf;
    const std::vector<double> odd{nan, 1e300, -5.0, inf, 0.5, 0.5}, near{0, 1, 0, 1, 0.5, 0.5};
    for (u64 seed = 0; seed < 100; ++seed)
        CHECK(draw_systematic(odd.data(), 6, 3, seed) == draw_systematic(near.data(), 6, 3, seed));
    for (const double x : {nan, inf, -inf, 4.0, 1e300, -1.0}) {
        const std::vector<double> pi(9, x);
        for (const auto draw : {draw_systematic, draw_pivotal})
            for (const i64 i : draw(pi.data(), 9, 2, 1, nullptr)) CHECK(0 <= i && i < 9);
    }
    CHECK(draw_subset(0, 0, 1).empty() && draw_subset(5, 0, 1).empty());
}

// Within four standard deviations.
TEST(rows_are_drawn_as_often_as_their_probabilities_say) {
    const std::vector<double> pi{0.1, 0.9, 0.25, 0.5, 0.0, 0.75, 0.3, 1.0, 0.2};
    const i64 order[] = {3, 1, 4, 0, 8, 5, 2, 6, 7}, draws = 20000, n = 4;
    const i64 n_rows = static_cast<i64>(pi.size());
    for (const i64* walk : {static_cast<const i64*>(order), (const i64*)nullptr}) {
        for (const auto draw : {draw_systematic, draw_pivotal}) {
            std::vector<double> often(pi.size());
            for (u64 seed = 0; seed < draws; ++seed)
                for (const i64 i : draw(pi.data(), n_rows, n, seed, walk)) often[i] += 1.0 / draws;
            for (std::size_t i = 0; i < pi.size(); ++i)
                CHECK(std::abs(often[i] - pi[i]) <=
                      4.0 * std::sqrt(pi[i] * (1.0 - pi[i]) / draws) + 1e-9);
        }
    }
}

// The rows by their random keys.
static std::vector<std::pair<u64, i64>> sorted_keys(i64 n_rows, u64 seed, u32 which) {
    std::vector<std::pair<u64, i64>> keys;
    for (i64 i = 0; i < n_rows; ++i) {
        const Words x = philox(seed, kSubset, static_cast<u64>(i), which);
        keys.emplace_back(u64{x.w[0]} << 32 | x.w[1], i);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
}

TEST(a_subset_has_the_smallest_keys) {
    const i64 n_rows = 500;
    for (u64 seed = 0; seed < 300; ++seed) {  // few rows: the first cuts fail at times
        const auto keys = sorted_keys(n_rows, seed, 7);
        for (const i64 n : {0, 1, 2, 250, 499, 500}) {
            std::set<i64> rows;
            for (i64 k = 0; k < n; ++k) rows.insert(keys[static_cast<std::size_t>(k)].second);
            const std::vector<i64> drawn = draw_subset(n_rows, n, seed, 7);
            CHECK(std::equal(drawn.begin(), drawn.end(), rows.begin(), rows.end()));
        }
    }
}

TEST(a_random_order_is_that_of_the_keys) {
    for (const u32 which : {0, 7}) {
        const auto keys = sorted_keys(500, 3, which);
        const std::vector<i64> order = random_order(500, 3, which);
        CHECK(order.size() == keys.size());
        for (std::size_t k = 0; k < keys.size(); ++k) CHECK(order[k] == keys[k].second);
    }
    CHECK(random_order(500, 3, 0) != random_order(500, 4, 0));
}
