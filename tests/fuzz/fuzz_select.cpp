// Fuzzes the methods of selection on small problems: V-optimal selection, moment matching, the
// sequential methods and spherical cells. Every selection keeps its constraints, and the number of
// threads changes no bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "problems.hpp"
#include "skmm/select/moment_matching.hpp"
#include "skmm/select/sequential.hpp"
#include "skmm/select/spherical_cells.hpp"
#include "skmm/select/v_optimality.hpp"

namespace skmm::fuzz {
namespace {

Runs runs;

const Tick kQuiet{};

// Rows Z (n, m), and constraints on a selection of them.
template <class T>
struct Problem {
    Constraints constraints;
    Numbers numbers;
    i64 n, m;
    std::vector<T> z;
    int threads;

    Problem(Input& in, i64 n_rows)
        : constraints(fuzz::constraints(in, n_rows, n_rows > 60 ? 10 : n_rows)),
          numbers(in),
          n(n_rows),
          m(in.integer(1, n_rows > 60    ? 2
                          : in.one_in(4) ? 40
                                         : 6)),
          z(numbers.vector<T>(n_rows * m)),
          threads(static_cast<int>(in.integer(2, 9))) {}

    MatrixView<T> view() const { return {z.data(), n, m, m}; }
    // ‖z_i‖² of all rows.
    std::vector<double> norms() const {
        std::vector<double> x(at(n));
        const std::vector<double> ones(at(m), 1.0);
        square_dots(view(), ones.data(), 1, kQuiet, x.data());
        return x;
    }
};

// Calls choose(rows, n_threads) with one thread and with several, and checks the selections.
template <class T, class Choose>
RowList chosen(const Problem<T>& p, bool complete, const Choose& choose) {
    const RowList rows = choose(row_matrix(p.view(), 1), 1);
    check(rows == choose(row_matrix(p.view(), p.threads), p.threads),
          "the same rows for any number of threads");
    check_selection(p.constraints, rows, complete);
    return rows;
}

template <class T>
void v_optimal_of(Input& in, Problem<T>& p) {
    const i64 k = in.integer(1, p.m);
    std::vector<double> b;
    if (in.coin()) {
        b = p.numbers.vector(p.m * k);
    } else {
        b.resize(at(p.m * k));
        for (i64 d = 0; d < k; ++d) b[at(d * k + d)] = 1.0;
    }
    const double ridges[] = {1.0, 1e-6, 1e3, in.real(1e-9, 10.0)};
    DesignOptions o{in.integer(1, in.coin() ? 3 : 100),
                    static_cast<Sampler>(in.integer(0, 2)),
                    in.coin() ? 0.1 : in.real(1e-3, 10.0),
                    ridges[in.integer(0, 3)],
                    in.coin() && p.n <= 60,
                    in.coin() ? 0.0 : 1e-3,
                    in.one_in(4) ? in.real(0.0, 100.0) : 0.0,
                    in.seed()};
    RowList start;
    std::vector<i64> left = p.constraints.counts;
    for (const i64 i : p.constraints.include) --left[at(p.constraints.group_of(i))];
    for (i64 t = in.one_in(3) ? in.integer(1, 4) : 0; t > 0; --t) {
        const i64 i = in.integer(0, p.n - 1), g = p.constraints.group_of(i);
        const auto has = [i](const RowList& rows) {
            return std::find(rows.begin(), rows.end(), i) != rows.end();
        };
        if (g < 0 || left[at(g)] == 0 || has(start) || has(p.constraints.include)) continue;
        --left[at(g)];
        start.push_back(i);
    }
    const MatrixView<double> by{b.data(), p.m, k, k};
    // With rows that are no numbers, or drawn where all gains have vanished, it may end early.
    const bool complete = p.numbers.moderate() && o.sampler == Sampler::kGreedy;
    const RowList rows = chosen(p, complete, [&](const RowMatrix<T>& z, int threads) {
        return v_optimal(Whitened<T>{z, by}, o, p.constraints, start, threads, kQuiet).rows;
    });
    if (!o.refine)
        for (const i64 i : start)
            check(std::find(rows.begin(), rows.end(), i) != rows.end(), "`start` is kept");
}

template <class T>
void sequential_of(Input& in, Problem<T>& p) {
    const bool complete = p.numbers.moderate();
    const std::vector<double> norms = p.norms();
    const u64 seed = in.seed();
    const i64 turn = p.m % 2 == 0 && in.coin() ? p.m / 2 : 0;
    Target target{p.numbers.vector(p.m), p.numbers.vector(p.m), nullptr};
    const std::vector<double> response = p.numbers.vector(p.m * p.m);
    if (in.coin()) target.response = response.data();
    const std::vector<double> penalty = in.coin() ? norms : p.numbers.vector(p.n);
    chosen(p, complete, [&](const RowMatrix<T>& z, int threads) {
        return herding_pursuit(z, target, penalty.data(), p.constraints, threads, kQuiet);
    });
    chosen(p, complete, [&](const RowMatrix<T>& z, int threads) {
        return k_center(z, turn, norms.data(), p.constraints, seed, threads, kQuiet);
    });
    chosen(p, complete, [&](const RowMatrix<T>& z, int threads) {
        return random_pivoting(z, norms.data(), p.constraints, seed, threads, kQuiet);
    });
}

template <class T>
void match_moments_of(Input& in, const Problem<T>& p) {
    const FreeRows free = free_rows(p.constraints);
    const i64 n = static_cast<i64>(free.rows.size());
    std::vector<T> y;
    for (const i64 i : free.rows) y.insert(y.end(), &p.z[at(i * p.m)], &p.z[at(i * p.m)] + p.m);
    Numbers numbers(in, true);
    std::vector<double> target, weight;
    for (i64 j = 0; j < p.m; ++j) {
        target.push_back(std::abs(numbers.next()));
        weight.push_back(0.01 + std::abs(numbers.next()));
    }
    const double cap = 1.0 / static_cast<double>(p.constraints.n());
    std::vector<double> start(at(n));
    for_each_row(free.grouped, 1, [&](i64 g, i64 i) {
        const auto [size, count] = free.grouped.group(g);
        start[at(i)] = cap * static_cast<double>(count) / static_cast<double>(size);
    });
    const double tol = in.coin() ? 1e-6 : in.real(0.0, 0.1);
    const int most = static_cast<int>(in.integer(0, 40));
    const auto fit = [&](int threads) {
        const MomentProblem<T> problem{row_matrix(MatrixView<T>{y.data(), n, p.m, p.m}, threads),
                                       target.data(), weight.data(), cap, free.grouped};
        return match_moments(problem, start, tol, most, threads, kQuiet,
                             [](i64, double, double) { return true; });
    };
    const MomentFit one = fit(1), other = fit(p.threads);
    check(same_bits(one.s, other.s) && same_bits(one.gaps, other.gaps),
          "the same bits for any number of threads");
    if (!p.numbers.moderate()) return;
    Vector sums(p.constraints.counts.size());
    for_each_row(free.grouped, 1, [&](i64 g, i64 i) {
        check(0.0 <= one.s[at(i)] && one.s[at(i)] <= cap * (1.0 + 1e-9), "0 <= s <= cap");
        sums[at(g)] += one.s[at(i)];
    });
    for (i64 g = 0; g < free.grouped.n_groups(); ++g) {
        const auto count = static_cast<double>(free.grouped.group(g).count);
        check(std::abs(sums[at(g)] - cap * count) <= 1e-9, "the sum of a group");
    }
    double objective = 0.0, scale = 0.0;
    for (i64 j = 0; j < p.m; ++j) {
        double moment = 0.0;
        for (i64 i = 0; i < n; ++i)
            moment += one.s[at(i)] * std::pow(static_cast<double>(y[at(i * p.m + j)]), 2);
        check(std::abs(moment - one.moments[at(j)]) <= 1e-9 * (1.0 + moment), "the moments of s");
        objective += weight[at(j)] * std::pow(std::max(target[at(j)] - moment, 0.0), 2);
        scale += weight[at(j)] * std::pow(target[at(j)] + moment, 2);
    }
    check(std::abs(objective - one.objective) <= 1e-8 * (1.0 + scale), "the objective at s");
    check(one.objective <= one.start * (1.0 + 1e-9), "the objective never increases");
    check(one.gap >= 0.0 && one.gap <= one.objective * (1.0 + 1e-9), "a gap within the objective");
}

// Spherical cells in sets that are the groups.
template <class T>
void cells_of(Input& in, const Problem<T>& p) {
    std::vector<i64> rows, first{0}, first_centre{0};
    std::vector<u64> seeds;
    for (i64 g = 0; g < p.constraints.n_groups(); ++g) {
        const RowList own = rows_of_group(p.constraints, g);
        if (own.empty()) continue;
        rows.insert(rows.end(), own.begin(), own.end());
        first.push_back(static_cast<i64>(rows.size()));
        first_centre.push_back(first_centre.back() + in.integer(1, static_cast<i64>(own.size())));
        seeds.push_back(in.seed());
    }
    const RowSets sets{static_cast<i64>(seeds.size()), rows.data(), first.data(),
                       first_centre.data()};
    const i64 count = first_centre.back(), total = static_cast<i64>(rows.size());
    const int sweeps = static_cast<int>(in.integer(0, 4));
    std::vector<double> centres(at(count * p.m)), again(centres.size());
    spherical_centres(p.view(), sets, seeds.data(), sweeps, 1, kQuiet, centres.data());
    spherical_centres(p.view(), sets, seeds.data(), sweeps, p.threads, kQuiet, again.data());
    check(same_bits(centres, again), "the same centres for any number of threads");
    const MatrixView<double> by{centres.data(), count, p.m, p.m};
    std::vector<i64> which(at(total)), which_again(at(total));
    std::vector<double> product(at(total)), product_again(at(total));
    nearest_centre(p.view(), sets, by, 1, kQuiet, which.data(), product.data());
    nearest_centre(p.view(), sets, by, p.threads, kQuiet, which_again.data(), product_again.data());
    check(which == which_again && same_bits(product, product_again),
          "the same nearest centres for any number of threads");
    for (i64 g = 0; g < sets.sets; ++g) {
        for (i64 t = first[at(g)]; t < first[at(g + 1)]; ++t) {
            const i64 of = first_centre[at(g)], here = first_centre[at(g + 1)] - of;
            check(0 <= which[at(t)] && which[at(t)] < here, "a centre of the row's set");
            if (!p.numbers.moderate()) continue;
            const T* const z = p.view().row(rows[at(t)]);
            double size = 0.0, most = -std::numeric_limits<double>::infinity(), own = 0.0;
            for (i64 c = 0; c < here; ++c) {
                double dot = 0.0;
                for (i64 j = 0; j < p.m; ++j) dot += static_cast<double>(z[j]) * by.row(of + c)[j];
                most = std::max(most, dot);
                if (c == which[at(t)]) own = dot;
            }
            for (i64 j = 0; j < p.m; ++j) size += std::abs(static_cast<double>(z[j]));
            check(own >= most - 1e-4 * size && std::abs(own - product[at(t)]) <= 1e-4 * size,
                  "the nearest centre");
        }
    }
}

// Rows of any 16 bits give the results of the same rows as floats.
void halves_of(Input& in, const Problem<float>& p) {
    const bool scaled = in.coin();
    const i64 stride = p.m + (scaled ? 1 : 0);
    const u64 seed = in.seed();
    std::vector<Half> bits;
    for (i64 e = 0; e < p.n * stride; ++e)
        bits.push_back({static_cast<u16>(philox(seed, kSubset, static_cast<u64>(e)).w[0])});
    const HalfView narrow{bits.data(), p.n, p.m, stride, scaled};
    std::vector<float> floats(at(p.n * p.m));
    take(narrow, nullptr, p.n, 1, floats.data());
    const MatrixView<float> wide{floats.data(), p.n, p.m, p.m};
    std::vector<double> ones(at(p.m), 1.0), own(at(p.n)), of_wide(at(p.n));
    square_dots(narrow, ones.data(), p.threads, kQuiet, own.data());
    square_dots(wide, ones.data(), 1, kQuiet, of_wide.data());
    check(same_bits(own, of_wide), "the norms of the same floats");
    const auto centre_rows = [&](auto rows) {
        return k_center(row_matrix(rows, p.threads), 0, own.data(), p.constraints, seed, p.threads,
                        kQuiet);
    };
    check(centre_rows(narrow) == centre_rows(wide), "the rows chosen from the same floats");
}

template <class T>
void run(Input& in) {
    const i64 how = in.integer(0, 4);
    Problem<T> p(in, in.one_in(40) ? in.integer(4000, 5000) : in.integer(1, 60));
    if (how == 0) v_optimal_of(in, p);
    if (how == 1) sequential_of(in, p);
    if (how == 2) match_moments_of(in, p);
    if (how == 3) cells_of(in, p);
    if constexpr (std::is_same_v<T, float>)
        if (how == 4) halves_of(in, p);
    runs.valid();
}

}  // namespace
}  // namespace skmm::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    skmm::fuzz::runs.begin();
    if (size < 16) return 0;
    skmm::fuzz::Input in(data, size);
    in.coin() ? skmm::fuzz::run<float>(in) : skmm::fuzz::run<double>(in);
    return 0;
}
