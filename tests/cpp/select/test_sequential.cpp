#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "../support/check.hpp"
#include "../support/shared.hpp"
#include "skmm/select/sequential.hpp"

using namespace skmm;
using check::elsewhere;
using check::kQuiet;
using check::normals;

TEST(picks_are_n_distinct_rows_within_quotas) {
    const i64 n_rows = 5000, k = 8;
    const std::vector<float> z = normals<float>(n_rows * k, 9);
    const MatrixView<float> rows{z.data(), n_rows, k, k};
    const std::vector<double> ones(k, 1.0), zeros(k, 0.0);
    std::vector<double> norm(n_rows);
    square_dots(rows, ones.data(), 1, kQuiet, norm.data());
    std::vector<std::int32_t> group(n_rows);
    for (i64 i = 0; i < n_rows; ++i) group[i] = static_cast<std::int32_t>(i % 4) - 1;
    const Constraints constraints{n_rows, group, {5, 15, 20}, {1, 2}};
    std::vector<RowList> near;
    for (const bool here : {true, false}) {
        const RowMatrix<float> p = here ? row_matrix(rows, 2) : elsewhere(rows);
        const std::vector<RowList> found{
            herding_pursuit(p, {zeros, zeros, nullptr}, norm.data(), constraints, 2, kQuiet),
            k_center(p, 0, norm.data(), constraints, 7, 2, kQuiet),
            random_pivoting(p, norm.data(), constraints, 7, 2, kQuiet)};
        for (const auto& chosen : found) {
            const std::set<i64> distinct(chosen.begin(), chosen.end());
            i64 counts[3] = {};
            for (const i64 i : distinct) {
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

// A few rows in double, for naive loops.
struct Rows {
    static constexpr i64 kRows = 200, kCols = 6;

    RowMatrix<double> matrix(int threads) const {
        return row_matrix(MatrixView<double>{z.data(), kRows, kCols, kCols}, threads);
    }
    // ⟨x, z_i⟩, where x is turned by some columns.
    double dot(const double* x, i64 i, i64 turn = 0) const {
        double sum = 0.0;
        for (i64 j = 0; j < kCols; ++j) sum += x[(j + turn) % kCols] * z[i * kCols + j];
        return sum;
    }
    const double* row(i64 i) const { return &z[i * kCols]; }

    std::vector<double> z = normals<double>(kRows * kCols, 10);
};

// The row not yet chosen with the largest score, the lowest one of these.
template <class Score>
static i64 best_row(const RowList& chosen, const Score& score) {
    i64 best = -1;
    for (i64 i = 0; i < Rows::kRows; ++i)
        if (std::count(chosen.begin(), chosen.end(), i) == 0 &&
            (best < 0 || score(i) > score(best)))
            best = i;
    return best;
}

TEST(herding_pursuit_equals_a_naive_loop) {
    const Rows rows;
    constexpr i64 m = Rows::kCols;
    std::vector<double> mean(m), norm(Rows::kRows), response = normals<double>(m * m, 11);
    for (std::size_t e = 0; e < rows.z.size(); ++e) mean[e % m] += rows.z[e] / Rows::kRows;
    for (i64 i = 0; i < Rows::kRows; ++i) norm[i] = rows.dot(rows.row(i), i);
    for (i64 a = 0; a < m; ++a)
        for (i64 b = 0; b < a; ++b) response[a * m + b] = response[b * m + a];
    for (const bool responds : {false, true}) {
        std::vector<double> q = mean;
        RowList chosen{3};
        for (i64 picks = 1; picks < 20; ++picks) {
            const double* z = rows.row(chosen.back());
            for (i64 a = 0; a < m; ++a) {
                double moved = responds ? 0.0 : z[a];
                for (i64 b = 0; b < m && responds; ++b) moved += response[a * m + b] * z[b];
                q[a] += mean[a] - moved;
            }
            chosen.push_back(
                best_row(chosen, [&](i64 i) { return 2.0 * rows.dot(q.data(), i) - norm[i]; }));
        }
        for (const int threads : {1, 3})
            CHECK(herding_pursuit(rows.matrix(threads),
                                  {mean, mean, responds ? response.data() : nullptr}, norm.data(),
                                  {Rows::kRows, {}, {20}, {3}}, threads, kQuiet) == chosen);
    }
}

TEST(k_center_takes_the_farthest_row) {
    const Rows rows;
    for (const i64 turn : {i64{0}, Rows::kCols / 2}) {
        std::vector<double> own(Rows::kRows), nearest(Rows::kRows, 1e300);
        for (i64 i = 0; i < Rows::kRows; ++i) own[i] = rows.dot(rows.row(i), i, turn);
        const RowList found =
            k_center(rows.matrix(2), turn, own.data(), {Rows::kRows, {}, {20}, {}}, 7, 2, kQuiet);
        RowList chosen{found.at(0)};  // the first one is random
        while (chosen.size() < 20) {
            const i64 p = chosen.back();
            for (i64 i = 0; i < Rows::kRows; ++i) {
                const double distance = own[i] + own[p] - 2.0 * rows.dot(rows.row(p), i, turn);
                nearest[i] = std::min(nearest[i], std::max(distance, 0.0));
            }
            chosen.push_back(best_row(chosen, [&](i64 i) { return nearest[i]; }));
        }
        CHECK(found == chosen);
    }
}

// Rows along three axes: a pick leaves nothing of its axis, and after three all begins anew.
TEST(random_pivoting_picks_what_is_not_in_the_span) {
    const i64 n_rows = 300, k = 3;
    std::vector<double> z(n_rows * k), norm(n_rows);
    for (i64 i = 0; i < n_rows; ++i) {
        const double length = static_cast<double>(1 + i % 5);
        z[i * k + i % k] = length;
        norm[i] = length * length;
    }
    const RowMatrix<double> rows = row_matrix(MatrixView<double>{z.data(), n_rows, k, k}, 2);
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const RowList chosen =
            random_pivoting(rows, norm.data(), {n_rows, {}, {9}, {}}, seed, 2, kQuiet);
        CHECK(std::set<i64>(chosen.begin(), chosen.end()).size() == 9);
        for (std::size_t first = 0; first < 9; first += 3) {
            std::set<i64> axes;
            for (std::size_t t = 0; t < 3; ++t) axes.insert(chosen[first + t] % k);
            CHECK(axes.size() == 3);
        }
    }
}

// Within four standard deviations.
TEST(random_pivoting_picks_in_proportion_to_squared_residuals) {
    const double z[] = {1.0, 2.0, 0.0, 3.0}, norm[] = {1.0, 4.0, 0.0, 9.0};
    const RowMatrix<double> rows = row_matrix(MatrixView<double>{z, 4, 1, 1}, 1);
    const int draws = 5000;
    double often[4] = {};
    for (int seed = 0; seed < draws; ++seed) {
        const RowList chosen = random_pivoting(rows, norm, {4, {}, {1}, {}},
                                               static_cast<std::uint64_t>(seed), 1, kQuiet);
        often[chosen.at(0)] += 1.0 / draws;
    }
    for (int i = 0; i < 4; ++i) {
        const double share = norm[i] / 14.0;
        CHECK(std::abs(often[i] - share) <= 4.0 * std::sqrt(share * (1.0 - share) / draws));
    }
}
