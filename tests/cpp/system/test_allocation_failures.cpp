// Every allocation of every function of the core fails once, with one thread and with two: the
// function throws std::bad_alloc, leaks nothing (AddressSanitizer sees to that) and works again.
#include <cmath>
#include <functional>
#include <new>
#include <numeric>

#include "../support/check.hpp"
#include "../support/failing_new.hpp"
#include "../support/shared.hpp"
#include "../support/sketches.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/select/constraints.hpp"
#include "skmm/select/mean_matching.hpp"
#include "skmm/select/moment_matching.hpp"
#include "skmm/select/sampling.hpp"
#include "skmm/select/sequential.hpp"
#include "skmm/select/spherical_cells.hpp"
#include "skmm/select/v_optimality.hpp"

using namespace skmm;
using check::kGoOn;
using check::kQuiet;
using check::normals;

// Runs f(threads), which returns its result as numbers, with each of its allocations failing.
static void check_failures(const std::function<std::vector<double>(int)>& f) {
    for (const int threads : {1, 2}) {
        const std::vector<double> expected = f(threads);  // OpenMP has its threads from here on
        i64 successes = 0;
        for (bool more = true; more; ++successes) {
            bool thrown = false;
            std::vector<double> found;
            check::fail_after(successes);
            try {
                found = f(threads);
            } catch (const std::bad_alloc&) {
                thrown = true;
            }
            more = check::has_failed();
            check::fail_after(-1);
            if (thrown)
                CHECK(more);
            else
                CHECK(found == expected);  // std::stable_sort does without memory, for one
        }
        CHECK(successes > 1);
        CHECK(f(threads) == expected);
    }
}

template <class T>
static std::vector<double> numbers(const std::vector<T>& x) {
    return std::vector<double>(x.begin(), x.end());
}

// More rows than one block of sums, so that two threads have work.
struct Problem {
    static constexpr i64 kRows = kSumBlock + 900, kCols = 4, kCount = 8;

    MatrixView<float> view() const { return {z.data(), kRows, kCols, kCols}; }
    RowMatrix<float> matrix(int threads) const { return row_matrix(view(), threads); }
    Constraints constraints() const { return {kRows, group, {kCount / 2, kCount / 2}, {0, 1}}; }

    Problem() : group(kRows) {
        for (i64 i = 0; i < kRows; ++i) group[i] = static_cast<std::int32_t>(i % 2);
    }
    std::vector<float> z = normals<float>(kRows * kCols);
    std::vector<double> small = normals<double>(kCols * kCols, 1);
    std::vector<std::int32_t> group;
    std::vector<double> ones = std::vector<double>(kRows, 1.0);
    std::vector<double> pi = std::vector<double>(kRows, double(kCount) / kRows);
};

TEST(products_survive_failing_allocations) {
    const Problem p;
    const MatrixView<double> d{p.small.data(), p.kCols, p.kCols, p.kCols};
    const auto filled = [](i64 n, const std::function<void(double*)>& fill) {
        std::vector<double> out(n);
        fill(out.data());
        return out;
    };
    check_failures([&](int threads) {
        return filled(p.kCols * p.kCols, [&](double* out) {
            second_moment(p.view(), p.ones.data(), threads, kQuiet, out);
        });
    });
    check_failures([&](int threads) {
        return filled(p.kRows, [&](double* out) {
            row_norms(p.view(), nullptr, p.kRows, d, threads, kQuiet, out);
        });
    });
    check_failures([&](int threads) {
        std::vector<float> out(p.kRows * p.kCols);
        multiply(p.view(), nullptr, d, threads, kQuiet,
                 MutableMatrixView<float>{out.data(), p.kRows, p.kCols, p.kCols});
        return numbers(out);
    });
    check_failures([&](int threads) {
        std::vector<float> out(p.kRows * p.kCols);
        multiply_rounded(p.view(), nullptr, d, threads, kQuiet,
                         {out.data(), p.kRows, p.kCols, p.kCols});
        return numbers(out);
    });
    check_failures([&](int threads) {
        const std::vector<i64> cell(p.group.begin(), p.group.end());
        return filled(2 * p.kCols, [&](double* out) {
            sum_unit_rows(p.view(), nullptr, p.kRows, cell.data(), 2, threads, kQuiet, out);
        });
    });
    check_failures([&](int threads) {
        return filled(p.kCols, [&](double* out) {
            column_squares(p.view(), p.ones.data(), threads, kQuiet, out);
        });
    });
    check_failures([&](int threads) {
        return filled(p.kRows, [&](double* out) {
            square_dots(p.view(), p.small.data(), threads, kQuiet, out);
        });
    });
    check_failures([&](int threads) {
        return filled(p.kRows,
                      [&](double* out) { dots(p.view(), p.small.data(), threads, kQuiet, out); });
    });
    check_failures([&](int threads) {
        std::vector<float> out(p.kRows * p.kCols);
        take(p.view(), nullptr, p.kRows, threads, out.data());
        return numbers(out);
    });
}

TEST(small_algebra_survives_failing_allocations) {
    const Problem p;
    Vector h = gram(p.small);
    for (i64 j = 0; j < p.kCols; ++j) h[j * p.kCols + j] += 1.0;
    const Vector g(p.small.begin(), p.small.begin() + p.kCols), u(p.kCols, 0.1);
    check_failures([&](int) {
        Vector a = h;
        factor(a);
        return gram(inverse_root(a));
    });
    check_failures([&](int) { return bounded_step(h, g, u); });
    check_failures([&](int threads) {
        Vector s(p.kRows);
        project(p.pi.data(), GroupedRows(p.kRows, p.kCount), 1.0 / p.kCount, {1.0}, {0.0}, threads,
                s.data());
        return s;
    });
    check_failures([&](int threads) {
        return Vector{
            support(p.pi.data(), GroupedRows(p.kRows, 20), 1.0 / p.kCount, 1e-6, threads)};
    });
}

template <class S>
static void check_sketches(const S& s) {
    const i64 n = 40;
    const std::vector<float> a = normals<float>(n * s.in_dim), b = normals<float>(n * 10, 1);
    const check::Thinned<float> thinned(a, n);
    const OuterView<float> outer{check::dense_view(b, n), {a.data(), n, s.in_dim / 10, s.in_dim}};
    check_failures([&](int threads) {
        return numbers(check::sketched<float>(check::dense_view(a, n), s, threads));
    });
    check_failures([&](int threads) { return numbers(check::sketched<float>(outer, s, threads)); });
    check_failures(
        [&](int threads) { return numbers(check::sketched<float>(thinned.csr(), s, threads)); });
    check_failures([&](int) { return numbers(check::gamma_of(s)); });
}

TEST(sketches_survive_failing_allocations) {
    check_sketches(SparseSign{300, 24, 4, 1});
    check_sketches(GroupedSign{300, 24, 1});
    check_sketches(Gaussian{300, 24, 1});
}

TEST(selections_survive_failing_allocations) {
    const Problem p;
    const std::vector<double> zeros(p.kCols), own(p.kRows, double(p.kCols));
    check_failures([&](int) { return numbers(free_rows(p.constraints()).rows); });
    check_failures([&](int threads) {
        return numbers(herding_pursuit(p.matrix(threads), {zeros, zeros, nullptr}, own.data(),
                                       p.constraints(), threads, kQuiet));
    });
    check_failures([&](int threads) {
        return numbers(
            k_center(p.matrix(threads), 0, own.data(), p.constraints(), 7, threads, kQuiet));
    });
    check_failures([&](int threads) {
        return numbers(
            random_pivoting(p.matrix(threads), own.data(), p.constraints(), 7, threads, kQuiet));
    });
    check_failures([&](int threads) {
        std::vector<double> identity(p.kCols * p.kCols);
        for (i64 j = 0; j < p.kCols; ++j) identity[j * p.kCols + j] = 1.0;
        const Whitened<float> w{p.matrix(threads), {identity.data(), p.kCols, p.kCols, p.kCols}};
        const DesignOptions options{4, Sampler::kGreedy, 0.1, 1.0, true, 0.0, 0.0, 0};
        return numbers(v_optimal(w, options, p.constraints(), {}, threads, kQuiet).rows);
    });
    check_failures([&](int threads) {
        const std::vector<double> target(p.kCols, 2.0), weight(p.kCols, 1.0);
        const MomentProblem<float> problem{p.matrix(threads), target.data(), weight.data(),
                                           1.0 / p.kCount, GroupedRows(p.kRows, p.kCount)};
        return match_moments(problem, Vector(p.kRows, 1.0 / p.kRows), 1e-3, 5, threads, kQuiet,
                             kGoOn)
            .s;
    });
}

TEST(draws_survive_failing_allocations) {
    const Problem p;
    check_failures(
        [&](int) { return numbers(draw_systematic(p.pi.data(), p.kRows, p.kCount, 1)); });
    check_failures([&](int) { return numbers(draw_pivotal(p.pi.data(), p.kRows, p.kCount, 1)); });
    check_failures([&](int) { return numbers(draw_subset(p.kRows, p.kCount, 1)); });
    check_failures([&](int) { return numbers(random_order(p.kRows, 1, 0)); });
}

TEST(cells_survive_failing_allocations) {
    const Problem p;
    std::vector<i64> rows(p.kRows);
    std::iota(rows.begin(), rows.end(), i64{0});
    const std::vector<i64> first{0, 900, p.kRows}, first_centre{0, 3, 8}, slots{0, 2, 5};
    const std::vector<std::uint64_t> seeds{1, 2};
    const RowSets sets{2, rows.data(), first.data(), first_centre.data()};
    std::vector<double> centres(8 * p.kCols);
    check_failures([&](int threads) {
        spherical_centres(p.view(), sets, seeds.data(), 2, threads, kQuiet, centres.data());
        return centres;
    });
    check_failures([&](int threads) {
        std::vector<i64> which(p.kRows);
        std::vector<double> product(p.kRows);
        nearest_centre(p.view(), sets, {centres.data(), 8, p.kCols, p.kCols}, threads, kQuiet,
                       which.data(), product.data());
        return product;
    });
    const CellRows cells{2, first.data(), slots.data(), rows.data()};
    const std::vector<i64> held{1, 5, 900, 901, 902};
    check_failures([&](int) { return numbers(draw_candidates(cells, held.data(), 9, 1, 0).rows); });
    check_failures([&](int) {
        std::vector<i64> slot = held;
        const std::vector<double> weight(5, 0.2);
        Vector r(p.small.begin(), p.small.begin() + p.kCols);
        exchange_in_cells(p.view(), cells, weight.data(), slot.data(), r.data());
        return numbers(slot);
    });
}
