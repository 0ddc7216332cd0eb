#include "skmm/select/moment_matching.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "dual_line_search.hpp"
#include "long_vectors.hpp"
#include "moment_terms.hpp"

namespace skmm {
namespace {

// Chosen by the number of passes on the GMM of the paper, digits and text; see bench/NOTES.md.
constexpr double kFirstStep = 1e3;  // times 1 / Σ_ij b_ij²
constexpr double kGrowth = 6.0;     // of the step after one iteration at a centre; 2 after two
constexpr double kLastStep = 1e12;  // times the first
constexpr double kFarthest = 1e6;   // times the cap: how far a step may move a row before it is cut
constexpr double kSettled = 0.5;    // part of the first residual at a centre that ends it
constexpr int kPatience = 12;       // iterations at a centre at most
constexpr double kFalling = 0.5;    // part of φ at the last centre: below it a bound can wait
constexpr double kFlat = 0.05;      // part of its first slope at which a line search ends
constexpr double kLongest = 1e3;    // multiple of a Newton step
constexpr double kDropped = 0.1;    // least part of u that is worth a pass at a new centre
constexpr double kRidge = 1e-11;    // part of its trace that is added to the Hessian

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

bool one_feasible_point(const Groups& groups) {
    return std::all_of(groups.begin(), groups.end(),
                       [](const Group& g) { return g.count == 0 || g.count == g.last - g.first; });
}

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
          lower_(one_feasible_point(problem.groups) ? value_ : 0.0),
          // φ where every moment is off by 1e-13 of its target is zero, in float64.
          enough_(std::max(tol * value_, 1e-26 * inner(target(), target()))),
          line_(problem.groups, problem.cap, terms_.rows(), n_threads) {
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
    bool done() const { return !(value_ - lower_ > enough_); }

    void iterate(int max_iter, const Watch& watch) {
        begin();
        int here = 0;  // iterations at this centre
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
            if (!(inner(du, r) > 0.0)) {  // the dual has its maximum here
                if (step_ == last_step_) return;
                at_first = slack;
                continue;
            }
            climb(du, inner(du, r));
            visit();
            record();
            if (done() || !watch(iter, value_, gap())) return;
        }
    }

    void begin() {
        const auto n_rows = at(terms_.rows());
        centre_ = x_ = best_;
        p_ = best_p_;
        u_.assign(target().size(), 0.0);
        g_.assign(n_rows, 0.0);
        d_.assign(n_rows, 0.0);
        step_ = kFirstStep / terms_.curvature(terms_.rows(), [](i64) { return true; }, h_);
        last_step_ = step_ * kLastStep;
        for (i64 i = 0; i < terms_.rows(); ++i) inside_ += strictly_inside(i);
    }

    bool strictly_inside(i64 i) const { return x_[at(i)] > 0.0 && x_[at(i)] < given_.cap; }

    // The gradient of the dual at u, where s(u) = x.
    Vector gradient() const {
        Vector r(u_.size());
        for (std::size_t j = 0; j < r.size(); ++j) r[j] = target()[j] - u_[j] / 2 - p_[j];
        return r;
    }

    // The norm of what a gradient r leaves to be gained over u >= 0.
    double residual(const Vector& r) const {
        double sum = 0.0;
        for (std::size_t j = 0; j < r.size(); ++j)
            sum += squared(u_[j] > 0.0 ? r[j] : std::max(r[j], 0.0));
        return std::sqrt(sum);
    }

    // Dual Newton step: u + du >= 0 maximises the quadratic model of the dual, whose Hessian is
    // I / 2 + step Σ b bᵀ; the projected gradient where that does not ascend.
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

    // The ray from u along du: its points are s(u + a du), d = B du.
    Ray ray() const { return {centre_.data(), g_.data(), d_.data(), step_, given_.cap}; }

    // The slope of the dual along du at u + a du, and its derivative by a.
    std::pair<double, double> slope(const Vector& du, double a) {
        const DualLineSearch::Along along = line_.along(ray(), a);
        double straight = 0.0;
        for (std::size_t j = 0; j < du.size(); ++j)
            straight += du[j] * (target()[j] - (u_[j] + a * du[j]) / 2);
        return {straight - along.value, -inner(du, du) / 2 - along.slope};
    }

    // Moves u by a du, and x with it.
    void advance(const Vector& du, double a) {
        inside_ = line_.point(ray(), a, x_);
        for (std::size_t j = 0; j < du.size(); ++j) u_[j] = std::max(u_[j] + a * du[j], 0.0);
        add_scaled(a, d_, threads_, g_);
    }

    // Line search along du, where the dual rises with this slope.
    void climb(const Vector& du, double steep) {
        terms_.combine(du, d_);
        double longest = kLongest;
        for (std::size_t j = 0; j < du.size(); ++j)
            if (du[j] < 0.0) longest = std::min(longest, u_[j] / -du[j]);
        line_.begin(ray(), 0.0, inner(u_, u_) == 0.0);
        advance(du, search(steep, 0.0, std::max(longest, 1.0), 1.0,
                           [&](double a) { return slope(du, a); }));
    }

    // Proximal step: the centre moves to x, where the multipliers u may be too large. They are
    // scaled back along the ray to 0, and dropped where little would be left of them.
    void move_centre(double growth) {
        step_ =
            std::min({step_ * growth, last_step_, kFarthest * given_.cap / largest(threads_, g_)});
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

    // The moments of x, and the best point on the segment from the best one so far to it.
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

    // Certificate: the dual at u for step = ∞ is a lower bound on φ.
    void raise_lower_bound() {
        const double slack = std::max(0.01 * enough_, 1e-3 * (value_ - lower_));
        const double most = support(g_.data(), given_.groups, given_.cap, slack, threads_);
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

    Vector best_, best_p_;  // the best point so far and its moments,
    double value_, lower_;  // φ there, and the largest lower bound on φ
    const double enough_;   // a gap that will do

    DualLineSearch line_;
    double step_ = 0.0, last_step_ = 0.0;
    Vector centre_;     // c
    Vector u_, x_, p_;  // the multipliers, x = s(u), and its moments
    Vector g_, d_;      // B u and B du
    Vector h_;          // the Hessian
    i64 inside_ = 0;    // rows of x strictly inside the box
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
