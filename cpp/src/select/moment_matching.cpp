#include "skmm/select/moment_matching.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>

#include "dual_line_search.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

// Chosen by passes on the GMM of the paper, digits and text; see bench/NOTES.md.
constexpr double kFirstStep = 1e3;  // times 1 / Σ_ij b_ij²
constexpr double kGrowth = 6.0;     // of the step after one iteration at a centre; 2 after two
constexpr double kLastStep = 1e12;  // times the first
constexpr double kFarthest = 1e6;   // times the cap: how far a step may move a row before it is cut
constexpr double kSettled = 0.5;    // of the first residual at a centre: go on to the next
constexpr int kPatience = 12;       // iterations at a centre at most
constexpr double kFalling = 0.5;    // of φ at the last centre: a bound is not needed yet
constexpr double kFlat = 0.05;      // of the slope at its start, where a line search ends
constexpr double kLongest = 1e3;    // part of a Newton step
constexpr double kDropped = 0.1;    // least part of u that is worth a pass at a new centre
constexpr double kRidge = 1e-11;    // of its trace, added to the Hessian
constexpr i64 kSampleLeast = 4096, kSamplePerCol = 16;  // rows in the Hessian

double inner(const Vector& a, const Vector& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double squared(double x) { return x * x; }

// In units where every w_j is 1: t_j and B = (y_ij²) are scaled by √w_j.
template <class T>
class Problem {
public:
    Problem(const MomentProblem<T>& problem, int n_threads, const Tick& tick)
        : problem_(problem),
          threads_(n_threads),
          tick_(tick),
          root_(problem.weight, problem.weight + cols()),
          target_(root_.size()) {
        for (double& w : root_) w = std::sqrt(w);
        for (std::size_t j = 0; j < root_.size(); ++j) target_[j] = problem.target[j] * root_[j];
    }

    i64 rows() const { return problem_.y.view.rows; }
    i64 cols() const { return problem_.y.view.cols; }
    i64 passes() const { return passes_; }
    const Vector& target() const { return target_; }

    // p = Bᵀs, one pass over the rows where s is not zero.
    Vector moments(const Vector& s) {
        Vector p(root_.size());
        problem_.y.column_squares(s.data(), counting(), p.data());
        for (std::size_t j = 0; j < p.size(); ++j) p[j] *= root_[j];
        return p;
    }

    // g = Bu, one pass.
    void combine(const Vector& u, Vector& g) {
        Vector scaled(u.size());
        std::transform(u.begin(), u.end(), root_.begin(), scaled.begin(), std::multiplies<>());
        problem_.y.square_dots(scaled.data(), counting(), g.data());
    }

    Vector unscaled(Vector p) const {
        for (std::size_t j = 0; j < p.size(); ++j) p[j] /= root_[j];
        return p;
    }

    // t - p, zero where p is enough: half the multipliers that p asks for.
    Vector shortfall(const Vector& p) const {
        Vector u(p.size());
        for (std::size_t j = 0; j < p.size(); ++j) u[j] = std::max(target_[j] - p[j], 0.0);
        return u;
    }
    double value(const Vector& p) const {
        const Vector u = shortfall(p);
        return inner(u, u);
    }

    // Σ_i b_i b_iᵀ over the `count` rows i with inside(i), centred in each group, and its trace;
    // where these are many, from a part of them.
    template <class Inside>
    double curvature(i64 count, const Inside& inside, Vector& h) const {
        const auto k = root_.size();
        const i64 every = std::max<i64>(1, count / std::max(kSampleLeast, kSamplePerCol * cols()));
        Vector sample, mean(k);
        std::vector<i64> rows;
        std::vector<T> y;
        double trace = 0.0;
        for (const Group& group : problem_.groups) {
            rows.clear();
            for (i64 i = group.first; i < group.last; i += every)
                if (inside(i)) rows.push_back(i);
            const std::size_t begin = sample.size();
            sample.resize(begin + rows.size() * k);
            std::fill(mean.begin(), mean.end(), 0.0);
            y.resize(rows.size() * k);
            problem_.y.take(rows, y.data());
            double* out = sample.data() + begin;
            for (const T* yi = y.data(); yi != y.data() + y.size(); yi += k) {
                for (std::size_t j = 0; j < k; ++j) {
                    out[j] = root_[j] * squared(static_cast<double>(yi[j]));
                    mean[j] += out[j] / static_cast<double>(rows.size());
                }
                trace += std::inner_product(out, out + k, out, 0.0);
                out += k;
            }
            for (double* b = sample.data() + begin; b != out; b += k)
                std::transform(b, b + k, mean.begin(), b, std::minus<>());
        }
        h.assign(k * k, 0.0);
        if (sample.empty()) return 0.0;
        const auto taken = static_cast<i64>(sample.size() / k);
        second_moment(MatrixView<double>{sample.data(), taken, cols(), cols()}, nullptr, threads_,
                      tick_, h.data());
        const double scale = static_cast<double>(count) / static_cast<double>(taken);
        for (double& x : h) x *= scale;
        return trace * scale;
    }

private:
    Tick counting() {  // of one more pass
        ++passes_;
        return [this](i64) { tick_(passes_); };
    }

    const MomentProblem<T>& problem_;
    int threads_;
    const Tick& tick_;
    Vector root_, target_;  // √w, √w t
    i64 passes_ = 0;
};

// a in [lo, hi] where `slope`(a), which falls, is about zero: beside `steep`, its value where the
// search comes from. Newton's method in a bracket.
template <class Slope>
double search(double steep, double lo, double hi, double a, const Slope& slope) {
    for (int step = 0; step < 30; ++step) {
        const auto [value, derivative] = slope(a);
        if (std::abs(value) <= kFlat * std::abs(steep)) break;
        if ((value > 0.0 && a >= hi) || (value < 0.0 && a <= lo)) break;
        (value > 0.0 ? lo : hi) = a;
        const double next = derivative < 0.0 ? a - value / derivative : lo - 1.0;
        a = lo < next && next < hi ? next : lo == 0.0 ? hi / 8 : lo + (hi - lo) / 2;
    }
    return a;
}

// φ along the segment from p to q is least at this part of it.
double best_part(const Vector& target, const Vector& p, const Vector& q) {
    double lo = 0.0, hi = 1.0;
    for (int step = 0; step < 50; ++step) {
        const double a = lo + (hi - lo) / 2;
        double slope = 0.0;
        for (std::size_t j = 0; j < p.size(); ++j)
            slope -= std::max(target[j] - p[j] - a * (q[j] - p[j]), 0.0) * (q[j] - p[j]);
        (slope < 0.0 ? lo : hi) = a;
    }
    return hi;
}

void add_scaled(double a, const Vector& d, int n_threads, Vector& x) {
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
            x[i] += a * d[i];
    });
}

double largest(int n_threads, const Vector& x) {
    Vector part(static_cast<std::size_t>(ceil_div(static_cast<i64>(x.size()), kSumBlock)));
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        double most = 0.0;
        for (i64 i = first; i < last; ++i)
            most = std::max(most, std::abs(x[static_cast<std::size_t>(i)]));
        part[static_cast<std::size_t>(first / kSumBlock)] = most;
    });
    return *std::max_element(part.begin(), part.end());
}

void clear(int n_threads, Vector& x) {
    for_blocks(static_cast<i64>(x.size()), n_threads,
               [&](i64 first, i64 last) { std::fill(x.begin() + first, x.begin() + last, 0.0); });
}

void copy(const Vector& x, int n_threads, Vector& y) {
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        std::copy(x.begin() + first, x.begin() + last, y.begin() + first);
    });
}

void move_towards(double a, const Vector& y, int n_threads, Vector& x) {
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
            x[i] += a * (y[i] - x[i]);
    });
}

bool one_feasible_point(const Groups& groups) {
    return std::all_of(groups.begin(), groups.end(),
                       [](const Group& g) { return g.count == 0 || g.count == g.last - g.first; });
}

}  // namespace

template <class T>
MomentFit match_moments(const MomentProblem<T>& given, double tol, int max_iter, int n_threads,
                        const Tick& tick, const Watch& watch, double* s) {
    const auto began = std::chrono::steady_clock::now();
    Problem<T> problem(given, n_threads, tick);
    const Vector& t = problem.target();
    const auto n_rows = static_cast<std::size_t>(problem.rows());
    const auto k = t.size();

    Vector best(s, s + n_rows), best_p = problem.moments(best);
    double value = problem.value(best_p);
    double lower = one_feasible_point(given.groups) ? value : 0.0;
    // φ where every moment is off by 1e-13 of its target is zero, in float64.
    const double enough = std::max(tol * value, 1e-26 * inner(t, t));
    MomentFit fit;
    fit.start = value;
    const auto done = [&] { return !(value - lower > enough); };
    const auto finish = [&] {
        std::copy(best.begin(), best.end(), s);
        fit.moments = problem.unscaled(best_p);
        fit.objective = value;
        fit.gap = std::max(value - lower, 0.0);
        fit.converged = done();
        fit.passes = problem.passes();
        return fit;
    };
    if (done() || max_iter == 0) return finish();

    DualLineSearch line(given.groups, given.cap, problem.rows(), n_threads);
    Vector centre = best, x = best, g(n_rows), d(n_rows), p = best_p, u(k), h;
    double step = kFirstStep / problem.curvature(problem.rows(), [](i64) { return true; }, h);
    const double last_step = step * kLastStep;
    const auto strictly_inside = [&](i64 i) {
        const double xi = x[static_cast<std::size_t>(i)];
        return xi > 0.0 && xi < given.cap;
    };
    i64 inside = 0;  // of the rows of x
    for (i64 i = 0; i < problem.rows(); ++i) inside += strictly_inside(i);

    const auto gradient = [&] {  // of the dual at u, where s(u) = x
        Vector r(k);
        for (std::size_t j = 0; j < k; ++j) r[j] = t[j] - u[j] / 2 - p[j];
        return r;
    };
    const auto residual = [&](const Vector& r) {
        double sum = 0.0;
        for (std::size_t j = 0; j < k; ++j) sum += squared(u[j] > 0.0 ? r[j] : std::max(r[j], 0.0));
        return std::sqrt(sum);
    };
    const auto bound = [&] {  // the dual for step = ∞
        const double slack = std::max(0.01 * enough, 1e-3 * (value - lower));
        const double most = support(g.data(), given.groups, given.cap, slack, n_threads);
        lower = std::max(lower, inner(u, t) - inner(u, u) / 4 - most);
    };
    const auto ray = [&] { return Ray{centre.data(), g.data(), d.data(), step, given.cap}; };
    // The slope of the dual along du, d = B du, at u + a du, and its derivative.
    const auto slope = [&](const Vector& du, double a) {
        const DualLineSearch::Along along = line.along(ray(), a);
        double straight = 0.0;
        for (std::size_t j = 0; j < k; ++j) straight += du[j] * (t[j] - (u[j] + a * du[j]) / 2);
        return std::pair(straight - along.value, -inner(du, du) / 2 - along.slope);
    };
    const auto advance = [&](const Vector& du, double a) {
        inside = line.point(ray(), a, x);
        for (std::size_t j = 0; j < k; ++j) u[j] = std::max(u[j] + a * du[j], 0.0);
        add_scaled(a, d, n_threads, g);
    };
    const auto visit = [&] {  // x: its moments, and the segment from the best point to it
        p = problem.moments(x);
        const double a = best_part(t, best_p, p);
        Vector there(k);
        for (std::size_t j = 0; j < k; ++j) there[j] = best_p[j] + a * (p[j] - best_p[j]);
        if (!(problem.value(there) < value)) return;
        move_towards(a, x, n_threads, best);
        best_p = there;
        value = problem.value(best_p);
    };
    // The centre moves to x, where part of u may be too much: back towards u = 0, and to it where
    // little would be left.
    const auto recentre = [&](double growth) {
        step = std::min({step * growth, last_step, kFarthest * given.cap / largest(n_threads, g)});
        copy(x, n_threads, centre);
        copy(g, n_threads, d);
        const Vector du = u;
        line.begin(ray(), -1.0, true);
        if (slope(du, kDropped - 1.0).first <= 0.0) {
            std::fill(u.begin(), u.end(), 0.0);
            clear(n_threads, g);
            return;
        }
        const double steep = slope(du, 0.0).first;
        advance(du, steep >= 0.0 ? 0.0 : search(steep, kDropped - 1.0, 0.0, -0.5, [&](double a) {
                    return slope(du, a);
                }));
        visit();
    };

    int here = 0;  // iterations at this centre
    double at_first = residual(gradient()), value_before = value;
    for (int iter = 0; iter < max_iter;) {
        Vector r = gradient();
        const double slack = residual(r);
        const double settled = std::max(kSettled * at_first, 1e-14 * std::sqrt(inner(t, t)));
        if (here > 0 && (slack <= settled || here > kPatience)) {
            if (value > kFalling * value_before) bound();
            value_before = value;
            if (done() || (slack == 0.0 && step == last_step)) break;
            recentre(here == 1 ? kGrowth : here == 2 ? 2.0 : 1.0);
            here = 0;
            r = gradient();
            at_first = residual(r);
        }
        const double trace = problem.curvature(inside, strictly_inside, h);
        for (double& e : h) e *= step;
        for (std::size_t j = 0; j < k; ++j) h[j * k + j] += 0.5 + kRidge * step * trace;
        Vector du = bounded_step(h, r, u);
        if (!(inner(du, r) > 0.0))
            for (std::size_t j = 0; j < k; ++j) du[j] = std::max(r[j], -u[j]);
        if (!(inner(du, r) > 0.0)) {  // the dual has its maximum here
            if (step == last_step) break;
            at_first = slack;
            ++iter;
            ++here;
            continue;
        }
        problem.combine(du, d);
        double longest = kLongest;
        for (std::size_t j = 0; j < k; ++j)
            if (du[j] < 0.0) longest = std::min(longest, u[j] / -du[j]);
        line.begin(ray(), 0.0, inner(u, u) == 0.0);
        advance(du, search(inner(du, r), 0.0, std::max(longest, 1.0), 1.0,
                           [&](double a) { return slope(du, a); }));
        visit();
        ++iter;
        ++here;
        fit.objectives.push_back(value);
        fit.gaps.push_back(std::max(value - lower, 0.0));
        fit.seconds.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
        if (done() || !watch(iter, value, fit.gaps.back())) break;
    }
    if (!done()) bound();
    return finish();
}

template MomentFit match_moments(const MomentProblem<float>&, double, int, int, const Tick&,
                                 const Watch&, double*);
template MomentFit match_moments(const MomentProblem<double>&, double, int, int, const Tick&,
                                 const Watch&, double*);

}  // namespace skmm
