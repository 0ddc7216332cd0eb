#include <algorithm>
#include <cmath>
#include <numeric>

#include "../support/check.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/select/constraints.hpp"

using namespace skmm;
using check::normals;

TEST(projection_is_feasible_and_optimal) {
    for (unsigned seed = 0; seed < 50; ++seed) {
        const i64 n = 1 + seed * 211 % 9000;
        const std::vector<double> v = normals<double>(n, seed);
        const double cap = 1.0 / static_cast<double>(1 + n / 3);
        std::vector<double> s(v.size());
        const double tau =
            project(v.data(), GroupedRows(n, 1), cap, {1.0}, {0.0}, 2, s.data()).front();
        CHECK(std::abs(std::accumulate(s.begin(), s.end(), 0.0) - 1.0) < 1e-12);
        for (std::size_t i = 0; i < s.size(); ++i)
            CHECK(s[i] == std::min(std::max(v[i] - tau, 0.0), cap));
    }
}

TEST(projection_of_ties_and_full_boxes) {
    std::vector<double> s(4);
    const std::vector<double> equal(4, 1e3), v{3, 1, 2, 0};
    project(equal.data(), GroupedRows(4, 4), 0.25, {1.0}, {0.0}, 1, s.data());
    for (const double x : s) CHECK(std::abs(x - 0.25) < 1e-12);
    project(v.data(), GroupedRows(4, 2), 0.5, {1.0}, {1e9}, 1, s.data());
    CHECK(s[0] == 0.5 && s[2] == 0.5 && s[1] == 0.0 && s[3] == 0.0);
}

TEST(projection_in_place_has_the_same_bits_on_any_threads) {
    const i64 n = 30000;
    std::vector<double> one = normals<double>(n), three = one;
    const GroupedRows rows(n, 1000);
    const Vector tau = project(one.data(), rows, 1e-3, {1.0}, {0.0}, 1, one.data());
    CHECK(project(three.data(), rows, 1e-3, {1.0}, {0.0}, 3, three.data()) == tau);
    CHECK(one == three);
}

// From near and far; where Newton's method has no slope to follow, the range brackets it.
TEST(thresholds_have_the_masses_asked_for) {
    const std::vector<double> v = normals<double>(100);
    const double cap = 0.5;
    const auto mass = [&](double tau) {
        Mass at{0.0, 0.0};
        for (const double x : v) {
            at.mass += std::min(std::max(x - tau, 0.0), cap);
            at.inside += x - tau > 0.0 && x - tau < cap;
        }
        return at;
    };
    const auto masses = [&](double tau_of_first, std::vector<Threshold>& thresholds) {
        thresholds[0].tau = tau_of_first;
        find_thresholds(
            thresholds,
            [&](const std::vector<bool>& open, std::vector<Mass>& at) {
                for (std::size_t g = 0; g < at.size(); ++g)
                    if (open[g]) at[g] = mass(thresholds[g].tau);
            },
            [] { return std::vector<std::pair<double, double>>(2, {-10.0, 10.0}); });
    };
    for (const double total : {0.25, 1.0, 20.0, 49.75})
        for (const double from : {-1e6, 0.0, 1e6}) {
            std::vector<Threshold> thresholds{{total, 1e-9, 0.0}, {5.0, 1e-9, 0.0}};
            masses(from, thresholds);
            CHECK(std::abs(mass(thresholds[0].tau).mass - total) <= 1e-9);
            CHECK(std::abs(mass(thresholds[1].tau).mass - 5.0) <= 1e-9);
        }
}

// The largest `count` entries of each group, each with the weight cap.
TEST(support_exceeds_the_maximum_by_its_slack_at_most) {
    const double cap = 0.01;
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::vector<double> g = normals<double>(9000, seed);
        if (seed % 2 == 1)
            for (double& x : g) x = std::round(x);  // ties
        const std::vector<i64> counts{10, 1, 0, 321};
        std::vector<std::int32_t> group(9000, 3);
        std::fill_n(group.begin(), 10, 0);
        for (std::size_t i = 10; i < 1000; ++i) group[i * 9] = 1;
        group[8999] = 2;
        const FreeRows free = free_rows({9000, group, counts, {}});
        double most = 0.0;
        std::vector<double> of_free;  // as they lie in strips and groups
        for (const i64 i : free.rows) of_free.push_back(g[at(i)]);
        for (std::size_t k = 0; k < counts.size(); ++k) {
            std::vector<double> part;
            for (std::size_t i = 0; i < g.size(); ++i)
                if (group[i] == static_cast<i64>(k)) part.push_back(g[i]);
            std::sort(part.rbegin(), part.rend());
            most += cap * std::accumulate(part.begin(), part.begin() + counts[k], 0.0);
        }
        for (const double slack : {1.0, 1e-3, 0.0}) {
            const double found = support(of_free.data(), free.grouped, cap, slack, 1);
            CHECK(found >= most - 1e-9 && found <= most + slack + 1e-9);
            CHECK(support(of_free.data(), free.grouped, cap, slack, 3) == found);
        }
    }
}
