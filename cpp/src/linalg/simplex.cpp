// Thresholds, projections and support functions of capped simplices.
#include "skmm/linalg/simplex.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// After this many steps find_thresholds() only bisects, since rounding can make Newton's method
// slow.
constexpr int kNewtonSteps = 50;
// The most steps of the search in support().
constexpr int kSupportSteps = 60;

// For each group with open[g]: Σ min(max(v_i - tau, 0), cap) and the number of terms strictly
// between 0 and cap.
template <class Tau>
void clipped_sums(const double* v, const GroupedRows& rows, double cap, const Tau& tau,
                  const std::vector<bool>& open, int n_threads, std::vector<Mass>& at_tau) {
    Vector sums(2 * at_tau.size());
    sum_groups(
        rows, 2, n_threads,
        [&](i64 g, i64 first, i64 last, double* part) {
            if (!open[at(g)]) return;
            i64 inside = 0;
            kernels().any.clipped_sum(v + first, last - first, tau(g), cap, part, &inside);
            part[1] = static_cast<double>(inside);
        },
        sums.data());
    for (std::size_t g = 0; g < at_tau.size(); ++g)
        if (open[g]) at_tau[g] = {sums[2 * g], sums[2 * g + 1]};
}

// One step of the search for a threshold, which sees the mass at tau.
class Search {
public:
    explicit Search(Threshold& threshold) : t_(threshold) {}

    bool open() const { return open_; }
    // Returns whether a range is needed before move().
    bool see(const Mass& at) {
        newton_ = false;
        open_ = !(std::abs(at.mass - t_.total) <= t_.within);
        if (!open_) return false;
        (at.mass > t_.total ? lo_ : hi_) = t_.tau;
        next_ = t_.tau + (at.mass - t_.total) / at.inside;
        open_ = next_ != t_.tau;
        newton_ = at.inside > 0.0 && step_++ < kNewtonSteps && lo_ < next_ && next_ < hi_;
        return open_ && !newton_ && (std::isinf(lo_) || std::isinf(hi_));
    }
    void bracket(const std::pair<double, double>& range) {
        lo_ = std::max(lo_, range.first);
        hi_ = std::min(hi_, range.second);
    }
    void move() {
        if (!open_) return;
        if (!newton_) next_ = lo_ + (hi_ - lo_) / 2;
        open_ = lo_ < next_ && next_ < hi_;
        if (open_) t_.tau = next_;
    }

private:
    Threshold& t_;
    double lo_ = -kInfinity, hi_ = kInfinity, next_ = 0.0;
    int step_ = 0;
    bool open_ = true, newton_ = false;
};

}  // namespace

void find_thresholds(std::vector<Threshold>& thresholds, const Masses& masses,
                     const Ranges& ranges) {
    std::vector<Search> searches(thresholds.begin(), thresholds.end());
    std::vector<bool> open(searches.size(), true);
    std::vector<Mass> at(searches.size());
    std::vector<std::pair<double, double>> range;
    while (std::find(open.begin(), open.end(), true) != open.end()) {
        masses(open, at);
        for (std::size_t g = 0; g < searches.size(); ++g) {
            if (!open[g]) continue;
            if (searches[g].see(at[g])) {
                if (range.empty()) range = ranges();
                searches[g].bracket(range[g]);
            }
            searches[g].move();
            open[g] = searches[g].open();
        }
    }
}

Vector project(const double* v, const GroupedRows& rows, double cap, const Vector& totals,
               Vector tau, int n_threads, double* s) {
    std::vector<Threshold> thresholds;
    for (std::size_t g = 0; g < tau.size(); ++g) thresholds.push_back({totals[g], 0.0, tau[g]});
    find_thresholds(
        thresholds,
        [&](const std::vector<bool>& open, std::vector<Mass>& at_tau) {
            clipped_sums(
                v, rows, cap, [&](i64 g) { return thresholds[at(g)].tau; }, open, n_threads,
                at_tau);
        },
        [&] {
            auto ranges = group_ranges(rows, n_threads, [v](i64 i) { return v[i]; });
            for (auto& range : ranges) range.first -= cap;
            return ranges;
        });
    for (std::size_t g = 0; g < tau.size(); ++g)
        tau[g] = totals[g] > 0.0 ? thresholds[g].tau : kInfinity;
    for_each_row(rows, n_threads,
                 [&](i64 g, i64 i) { s[i] = std::min(std::max(v[i] - tau[at(g)], 0.0), cap); });
    return tau;
}

double support(const double* g, const GroupedRows& rows, double cap, double slack, int n_threads) {
    // By duality the maximum of a group is cap times the minimum over tau of
    // count tau + Σ (g_i - tau)₊. That function is convex. At its minimum `count` entries are above
    // tau. Each of its values gives an upper bound; `least` is the smallest one so far.
    struct Minimum {
        double count, lo, hi, least, above_lo, above_hi, tau;
    };
    std::vector<Minimum> minima;
    std::vector<bool> open;
    const auto ranges = group_ranges(rows, n_threads, [g](i64 i) { return g[i]; });
    for (i64 k = 0; k < rows.n_groups(); ++k) {
        const auto [lo, hi] = ranges[at(k)];
        const auto count = static_cast<double>(rows.group(k).count);
        minima.push_back(
            {count, lo, hi, count * hi, static_cast<double>(rows.group(k).size), 0.0, lo});
        open.push_back(rows.group(k).count > 0);
    }
    slack /= static_cast<double>(minima.size());
    std::vector<Mass> at_tau(minima.size());
    for (int step = 0; step < kSupportSteps; ++step) {
        if (std::find(open.begin(), open.end(), true) == open.end()) break;
        clipped_sums(
            g, rows, kInfinity, [&](i64 k) { return minima[at(k)].tau; }, open, n_threads, at_tau);
        for (std::size_t k = 0; k < minima.size(); ++k) {
            if (!open[k]) continue;
            Minimum& m = minima[k];
            const Mass& above = at_tau[k];
            m.least = std::min(m.least, m.count * m.tau + above.mass);
            if (above.inside >= m.count) {
                m.lo = m.tau;
                m.above_lo = above.inside;
            }
            if (above.inside <= m.count) {
                m.hi = m.tau;
                m.above_hi = above.inside;
            }
            // The slopes at lo and hi bound how far `least` is from the minimum.
            const double width = m.hi - m.lo;
            const double slope = std::min(m.above_lo - m.count, m.count - m.above_hi);
            const double part = (m.above_lo - m.count) / (m.above_lo - m.above_hi);
            open[k] = !(cap * width * slope <= slack);
            m.tau = m.lo + width * (step % 2 == 0 ? std::clamp(part, 0.02, 0.98) : 0.5);
            open[k] = open[k] && m.lo < m.tau && m.tau < m.hi;
        }
    }
    double sum = 0.0;
    for (const Minimum& m : minima)
        if (m.count > 0.0) sum += cap * m.least;
    return sum;
}

}  // namespace skmm
