#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "check.hpp"
#include "skmm/base/philox.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/select/moment_matching.hpp"
#include "skmm/select/sampling.hpp"
#include "skmm/select/sequential.hpp"
#include "skmm/select/v_optimality.hpp"

using namespace skmm;
using std::int64_t;

static const Tick kQuiet = [](int64_t) {};
static const Watch kGoOn = [](int64_t, double, double) { return true; };

// W itself as the rows, with B = I.
struct Identity {
    explicit Identity(int64_t k) : k(k), b(k * k) {
        for (int64_t d = 0; d < k; ++d) b[d * k + d] = 1.0;
    }
    Whitened<double> of(const std::vector<double>& w) const {
        const auto n = static_cast<int64_t>(w.size()) / k;
        return {row_matrix<double>({w.data(), n, k, k}, 2), {b.data(), k, k, k}};
    }
    int64_t k;
    std::vector<double> b;
};

TEST(projection_is_feasible_and_optimal) {
    for (unsigned seed = 0; seed < 50; ++seed) {
        const int64_t n = 1 + seed * 211 % 9000;
        const std::vector<double> v = check::normals<double>(n, seed);
        const double cap = 1.0 / static_cast<double>(1 + n / 3);
        std::vector<double> s(v.size());
        const double tau = project_capped_simplex(v.data(), n, cap, 1.0, 0.0, 2, s.data());
        CHECK(std::abs(std::accumulate(s.begin(), s.end(), 0.0) - 1.0) < 1e-12);
        for (std::size_t i = 0; i < s.size(); ++i)
            CHECK(s[i] == std::min(std::max(v[i] - tau, 0.0), cap));
    }
}

TEST(projection_of_ties_and_full_boxes) {
    std::vector<double> s(4);
    const std::vector<double> equal(4, 1e3), v{3, 1, 2, 0};
    project_capped_simplex(equal.data(), 4, 0.25, 1.0, 0.0, 1, s.data());
    for (const double x : s) CHECK(std::abs(x - 0.25) < 1e-12);
    project_capped_simplex(v.data(), 4, 0.5, 1.0, 1e9, 1, s.data());
    CHECK(s[0] == 0.5 && s[2] == 0.5 && s[1] == 0.0 && s[3] == 0.0);
}

TEST(draws_are_distinct_and_of_fixed_size) {
    std::vector<double> pi(1001);
    for (std::size_t i = 0; i < pi.size(); ++i) pi[i] = static_cast<double>(i % 7) / 6.0;
    const double sum = std::accumulate(pi.begin(), pi.end(), 0.0);
    const int64_t n = static_cast<int64_t>(sum);
    for (double& p : pi) p *= static_cast<double>(n) / sum;
    std::vector<int64_t> order(pi.size());
    for (std::size_t k = 0; k < order.size(); ++k) order[k] = static_cast<int64_t>(k * 10 % 1001);
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        for (const auto& drawn :
             {draw_systematic(pi.data(), 1001, n, seed), draw_pivotal(pi.data(), 1001, n, seed),
              draw_systematic(pi.data(), 1001, n, seed, order.data()),
              draw_pivotal(pi.data(), 1001, n, seed, order.data()), draw_subset(1001, n, seed)}) {
            const std::set<int64_t> distinct(drawn.begin(), drawn.end());
            CHECK(static_cast<int64_t>(distinct.size()) == n &&
                  static_cast<int64_t>(drawn.size()) == n);
        }
    }
}

TEST(draws_bear_a_sum_that_is_off) {
    for (const double off : {-1e-3, 1e-3}) {
        const double pi[] = {0.0, 1.0, 0.5, 0.5 + off, 0.0, 1.0};
        for (std::uint64_t seed = 0; seed < 5000; ++seed) {
            const std::vector<int64_t> drawn = draw_systematic(pi, 6, 3, seed);
            CHECK(drawn.size() == 3 && drawn[0] == 1 && drawn[2] == 5);
            CHECK(drawn[1] == 2 || drawn[1] == 3);
            CHECK(draw_pivotal(pi, 6, 3, seed).size() == 3);
        }
    }
}

TEST(a_subset_has_the_smallest_keys) {
    const int64_t n_rows = 500;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {  // few rows: the first cuts fail at times
        std::vector<std::pair<std::uint64_t, int64_t>> keys;
        for (int64_t i = 0; i < n_rows; ++i) {
            const Words x = philox(seed, kSubset, static_cast<std::uint64_t>(i), 7);
            keys.emplace_back(std::uint64_t{x.w[0]} << 32 | x.w[1], i);
        }
        std::sort(keys.begin(), keys.end());
        for (const int64_t n : {0, 1, 2, 250, 499, 500}) {
            std::set<int64_t> rows;
            for (int64_t k = 0; k < n; ++k) rows.insert(keys[static_cast<std::size_t>(k)].second);
            const std::vector<int64_t> drawn = draw_subset(n_rows, n, seed, 7);
            CHECK(std::equal(drawn.begin(), drawn.end(), rows.begin(), rows.end()));
        }
    }
}

TEST(moment_matching_falls_and_its_gap_holds) {
    const int64_t n_rows = 5000, k = 13, n = 100;
    const std::vector<float> y = check::normals<float>(n_rows * k);
    const std::vector<double> weight(k, 1.0);
    for (const double c_s : {0.5, 0.2}) {  // the second cannot be reached
        std::vector<double> target(k);
        for (std::size_t e = 0; e < y.size(); ++e)
            target[e % k] += static_cast<double>(y[e]) * y[e] / n_rows / c_s;
        const MatrixView<float> rows{y.data(), n_rows, k, k};
        const auto solve = [&](int n_threads, std::vector<double>& s) {
            const MomentProblem<float> problem{row_matrix(rows, n_threads),
                                               target.data(),
                                               weight.data(),
                                               1.0 / n,
                                               {{0, n_rows, n}}};
            return match_moments(problem, 1e-8, 2000, n_threads, kQuiet, kGoOn, s.data());
        };
        std::vector<double> first(n_rows, 1.0 / n_rows), second = first;
        const MomentFit fit = solve(1, first), same = solve(3, second);
        CHECK(fit.converged && fit.gap >= 0.0 && fit.gap <= 1e-8 * fit.start);
        CHECK((fit.objective > fit.gap) == (c_s == 0.2));
        CHECK(std::is_sorted(fit.objectives.rbegin(), fit.objectives.rend()));
        CHECK(first == second && fit.objectives == same.objectives);
        CHECK(std::abs(std::accumulate(first.begin(), first.end(), 0.0) - 1.0) < 1e-9);
    }
}

// tr((W_SᵀW_S + ridge I)⁻¹) by Gauss-Jordan, for comparison.
static double trace_inverse(const std::vector<double>& w, int64_t k, const std::set<int64_t>& rows,
                            double ridge) {
    std::vector<double> a(k * 2 * k);
    for (int64_t d = 0; d < k; ++d) {
        a[d * 2 * k + d] = ridge;
        a[d * 2 * k + k + d] = 1.0;
        for (const int64_t i : rows)
            for (int64_t e = 0; e < k; ++e) a[d * 2 * k + e] += w[i * k + d] * w[i * k + e];
    }
    for (int64_t d = 0; d < k; ++d) {
        const double pivot = a[d * 2 * k + d];
        for (int64_t e = 0; e < 2 * k; ++e) a[d * 2 * k + e] /= pivot;
        for (int64_t other = 0; other < k; ++other) {
            const double f = a[other * 2 * k + d];
            for (int64_t e = 0; other != d && e < 2 * k; ++e)
                a[other * 2 * k + e] -= f * a[d * 2 * k + e];
        }
    }
    double trace = 0.0;
    for (int64_t d = 0; d < k; ++d) trace += a[d * 2 * k + k + d];
    return trace;
}

TEST(products_equal_their_definitions) {
    const int64_t n = 301, k = 37, d = 40;
    const std::vector<float> z = check::normals<float>(n * k);
    const std::vector<double> by = check::normals<double>(k * d, 5);
    std::vector<double> s(n), m(k * k), q(n), p(k);
    for (int64_t i = 0; i < n; ++i) s[i] = static_cast<double>(i % 3) / 7.0;
    std::vector<float> out(n * d);
    const MatrixView<float> rows{z.data(), n, k, k};
    const MatrixView<double> right{by.data(), k, d, d};
    second_moment(rows, s.data(), 2, kQuiet, m.data());
    row_norms(rows, nullptr, n, right, 2, kQuiet, q.data());
    multiply(rows, nullptr, right, 2, kQuiet, MutableMatrixView<float>{out.data(), n, d, d});
    column_squares(rows, s.data(), 2, kQuiet, p.data());
    for (int64_t a = 0; a < k; ++a) {
        for (int64_t b = 0; b < k; ++b) {
            double sum = 0.0;
            for (int64_t i = 0; i < n; ++i) sum += s[i] * double(z[i * k + a]) * z[i * k + b];
            CHECK(std::abs(m[a * k + b] - sum) < 1e-9);
            if (a == b) CHECK(std::abs(p[a] - sum) < 1e-9);
        }
    }
    for (int64_t i = 0; i < n; ++i) {
        double norm = 0.0;
        for (int64_t c = 0; c < d; ++c) {
            double x = 0.0;
            for (int64_t j = 0; j < k; ++j) x += z[i * k + j] * by[j * d + c];
            CHECK(std::abs(x - out[i * d + c]) < 1e-5);
            norm += x * x;
        }
        CHECK(std::abs(norm - q[i]) < 1e-9 * norm);
    }
}

TEST(bounded_step_meets_the_conditions_of_its_maximum) {
    const int64_t k = 23;
    for (unsigned seed = 0; seed < 40; ++seed) {
        const std::vector<double> r = check::normals<double>(3 * k * k, seed);
        const std::vector<double> g = check::normals<double>(k, seed + 100);
        std::vector<double> h(k * k), u = check::normals<double>(k, seed + 200);
        second_moment(MatrixView<double>{r.data(), 3 * k, k, k}, nullptr, 1, kQuiet, h.data());
        for (double& x : u) x = std::max(x, 0.0);
        const std::vector<double> d = bounded_step(h, g, u);
        for (int64_t i = 0; i < k; ++i) {
            double slope = g[i];
            for (int64_t j = 0; j < k; ++j) slope -= h[i * k + j] * d[j];
            CHECK(d[i] >= -u[i]);
            CHECK(d[i] > -u[i] ? std::abs(slope) < 1e-9 : slope < 1e-9);
        }
    }
}

TEST(greedy_design_equals_brute_force) {
    const int64_t n_rows = 60, k = 5, n = 12;
    const std::vector<double> w = check::normals<double>(n_rows * k);
    const std::vector<std::int32_t> group(n_rows, 0);
    const DesignOptions options{n, 1, Sampler::kGreedy, 0.1, 1.0, false, 0.0, 0};
    const Identity identity(k);
    const Design design =
        v_optimal(identity.of(w), options, {group.data(), {n}, {}}, {}, 2, kQuiet);
    std::set<int64_t> chosen;
    for (const int64_t row : design.rows) {
        int64_t best = -1;
        double least = 0.0;
        for (int64_t i = 0; i < n_rows; ++i) {
            if (chosen.count(i)) continue;
            std::set<int64_t> with = chosen;
            with.insert(i);
            const double trace = trace_inverse(w, k, with, 1.0);
            if (best < 0 || trace < least) {
                best = i;
                least = trace;
            }
        }
        CHECK(row == best);
        chosen.insert(row);
    }
    CHECK(static_cast<int64_t>(chosen.size()) == n);
}

TEST(exchange_improves_and_keeps_quotas) {
    const int64_t n_rows = 300, k = 6, n = 30;
    const std::vector<double> w = check::normals<double>(n_rows * k, 4);
    std::vector<std::int32_t> group(n_rows);
    for (int64_t i = 0; i < n_rows; ++i) group[i] = i % 4 - 1;  // -1: never chosen
    const Constraints constraints{group.data(), {5, 10, 15}, {1, 2}};
    const Identity identity(k);
    double before = 0.0;
    for (const bool refine : {false, true}) {
        const DesignOptions options{n, 3, Sampler::kGreedy, 0.1, 1.0, refine, 0.0, 0};
        const Design design = v_optimal(identity.of(w), options, constraints, {}, 1, kQuiet);
        const std::set<int64_t> rows(design.rows.begin(), design.rows.end());
        int64_t counts[3] = {};
        for (const int64_t i : rows) {
            CHECK(group[i] >= 0);
            ++counts[group[i]];
        }
        CHECK(counts[0] == 5 && counts[1] == 10 && counts[2] == 15);
        CHECK(rows.count(1) && rows.count(2));
        const double trace = trace_inverse(w, k, rows, 0.0);
        CHECK(!refine || (design.swaps > 0 && trace < before));
        before = trace;
    }
}

// Rows that are not in memory: the solvers may not look at them.
template <class T>
static RowMatrix<T> elsewhere(MatrixView<T> z) {
    RowMatrix<T> all = row_matrix(z, 2);
    all.view.data = nullptr;
    return all;
}

TEST(solvers_need_nothing_but_passes) {
    const int64_t n_rows = 3000, k = 9, n = 40;
    const std::vector<float> z = check::normals<float>(n_rows * k, 8);
    const MatrixView<float> rows{z.data(), n_rows, k, k};
    const std::vector<double> target(k, 3.0), weight(k, 1.0);
    std::vector<double> here(n_rows, 1.0 / n_rows), there = here;
    for (const bool near : {true, false}) {
        const MomentProblem<float> problem{near ? row_matrix(rows, 2) : elsewhere(rows),
                                           target.data(),
                                           weight.data(),
                                           1.0 / n,
                                           {{0, n_rows, n}}};
        const MomentFit fit =
            match_moments(problem, 1e-6, 500, 2, kQuiet, kGoOn, near ? here.data() : there.data());
        CHECK(fit.converged);
    }
    CHECK(here == there);

    const Identity identity(k);
    const std::vector<std::int32_t> group(n_rows, 0);
    for (const int64_t block : {1, 16}) {
        const DesignOptions options{n, block, Sampler::kGreedy, 0.1, 1.0, true, 0.0, 0};
        const Constraints constraints{group.data(), {n}, {7}};
        const MatrixView<double> b{identity.b.data(), k, k, k};
        const Design near = v_optimal(Whitened<float>{row_matrix(rows, 2), b}, options, constraints,
                                      {11}, 2, kQuiet);
        const Design far =
            v_optimal(Whitened<float>{elsewhere(rows), b}, options, constraints, {11}, 2, kQuiet);
        CHECK(near.rows == far.rows && near.swaps == far.swaps);
    }
}

TEST(picks_are_n_distinct_rows_within_quotas) {
    const int64_t n_rows = 5000, k = 8, n = 40;
    const std::vector<float> z = check::normals<float>(n_rows * k, 9);
    const MatrixView<float> rows{z.data(), n_rows, k, k};
    const std::vector<double> ones(k, 1.0), zeros(k, 0.0);
    std::vector<double> norm(n_rows);
    square_dots(rows, ones.data(), 1, kQuiet, norm.data());
    std::vector<std::int32_t> group(n_rows);
    for (int64_t i = 0; i < n_rows; ++i) group[i] = static_cast<std::int32_t>(i % 4) - 1;
    const Constraints constraints{group.data(), {5, 15, 20}, {1, 2}};
    std::vector<std::vector<int64_t>> near;
    for (const bool here : {true, false}) {
        const RowMatrix<float> p = here ? row_matrix(rows, 2) : elsewhere(rows);
        const std::vector<std::vector<int64_t>> found{
            pursue(p, n, {zeros, zeros, nullptr}, norm.data(), constraints, 2, kQuiet),
            cover(p, n, 0, norm.data(), constraints, 7, 2, kQuiet),
            pivot(p, n, norm.data(), constraints, 7, 2, kQuiet)};
        for (const auto& chosen : found) {
            const std::set<int64_t> distinct(chosen.begin(), chosen.end());
            int64_t counts[3] = {};
            for (const int64_t i : distinct) {
                CHECK(group[i] >= 0);
                ++counts[group[i]];
            }
            CHECK(counts[0] == 5 && counts[1] == 15 && counts[2] == 20);
            CHECK(chosen[0] == 1 && chosen[1] == 2);
        }
        if (here) near = found;
        CHECK(found == near);
    }
}
