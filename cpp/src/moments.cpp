#include "skmm/moments.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>

#include "skmm/kernels.hpp"
#include "skmm/memory.hpp"
#include "skmm/simplex.hpp"

namespace skmm {
namespace {

using i64 = std::int64_t;
using Vector = std::vector<double>;

constexpr int kBoundEvery = 8;  // iterations between lower bounds: each costs a partial sort

// φ and its parts. The moments p_j = Σ_i s_i y_ij² are linear in s, so that those of an
// extrapolated point cost nothing.
template <class T>
class Objective {
public:
    Objective(const MomentProblem<T>& problem, int n_threads)
        : problem_(problem),
          threads_(n_threads),
          parts_(static_cast<std::size_t>(ceil_div(rows(), kSumBlock) * cols())) {}

    i64 rows() const { return problem_.y.rows; }
    i64 cols() const { return problem_.y.cols; }

    // One pass over Y.
    Vector moments(const Vector& s) {
        for_blocks(rows(), threads_, [&](i64 first, i64 last) {
            kernels().of<T>().weighted_squares(problem_.y.row(first), last - first, cols(),
                                               s.data() + first,
                                               parts_.data() + first / kSumBlock * cols());
        });
        Vector p(static_cast<std::size_t>(cols()));
        for (std::size_t e = 0; e < parts_.size(); ++e) p[e % p.size()] += parts_[e];
        return p;
    }

    double value(const Vector& p) const {
        double sum = 0.0;
        for (std::size_t j = 0; j < p.size(); ++j) {
            const double short_by = std::max(problem_.target[j] - p[j], 0.0);
            sum += problem_.weight[j] * short_by * short_by;
        }
        return sum;
    }

    // φ where every sum of moments is off by 1e-13 of its target: zero, in float64.
    double rounding() const { return 1e-26 * value(Vector(static_cast<std::size_t>(cols()))); }

    // One pass over Y: g_i = ∂φ/∂s_i where the moments are p.
    void gradient(const Vector& p, Vector& g) const {
        Vector u(p.size());
        for (std::size_t j = 0; j < p.size(); ++j)
            u[j] = 2.0 * problem_.weight[j] * std::max(problem_.target[j] - p[j], 0.0);
        for_blocks(rows(), threads_, [&](i64 first, i64 last) {
            kernels().of<T>().square_dots(problem_.y.row(first), last - first, cols(), u.data(),
                                          g.data() + first);
        });
    }

    // An upper bound of the curvature of φ between two points whose moments are p and q and whose
    // squared distance is d2: 2 Σ_j w_j (p_j - q_j)² / d2 over the directions short at either.
    double curvature(const Vector& p, const Vector& q, double d2) const {
        double sum = 0.0;
        for (std::size_t j = 0; j < p.size(); ++j)
            if (std::min(p[j], q[j]) < problem_.target[j])
                sum += problem_.weight[j] * (p[j] - q[j]) * (p[j] - q[j]);
        return d2 > 0.0 ? 2.0 * sum / d2 : 0.0;
    }

    double distance2(const Vector& a, const Vector& b) const {
        return block_sum(rows(), threads_, [&](i64 first, i64 last) {
            return std::inner_product(a.begin() + first, a.begin() + last, b.begin() + first, 0.0,
                                      std::plus<>(),
                                      [](double x, double y) { return (x - y) * (x - y); });
        });
    }

    // φ(s) >= this for every feasible s, from the linearisation of φ at y with gradient g.
    double lower_bound(double value_y, const Vector& g, const Vector& y) {
        return value_y + least_inner_product(g) - dot(g, y);
    }

    double dot(const Vector& a, const Vector& b) const {
        return block_sum(rows(), threads_, [&](i64 first, i64 last) {
            return std::inner_product(a.begin() + first, a.begin() + last, b.begin() + first, 0.0);
        });
    }

private:
    // min over feasible s of ⟨g, s⟩: cap on the `count` smallest entries.
    double least_inner_product(const Vector& g) {
        sorted_ = g;
        std::nth_element(sorted_.begin(), sorted_.begin() + (problem_.count - 1), sorted_.end());
        return problem_.cap *
               std::accumulate(sorted_.begin(), sorted_.begin() + problem_.count, 0.0);
    }

    const MomentProblem<T>& problem_;
    int threads_;
    Vector parts_, sorted_;
};

}  // namespace

template <class T>
MomentFit match_moments(const MomentProblem<T>& problem, double tol, int max_iter, int n_threads,
                        const Tick& tick, double* start) {
    const auto began = std::chrono::steady_clock::now();
    Objective<T> phi(problem, n_threads);
    const i64 n_rows = phi.rows();
    const double total = problem.cap * static_cast<double>(problem.count);

    Vector s(start, start + n_rows), y = s, next(s.size()), g(s.size());
    Vector ps = phi.moments(s), py = ps, pn;
    double value = phi.value(ps), momentum = 1.0, tau = 0.0;
    double lower = problem.count == 0 ? value : 0.0;  // one feasible point, or φ >= 0
    const double enough = std::max(tol * value, phi.rounding());
    MomentFit fit;

    phi.gradient(py, g);
    double lipschitz = phi.curvature(Vector(ps.size(), 0.0), phi.moments(g), phi.dot(g, g));
    if (!(lipschitz > 0.0)) lipschitz = 1.0;  // a zero gradient: any step stays where it is
    for (int iter = 0; value - lower > enough && iter < max_iter; ++iter) {
        tick(iter);
        const double value_y = phi.value(py);
        phi.gradient(py, g);
        if (iter % kBoundEvery == 0) lower = std::max(lower, phi.lower_bound(value_y, g, y));

        for (bool below = false; !below;) {  // until the model φ(y) + ⟨g, .⟩ + L/2 ‖.‖² is above φ
            for_blocks(n_rows, n_threads, [&](i64 first, i64 last) {
                for (i64 i = first; i < last; ++i) next[i] = y[i] - g[i] / lipschitz;
            });
            tau = project_capped_simplex(next.data(), n_rows, problem.cap, total, tau, n_threads,
                                         next.data());
            pn = phi.moments(next);
            const double needed = phi.curvature(py, pn, phi.distance2(y, next));
            below = !(needed > lipschitz);
            if (!below) lipschitz = std::max(needed, 2.0 * lipschitz);
        }
        lipschitz *= 0.9;

        const double value_next = phi.value(pn);
        if (value_next >= value) {
            if (momentum == 1.0) break;  // a plain gradient step does not help: rounding rules
            momentum = 1.0;              // momentum overshot: go on from s without it
            y = s;
            py = ps;
        } else {
            const bool uphill = phi.dot(g, next) > phi.dot(g, s);
            const double m = 0.5 * (1.0 + std::sqrt(1.0 + 4.0 * momentum * momentum));
            const double beta = uphill ? 0.0 : (momentum - 1.0) / m;
            momentum = uphill ? 1.0 : m;
            const auto extrapolate = [beta](double now, double before) {
                return now + beta * (now - before);
            };
            std::transform(next.begin(), next.end(), s.begin(), y.begin(), extrapolate);
            std::transform(pn.begin(), pn.end(), ps.begin(), py.begin(), extrapolate);
            s.swap(next);
            ps.swap(pn);
            value = value_next;
        }
        fit.objectives.push_back(value);
        fit.gaps.push_back(std::max(value - lower, 0.0));
        fit.seconds.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    if (value - lower > enough) {
        phi.gradient(ps, g);
        lower = std::max(lower, phi.lower_bound(value, g, s));
    }

    std::copy(s.begin(), s.end(), start);
    fit.objective = value;
    fit.gap = std::max(value - lower, 0.0);
    fit.converged = value - lower <= enough;
    return fit;
}

template MomentFit match_moments(const MomentProblem<float>&, double, int, int, const Tick&,
                                 double*);
template MomentFit match_moments(const MomentProblem<double>&, double, int, int, const Tick&,
                                 double*);

}  // namespace skmm
