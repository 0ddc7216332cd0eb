// The solver of moment matching: proximal points, each found by Newton's method on the dual.
#include "skmm/select/moment_matching.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "dual_line_search.hpp"
#include "long_vectors.hpp"
#include "moment_terms.hpp"

namespace skmm {
namespace {

// These constants were chosen by the number of passes on the GMM of the paper, digits and text; see
// bench/NOTES.md.

// The first proximal step, in units of 1 / Σ_ij b_ij².
constexpr double kFirstStep = 1e3;
// The step grows by this factor after a centre that took one iteration. It grows by 2 after a
// centre that took two iterations, and not at all after more.
constexpr double kGrowth = 6.0;
// The largest step, in units of the first one.
constexpr double kLastStep = 1e12;
// The step is limited so that it moves no row by more than this multiple of cap before clipping.
constexpr double kFarthest = 1e6;
// The iterations at a centre end when the residual is below this part of the first one there.
constexpr double kSettled = 0.5;
// They also end after more than this many iterations.
constexpr int kPatience = 12;
// The lower bound on φ is not updated at a centre if φ is below this part of its value at the
// centre before.
constexpr double kFalling = 0.5;
// A line search ends when the slope is below this part of the slope at its start.
constexpr double kFlat = 0.05;
// The longest step of a line search, in units of the Newton step.
constexpr double kLongest = 1e3;
// At a new centre u is scaled back. If less than this part would be left, u is set to zero, since
// so small a part is not worth a pass.
constexpr double kDropped = 0.1;
// The Hessian I / 2 + step Σ b bᵀ gets this part of step Σ ‖b‖² added to its diagonal.
constexpr double kRidge = 1e-11;

// Finds an a in [lo, hi] with |value| <= kFlat |steep|, by Newton's method kept in a bracket and
// started at a. slope(a) returns a value, which decreases with a, and its derivative. `steep` is
// the value at the start of the line search. If the value is positive everywhere in [lo, hi], the
// result approaches hi; if it is negative everywhere, lo.
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

// Returns the a in [0, 1] that minimises φ at the moments p + a (q - p), by bisection.
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

// Whether only one point is feasible: every group has all of its rows or none.
bool one_feasible_point(const GroupedRows& rows) {
    for (i64 g = 0; g < rows.n_groups(); ++g) {
        const Group group = rows.group(g);
        if (group.count != 0 && group.count != group.size) return false;
    }
    return true;
}

// The state of one solution. Vectors of k numbers are in the scaling of MomentTerms.
template <class T>
class ProximalNewton {
public:
    ProximalNewton(const MomentProblem<T>& problem, Vector start, double tol, int n_threads,
                   const Tick& tick)
        : given_(problem),
          terms_(problem, n_threads, tick),
          threads_(n_threads),
          best_(std::move(start)),
          best_p_(terms_.moments(best_)),
          value_(terms_.value(best_p_)),
          lower_(one_feasible_point(problem.rows) ? value_ : 0.0),
          // If every moment misses its target by a relative 1e-13, φ counts as zero in float64.
          enough_(std::max(tol * value_, 1e-26 * inner(target(), target()))),
          line_(problem.rows, problem.cap, n_threads) {
        fit_.start = value_;
    }

    MomentFit solve(int max_iter, const Watch& watch) {
        if (!done() && max_iter > 0) {
            iterate(max_iter, watch);
            if (!done()) raise_lower_bound();
        }
        fit_.moments = terms_.unscaled(best_p_);
        fit_.objective = value_;
        fit_.gap = gap();
        fit_.converged = done();
        fit_.passes = terms_.passes();
        fit_.s = std::move(best_);
        return std::move(fit_);
    }

private:
    const Vector& target() const { return terms_.target(); }
    double gap() const { return std::max(value_ - lower_, 0.0); }
    // True also if φ is not a number.
    bool done() const { return !(value_ - lower_ > enough_); }

    void iterate(int max_iter, const Watch& watch) {
        begin();
        int here = 0;  // iterations made at this centre
        double at_first = residual(gradient()), value_before = value_;
        for (int iter = 0; iter < max_iter;) {
            Vector r = gradient();
            const double slack = residual(r);
            const double settled =
                std::max(kSettled * at_first, 1e-14 * std::sqrt(inner(target(), target())));
            if (here > 0 && (slack <= settled || here > kPatience)) {
                if (value_ > kFalling * value_before) raise_lower_bound();
                value_before = value_;
                if (done() || (slack == 0.0 && step_ == last_step_)) return;
                move_centre(here == 1 ? kGrowth : here == 2 ? 2.0 : 1.0);
                here = 0;
                r = gradient();
                at_first = residual(r);
            }
            const Vector du = ascent_direction(r);
            ++iter;
            ++here;
            if (!(inner(du, r) > 0.0)) {  // u maximises the dual of this centre
                if (step_ == last_step_) return;
                at_first = slack;
                continue;
            }
            climb(du, inner(du, r));
            visit();
            record();
            if (done() || (watch && !watch(iter, value_, gap()))) return;
        }
    }

    // Starts at the centre `best_` with u = 0.
    void begin() {
        const auto n_rows = at(terms_.rows());
        centre_ = x_ = best_;
        p_ = best_p_;
        u_.assign(target().size(), 0.0);
        g_.assign(n_rows, 0.0);
        d_.assign(n_rows, 0.0);
        step_ = kFirstStep / terms_.curvature(n_rows_of_all(), [](i64) { return true; }, h_);
        last_step_ = step_ * kLastStep;
        inside_ = count_inside();
    }

    i64 n_rows_of_all() const {
        i64 size = 0;
        for (i64 g = 0; g < given_.rows.n_groups(); ++g) size += given_.rows.group(g).size;
        return size;
    }

    // Returns the number of i of all ranks with 0 < x_i < cap.
    i64 count_inside() const {
        Vector inside(at(given_.rows.n_groups()));
        sum_groups(
            given_.rows, 1, threads_,
            [&](i64, i64 first, i64 last, double* part) {
                for (i64 i = first; i < last; ++i) *part += strictly_inside(i);
            },
            inside.data());
        return static_cast<i64>(std::accumulate(inside.begin(), inside.end(), 0.0));
    }

    bool strictly_inside(i64 i) const { return x_[at(i)] > 0.0 && x_[at(i)] < given_.cap; }

    // Returns the gradient of the dual at u, t - u / 2 - Bᵀx with x = s(u).
    Vector gradient() const {
        Vector r(u_.size());
        for (std::size_t j = 0; j < r.size(); ++j) r[j] = target()[j] - u_[j] / 2 - p_[j];
        return r;
    }

    // Returns the norm of the gradient r projected for the constraint u >= 0: where u_j = 0, only a
    // positive r_j counts. It is zero if u is optimal.
    double residual(const Vector& r) const {
        double sum = 0.0;
        for (std::size_t j = 0; j < r.size(); ++j)
            sum += squared(u_[j] > 0.0 ? r[j] : std::max(r[j], 0.0));
        return std::sqrt(sum);
    }

    // Returns the Newton step du of the dual: u + du >= 0 maximises the quadratic model of the
    // dual, whose negative Hessian is I / 2 + step Σ b bᵀ. If that is not an ascent direction,
    // returns the projected gradient.
    Vector ascent_direction(const Vector& r) {
        const std::size_t k = r.size();
        const double trace =
            terms_.curvature(inside_, [this](i64 i) { return strictly_inside(i); }, h_);
        for (double& e : h_) e *= step_;
        for (std::size_t j = 0; j < k; ++j) h_[j * k + j] += 0.5 + kRidge * step_ * trace;
        Vector du = bounded_step(h_, r, u_);
        if (!(inner(du, r) > 0.0))
            for (std::size_t j = 0; j < k; ++j) du[j] = std::max(r[j], -u_[j]);
        return du;
    }

    // The ray from u along du, with the points s(u + a du). It expects d_ = B du.
    Ray ray() const { return {centre_.data(), g_.data(), d_.data(), step_, given_.cap}; }

    // Returns the slope of the dual along du at u + a du, and its derivative with respect to a.
    std::pair<double, double> slope(const Vector& du, double a) {
        const DualLineSearch::Along along = line_.along(ray(), a);
        double straight = 0.0;
        for (std::size_t j = 0; j < du.size(); ++j)
            straight += du[j] * (target()[j] - (u_[j] + a * du[j]) / 2);
        return {straight - along.value, -inner(du, du) / 2 - along.slope};
    }

    // Moves u to u + a du and x to s(u).
    void advance(const Vector& du, double a) {
        inside_ = line_.point(ray(), a, x_);
        for (std::size_t j = 0; j < du.size(); ++j) u_[j] = std::max(u_[j] + a * du[j], 0.0);
        add_scaled(a, d_, threads_, g_);
    }

    // Searches along du for the maximum of the dual and moves there. `steep` is the slope at u.
    void climb(const Vector& du, double steep) {
        terms_.combine(du, d_);
        double longest = kLongest;
        for (std::size_t j = 0; j < du.size(); ++j)
            if (du[j] < 0.0) longest = std::min(longest, u_[j] / -du[j]);
        line_.begin(ray(), 0.0, inner(u_, u_) == 0.0);
        advance(du, search(steep, 0.0, std::max(longest, 1.0), 1.0,
                           [&](double a) { return slope(du, a); }));
    }

    // Returns max |g_i| of all ranks.
    double largest_multiplier() const {
        return given_.rows.strips().largest({largest(threads_, g_)}).front();
    }

    // Proximal step: moves the centre to x. There the multipliers u may be too large, so they are
    // scaled back along the ray to 0. If less than the part kDropped would be left, u is set to 0.
    void move_centre(double growth) {
        step_ =
            std::min({step_ * growth, last_step_, kFarthest * given_.cap / largest_multiplier()});
        copy(x_, threads_, centre_);
        copy(g_, threads_, d_);
        const Vector du = u_;
        line_.begin(ray(), -1.0, true);
        if (slope(du, kDropped - 1.0).first <= 0.0) {
            std::fill(u_.begin(), u_.end(), 0.0);
            clear(threads_, g_);
            return;
        }
        const double steep = slope(du, 0.0).first;
        advance(du, steep >= 0.0 ? 0.0 : search(steep, kDropped - 1.0, 0.0, -0.5, [&](double a) {
                    return slope(du, a);
                }));
        visit();
    }

    // Computes the moments of x, and moves the best point to the minimiser of φ on the segment from
    // the best point to x.
    void visit() {
        p_ = terms_.moments(x_);
        const double a = best_part(target(), best_p_, p_);
        Vector there(p_.size());
        for (std::size_t j = 0; j < p_.size(); ++j)
            there[j] = best_p_[j] + a * (p_[j] - best_p_[j]);
        if (!(terms_.value(there) < value_)) return;
        move_towards(a, x_, threads_, best_);
        best_p_ = there;
        value_ = terms_.value(best_p_);
    }

    // Updates the lower bound on φ, the certificate: the dual at u with step = ∞.
    void raise_lower_bound() {
        const double slack = std::max(0.01 * enough_, 1e-3 * (value_ - lower_));
        const double most = support(g_.data(), given_.rows, given_.cap, slack, threads_);
        lower_ = std::max(lower_, inner(u_, target()) - inner(u_, u_) / 4 - most);
    }

    void record() {
        const auto now = std::chrono::steady_clock::now();
        fit_.objectives.push_back(value_);
        fit_.gaps.push_back(gap());
        fit_.seconds.push_back(std::chrono::duration<double>(now - began_).count());
    }

    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    const MomentProblem<T>& given_;
    MomentTerms<T> terms_;
    int threads_;

    Vector best_, best_p_;  // (N), (k) the best point so far, and its moments
    double value_, lower_;  // φ at the best point, and the largest lower bound on φ so far
    const double enough_;   // the gap at which the solver stops

    DualLineSearch line_;
    double step_ = 0.0, last_step_ = 0.0;
    Vector centre_;     // (N) c
    Vector u_, x_, p_;  // (k), (N), (k) the multipliers, x = s(u), and the moments of x
    Vector g_, d_;      // (N), (N) B u and B du
    Vector h_;          // (k, k) the negative Hessian of the dual
    i64 inside_ = 0;    // number of i with 0 < x_i < cap
    MomentFit fit_;
};

}  // namespace

template <class T>
MomentFit match_moments(const MomentProblem<T>& problem, Vector start, double tol, int max_iter,
                        int n_threads, const Tick& tick, const Watch& watch) {
    return ProximalNewton<T>(problem, std::move(start), tol, n_threads, tick)
        .solve(max_iter, watch);
}

template MomentFit match_moments(const MomentProblem<float>&, Vector, double, int, int, const Tick&,
                                 const Watch&);
template MomentFit match_moments(const MomentProblem<double>&, Vector, double, int, int,
                                 const Tick&, const Watch&);

}  // namespace skmm
