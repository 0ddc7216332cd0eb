// Sums over rows against loops.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::close;
using check::computed;
using check::fused;
using check::normals;

// Σ_j u_j x_j as eight fused sums, of every eighth term each, that are then added.
static double in_lanes(const std::vector<double>& x, const double* u) {
    double lane[8] = {};
    for (std::size_t j = 0; j < x.size(); ++j) lane[j % 8] = fused(x[j], u[j], lane[j % 8]);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

template <class T>
static void check_sums_over_rows() {
    const i64 rows = 5;
    for (const i64 k : {1, 7, 8, 9, 37}) {
        std::vector<T> y = normals<T>(rows * k);
        const std::vector<double> u = normals<double>(k, 1), s{0.5, 2.0, 0.0, 0.25, 3.0};
        const auto each_row = [&](auto TypedKernels<T>::* kernel) {
            return computed(
                [&](const Kernels& level) {
                    std::vector<double> out(rows);
                    (level.of<T>().*kernel)(y.data(), rows, k, u.data(), out.data());
                    return out;
                },
                true);
        };
        const auto dots = each_row(&TypedKernels<T>::dots);
        const auto square_dots = each_row(&TypedKernels<T>::square_dots);
        for (i64 i = 0; i < rows; ++i) {
            const std::vector<double> x(&y[i * k], &y[i * k] + k);
            std::vector<double> squares = x;
            for (double& square : squares) square *= square;
            CHECK(dots[i] == in_lanes(x, u.data()));
            CHECK(square_dots[i] == in_lanes(squares, u.data()));
        }

        y[2 * k] = std::numeric_limits<T>::quiet_NaN();  // a row of weight zero is not read
        const auto p = computed([&](const Kernels& level) {
            std::vector<double> out(k, -1.0);
            level.of<T>().weighted_squares(y.data(), 2, k, s.data(), out.data());
            level.of<T>().weighted_squares(y.data() + 2 * k, rows - 2, k, &s[2], out.data());
            return out;
        });
        for (i64 j = 0; j < k; ++j) {
            double sum = -1.0;
            for (const i64 i : {0, 1, 3, 4}) {
                const double x = y[i * k + j];
                sum += s[i] * (x * x);
            }
            CHECK(p[j] == sum);
        }
    }
}

TEST(sums_over_rows_equal_loops) {
    check_sums_over_rows<float>();
    check_sums_over_rows<double>();
}

// C of a few vectors, changed one after another, beside the matrix C itself.
template <class T>
static void check_rank_one() {
    const i64 rows = 6;
    for (const i64 k : {1, 5, 8, 19}) {
        const std::vector<T> w = normals<T>(rows * k);
        std::vector<double> c(k * k);
        for (i64 d = 0; d < k; ++d) c[d * k + d] = 0.25;
        const auto image = [&](const double* x) {
            std::vector<double> y(k);
            for (i64 a = 0; a < k; ++a)
                for (i64 b = 0; b < k; ++b) y[a] += c[a * k + b] * x[b];
            return y;
        };
        const auto seen = [&](std::vector<double>& p, std::vector<double>& q) {
            for (i64 i = 0; i < rows; ++i) {
                const std::vector<double> x(&w[i * k], &w[i * k] + k), y = image(x.data());
                p.push_back(0.0);
                q.push_back(0.0);
                for (i64 a = 0; a < k; ++a) {
                    p.back() += x[a] * y[a];
                    q.back() += y[a] * y[a];
                }
            }
        };
        std::vector<double> p, q, p_after, q_after;
        seen(p, q);

        constexpr int kCount = 4;
        const double signs[kCount] = {1.0, 1.0, -1.0, 1.0};  // the third takes the second back
        const std::vector<double> added = normals<double>(2 * k, 1);
        std::vector<double> u[kCount], v[kCount];
        RankOne changes[kCount];
        for (int t = 0; t < kCount; ++t) {
            const double* x = &added[t == 1 || t == 2 ? k : 0];
            u[t] = image(x);
            v[t] = image(u[t].data());
            double uu = 0, xu = 0;
            for (i64 a = 0; a < k; ++a) {
                uu += u[t][a] * u[t][a];
                xu += x[a] * u[t][a];
            }
            changes[t] = {u[t].data(), v[t].data(), uu, signs[t] * (1.0 + signs[t] * xu)};
            for (i64 a = 0; a < k; ++a)
                for (i64 b = 0; b < k; ++b) c[a * k + b] -= u[t][a] * u[t][b] / changes[t].delta;
        }
        seen(p_after, q_after);
        const auto out = computed(
            [&](const Kernels& level) {
                std::vector<double> both = p;
                both.insert(both.end(), q.begin(), q.end());
                both.resize(at(2 * rows * (1 + kCount)));
                level.of<T>().rank_one(w.data(), rows, k, changes, kCount, both.data(),
                                       both.data() + rows, both.data() + 2 * rows);
                std::vector<double> updated = p;
                updated.insert(updated.end(), q.begin(), q.end());
                level.of<T>().rank_one(w.data(), rows, k, changes, kCount, updated.data(),
                                       updated.data() + rows, nullptr);
                CHECK(std::equal(updated.begin(), updated.end(), both.begin()));
                return both;
            },
            true);
        for (i64 i = 0; i < rows; ++i) {
            CHECK(std::abs(out[i] - p_after[i]) <= 1e-12 * p[i]);
            CHECK(std::abs(out[rows + i] - q_after[i]) <= 1e-12 * q[i]);
            const std::vector<double> x(&w[i * k], &w[i * k] + k);
            for (int t = 0; t < kCount; ++t) {
                const double* along = &out[at(2 * (rows + kCount * i + t))];
                CHECK(along[0] == in_lanes(x, u[t].data()));
                CHECK(along[1] == in_lanes(x, v[t].data()));
            }
        }
    }
}

TEST(rank_one_changes_equal_those_of_the_matrix) {
    check_rank_one<float>();
    check_rank_one<double>();
}

TEST(norms_are_added) {
    const i64 rows = 5;
    const std::vector<double> y = normals<double>(rows * kPanel), before = normals<double>(rows, 1);
    const auto q = computed(
        [&](const Kernels& level) {
            std::vector<double> out = before;
            level.any.add_norms(y.data(), rows, out.data());
            return out;
        },
        true);
    for (i64 i = 0; i < rows; ++i) {
        const std::vector<double> row(&y[i * kPanel], &y[i * kPanel] + kPanel);
        CHECK(q[i] == before[i] + in_lanes(row, row.data()));
    }
}

TEST(clipped_sums_equal_loops) {
    const double tau = 0.1, cap = 0.5;
    for (const i64 count : {1, 7, 8, 9, 100, 4096}) {
        std::vector<double> v = normals<double>(count);
        v[0] = tau;  // neither end of the box is inside
        if (count > 1) v[1] = 1.0;
        const auto out = computed([&](const Kernels& level) {
            double sum;
            i64 inside;
            level.any.clipped_sum(v.data(), count, tau, cap, &sum, &inside);
            return std::vector<double>{sum, static_cast<double>(inside)};
        });
        double sum = 0.0, inside = 0.0;
        for (const double x : v) {
            sum += std::min(std::max(x - tau, 0.0), cap);
            inside += x - tau > 0.0 && x - tau < cap;
        }
        CHECK(close(out[0], sum, sum));
        CHECK(out[1] == inside);
    }
}

static void check_ray_sums(i64 first, i64 last, double tau) {
    const i64 n = 120;
    const std::vector<double> centre = normals<double>(n), g = normals<double>(n, 1),
                              d = normals<double>(n, 2);
    const double a = 0.3, step = 0.7, cap = 0.6;
    const auto out = computed([&](const Kernels& level) {
        RaySums s;
        const Ray ray{centre.data(), g.data(), d.data(), step, cap};
        level.any.ray_sums(ray, first, last, a, tau, &s);
        return std::vector<double>{s.mass, s.inside, s.along, s.d_inside, s.dd_inside};
    });
    double sums[5] = {};
    for (i64 i = first; i < last; ++i) {
        const double v = centre[i] + step * (g[i] + a * d[i]) - tau;
        const double x = std::min(std::max(v, 0.0), cap), inside = v > 0.0 && v < cap;
        const double terms[] = {x, inside, d[i] * x, inside * d[i], inside * d[i] * d[i]};
        for (int t = 0; t < 5; ++t) sums[t] += terms[t];
    }
    for (int t = 0; t < 5; ++t) CHECK(close(out[t], sums[t], static_cast<double>(n)));
    CHECK(out[1] == sums[1]);
}

// Lanes past the end count for nothing, on whichever side of zero the threshold lies.
TEST(ray_sums_equal_loops) {
    for (const i64 first : {0, 3})
        for (const i64 last : {4, 8, 11, 100, 120})
            for (const double tau : {0.2, -0.2, -2.0}) check_ray_sums(first, last, tau);
}
