// Thresholds, projections and support functions of capped simplices.
#include "skmm/linalg/simplex.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

// After this many steps threshold() only bisects, since rounding can make Newton's method slow.
constexpr int kNewtonSteps = 50;
// The most steps of the search in support().
constexpr int kSupportSteps = 60;

// Returns Σ min(max(v_i - tau, 0), cap) and the number of terms strictly between 0 and cap.
Mass clipped_sum(const double* v, i64 n, double cap, double tau, int n_threads) {
    std::vector<i64> inside(static_cast<std::size_t>(ceil_div(n, kSumBlock)));
    const double sum = block_sum(n, n_threads, [&](i64 first, i64 last) {
        double part = 0.0;
        kernels().any.clipped_sum(v + first, last - first, tau, cap, &part,
                                  &inside[static_cast<std::size_t>(first / kSumBlock)]);
        return part;
    });
    i64 count = 0;
    for (const i64 c : inside) count += c;
    return {sum, static_cast<double>(count)};
}

// Returns the smallest and the largest entry of v.
std::pair<double, double> range(const double* v, i64 n, int n_threads) {
    std::vector<std::pair<double, double>> part(static_cast<std::size_t>(ceil_div(n, kSumBlock)));
    for_blocks(n, n_threads, [&](i64 first, i64 last) {
        const auto [least, most] = std::minmax_element(v + first, v + last);
        part[static_cast<std::size_t>(first / kSumBlock)] = {*least, *most};
    });
    std::pair<double, double> all = part.front();
    for (const auto& [least, most] : part)
        all = {std::min(all.first, least), std::max(all.second, most)};
    return all;
}

}  // namespace

double threshold(const std::function<Mass(double)>& mass,
                 const std::function<std::pair<double, double>()>& range, double total,
                 double within, double tau) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    double lo = -kInfinity, hi = kInfinity;
    for (int step = 0;; ++step) {
        const Mass at = mass(tau);
        if (std::abs(at.mass - total) <= within) break;
        (at.mass > total ? lo : hi) = tau;
        double next = tau + (at.mass - total) / at.inside;
        if (next == tau) break;
        const bool newton = at.inside > 0.0 && step < kNewtonSteps && lo < next && next < hi;
        if (!newton) {
            if (std::isinf(lo) || std::isinf(hi)) {
                const auto [least, most] = range();
                lo = std::max(lo, least);
                hi = std::min(hi, most);
            }
            next = lo + (hi - lo) / 2;
        }
        if (!(lo < next && next < hi)) break;
        tau = next;
    }
    return tau;
}

double project_capped_simplex(const double* v, i64 n, double cap, double total, double tau,
                              int n_threads, double* s) {
    tau = threshold([&](double t) { return clipped_sum(v, n, cap, t, n_threads); },
                    [&] {
                        const auto [least, most] = range(v, n, n_threads);
                        return std::pair(least - cap, most);
                    },
                    total, 0.0, tau);
    for_blocks(n, n_threads, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; ++i) s[i] = std::min(std::max(v[i] - tau, 0.0), cap);
    });
    return tau;
}

double support(const double* g, const Groups& groups, double cap, double slack, int n_threads) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    double sum = 0.0;
    slack /= static_cast<double>(groups.size());
    for (const Group& group : groups) {
        const i64 n = group.last - group.first;
        const double* const v = g + group.first;
        const auto count = static_cast<double>(group.count);
        if (group.count == 0) continue;
        // By duality the maximum of the group is cap times the minimum over tau of
        // count tau + Σ (v_i - tau)₊. That function is convex. At its minimum `count` entries are
        // above tau. Each of its values gives an upper bound; `least` is the smallest one so far.
        auto [lo, hi] = range(v, n, n_threads);
        double least = count * hi, above_lo = static_cast<double>(n), above_hi = 0.0, tau = lo;
        for (int step = 0; step < kSupportSteps; ++step) {
            const Mass at = clipped_sum(v, n, kInfinity, tau, n_threads);
            least = std::min(least, count * tau + at.mass);
            if (at.inside >= count) {
                lo = tau;
                above_lo = at.inside;
            }
            if (at.inside <= count) {
                hi = tau;
                above_hi = at.inside;
            }
            // The slopes at lo and hi bound how far `least` is from the minimum.
            const double width = hi - lo;
            if (cap * width * std::min(above_lo - count, count - above_hi) <= slack) break;
            const double part = (above_lo - count) / (above_lo - above_hi);
            tau = lo + width * (step % 2 == 0 ? std::clamp(part, 0.02, 0.98) : 0.5);
            if (!(lo < tau && tau < hi)) break;
        }
        sum += cap * least;
    }
    return sum;
}

}  // namespace skmm
