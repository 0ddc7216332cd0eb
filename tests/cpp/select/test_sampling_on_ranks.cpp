#include <algorithm>
#include <numeric>

#include "../support/check.hpp"
#include "../support/ranks.hpp"
#include "skmm/base/types.hpp"
#include "skmm/select/sampling.hpp"

using namespace skmm;

// Few keys, so that many rows tie; rows of probability 0 and 1; sums that are off by rounding.
TEST(systematic_draws_on_ranks_are_those_of_one_process) {
    const i64 n_rows = 6000;
    for (unsigned seed = 0; seed < 30; ++seed) {
        std::vector<double> pi = check::normals<double>(n_rows, seed);
        for (double& p : pi) p = std::clamp(p, 0.0, 1.0);
        const double sum = std::accumulate(pi.begin(), pi.end(), 0.0);
        const i64 n = static_cast<i64>(sum);
        double rest = static_cast<double>(n) / sum;
        for (double& p : pi) p *= rest;
        const std::vector<double> x = check::normals<double>(n_rows, seed + 1000);
        std::vector<i64> key, order(n_rows);
        for (const double v : x) key.push_back(static_cast<i64>(v * (seed % 3 == 0 ? 3 : 1e12)));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](i64 a, i64 b) { return key[a] < key[b]; });
        std::vector<i64> expected = draw_systematic(pi.data(), n_rows, n, seed, order.data());
        std::sort(expected.begin(), expected.end());
        CHECK(static_cast<i64>(expected.size()) == n);
        CHECK(draw_systematic_on_ranks(pi.data(), key.data(), n_rows, n, seed, Strips(n_rows)) ==
              expected);
        for (const i64 size : {2, 5, 9}) {  // of 9 ranks some have no rows
            std::vector<std::vector<i64>> drawn(size);
            check::on_ranks(size, [&](const Ranks& ranks) {
                const auto [first, last] = rows_of_rank(n_rows, size, ranks.rank);
                drawn[ranks.rank] =
                    draw_systematic_on_ranks(pi.data() + first, key.data() + first, last - first, n,
                                             seed, Strips(n_rows, ranks));
                for (i64& i : drawn[ranks.rank]) i += first;
            });
            std::vector<i64> all;
            for (const auto& rows : drawn) all.insert(all.end(), rows.begin(), rows.end());
            CHECK(all == expected);
        }
    }
}
