// Herding pursuit, k-center and random pivoting, on the loop that they share.
#include "skmm/select/sequential.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "candidate_set.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/philox.hpp"

namespace skmm {
namespace {

double inner(const Vector& x, const Vector& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

// The loop that the three methods share. It holds the rows of Z and the set of chosen rows.
template <class T>
class Selection {
public:
    Selection(const RowMatrix<T>& z, const Constraints& constraints, int n_threads,
              const Tick& tick)
        : z_(z), constraints_(constraints), set_(constraints), threads_(n_threads), tick_(tick) {}

    i64 rows() const { return z_.rows; }
    i64 cols() const { return z_.cols; }
    i64 size() const { return set_.size(); }

    // Makes a selection and returns its rows. next() returns the next row to choose, or -1 if there
    // is none. observe(i) is called for each row of `include` and for each chosen row, unless no
    // choice follows.
    template <class Observe, class Next>
    RowList choose(const Observe& observe, const Next& next) {
        const i64 n = constraints_.n();
        RowList chosen = constraints_.include;
        if (set_.size() < n) std::for_each(chosen.begin(), chosen.end(), observe);
        while (set_.size() < n) {
            tick_(set_.size());
            const i64 i = next();
            if (i < 0) break;  // happens only if Z is not finite
            set_.add(i);
            chosen.push_back(i);
            if (set_.size() < n) observe(i);
        }
        return chosen;
    }

    // Returns the row of largest score(i) among those that may be chosen, or -1 if there is none.
    // Ties go to the lowest row.
    template <class Score>
    i64 best(const Score& score) const {
        const RowList top = top_rows(rows(), 1, threads_,
                                     [&](i64 i) { return set_.addable(i) ? score(i) : kNever; });
        return top.empty() ? -1 : top.front();
    }

    // Returns one of the rows that may be chosen, drawn with probability proportional to
    // weight(i) >= 0, or -1 if all weights are zero.
    template <class Weight>
    i64 random(std::uint64_t seed, const Weight& weight) const {
        const double u = uniform(seed, kPicks, static_cast<std::uint64_t>(set_.size()));
        return weighted_row(rows(), u, threads_,
                            [&](i64 i) { return set_.addable(i) ? weight(i) : 0.0; });
    }

    // Returns row i of Z.
    Vector row(i64 i) const {
        std::vector<T> z(at(cols()));
        z_.take({i}, z.data());
        return {z.begin(), z.end()};
    }

    // Computes t_i = ⟨u, z_i⟩ for all rows. This is the pass over Z.
    void dots(const Vector& u, Vector& t) const {
        z_.dots(u.data(), [&](i64) { tick_(set_.size()); }, t.data());
    }

    // Calls of_row(i) for all rows.
    template <class F>
    void for_rows(const F& of_row) const {
        for_blocks(rows(), threads_, [&](i64 first, i64 last) {
            for (i64 i = first; i < last; ++i) of_row(i);
        });
    }

private:
    const RowMatrix<T>& z_;
    const Constraints& constraints_;
    CandidateSet set_;
    int threads_;
    const Tick& tick_;
};

}  // namespace

template <class T>
RowList herding_pursuit(const RowMatrix<T>& z, Target target, const double* penalty,
                        const Constraints& constraints, int n_threads, const Tick& tick) {
    Selection<T> selection(z, constraints, n_threads, tick);
    const i64 m = selection.cols();
    Vector t(at(selection.rows()));
    return selection.choose(
        [&](i64 i) {
            const Vector x = selection.row(i);
            for (i64 j = 0; j < m; ++j) {
                const double moved =
                    target.response == nullptr
                        ? x[at(j)]
                        : std::inner_product(x.begin(), x.end(), target.response + j * m, 0.0);
                target.q[at(j)] += target.drift[at(j)] - moved;
            }
        },
        [&] {
            selection.dots(target.q, t);
            return selection.best([&](i64 i) { return 2.0 * t[at(i)] - penalty[i]; });
        });
}

template <class T>
RowList k_center(const RowMatrix<T>& z, i64 turn, const double* own, const Constraints& constraints,
                 std::uint64_t seed, int n_threads, const Tick& tick) {
    Selection<T> selection(z, constraints, n_threads, tick);
    Vector t(at(selection.rows())), nearest(t.size(), std::numeric_limits<double>::infinity());
    return selection.choose(
        [&](i64 p) {
            Vector x = selection.row(p);
            std::rotate(x.begin(), x.begin() + turn, x.end());
            selection.dots(x, t);
            selection.for_rows([&](i64 i) {
                const double distance = std::max(own[i] + own[p] - 2.0 * t[at(i)], 0.0);
                nearest[at(i)] = std::min(nearest[at(i)], distance);
            });
        },
        [&] {
            if (selection.size() == 0) return selection.random(seed, [](i64) { return 1.0; });
            return selection.best([&](i64 i) { return nearest[at(i)]; });
        });
}

template <class T>
RowList random_pivoting(const RowMatrix<T>& z, const double* norm, const Constraints& constraints,
                        std::uint64_t seed, int n_threads, const Tick& tick) {
    constexpr double kRounding = 1e-12;  // a residual counts as zero below this part of ‖z_i‖²
    Selection<T> selection(z, constraints, n_threads, tick);
    Vector t(at(selection.rows())), residual(norm, norm + selection.rows());
    std::vector<Vector> basis;  // an orthonormal basis of the span of the chosen rows
    return selection.choose(
        [&](i64 p) {
            Vector x = selection.row(p);
            for (int twice = 0; twice < 2; ++twice) {
                for (const Vector& q : basis) {
                    const double along = inner(q, x);
                    for (std::size_t j = 0; j < x.size(); ++j) x[j] -= along * q[j];
                }
            }
            const double left = inner(x, x);
            if (!(left > kRounding * norm[p])) return;  // row p is in the span
            for (double& entry : x) entry /= std::sqrt(left);
            selection.dots(x, t);
            selection.for_rows([&](i64 i) {
                residual[at(i)] -= t[at(i)] * t[at(i)];
                if (residual[at(i)] < kRounding * norm[i]) residual[at(i)] = 0.0;
            });
            basis.push_back(std::move(x));
        },
        [&] {
            i64 i = selection.random(seed, [&](i64 j) { return residual[at(j)]; });
            if (i >= 0) return i;
            basis.clear();
            std::copy_n(norm, selection.rows(), residual.begin());
            i = selection.random(seed, [&](i64 j) { return residual[at(j)]; });
            return i >= 0 ? i : selection.random(seed, [](i64) { return 1.0; });  // all are zero
        });
}

#define SKMM_SEQUENTIAL(T)                                                                        \
    template RowList herding_pursuit(const RowMatrix<T>&, Target, const double*,                  \
                                     const Constraints&, int, const Tick&);                       \
    template RowList k_center(const RowMatrix<T>&, i64, const double*, const Constraints&, u64,   \
                              int, const Tick&);                                                  \
    template RowList random_pivoting(const RowMatrix<T>&, const double*, const Constraints&, u64, \
                                     int, const Tick&);
SKMM_SEQUENTIAL(float)
SKMM_SEQUENTIAL(double)

}  // namespace skmm
