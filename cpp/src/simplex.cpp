#include "skmm/simplex.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "skmm/kernels.hpp"
#include "skmm/memory.hpp"
#include "skmm/parallel.hpp"

namespace skmm {
namespace {

using i64 = std::int64_t;

constexpr int kNewtonSteps = 50;  // then bisection alone: rounding can make Newton creep

struct ClippedSum {
    double sum;  // Σ min(max(v_i - tau, 0), cap)
    i64 inside;  // terms strictly between 0 and cap: -d sum / d tau
};

ClippedSum clipped_sum(const double* v, i64 n, double cap, double tau, int n_threads) {
    std::vector<i64> inside(static_cast<std::size_t>(ceil_div(n, kSumBlock)));
    const double sum = block_sum(n, n_threads, [&](i64 first, i64 last) {
        double part = 0.0;
        kernels().any.clipped_sum(v + first, last - first, tau, cap, &part,
                                  &inside[static_cast<std::size_t>(first / kSumBlock)]);
        return part;
    });
    i64 count = 0;
    for (const i64 c : inside) count += c;
    return {sum, count};
}

}  // namespace

double project_capped_simplex(const double* v, i64 n, double cap, double total, double tau,
                              int n_threads, double* s) {
    const auto [least, most] = std::minmax_element(v, v + n);
    double lo = *least - cap, hi = *most;  // the sum is n cap at lo, 0 at hi
    tau = std::clamp(tau, lo, hi);
    for (int step = 0;; ++step) {
        const ClippedSum at = clipped_sum(v, n, cap, tau, n_threads);
        if (at.sum == total) break;
        (at.sum > total ? lo : hi) = tau;
        double next = tau + (at.sum - total) / static_cast<double>(at.inside);
        if (next == tau) break;
        const bool newton = at.inside > 0 && step < kNewtonSteps && lo < next && next < hi;
        if (!newton) next = lo + (hi - lo) / 2;
        if (!(lo < next && next < hi)) break;
        tau = next;
    }
    for_blocks(n, n_threads, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; ++i) s[i] = std::min(std::max(v[i] - tau, 0.0), cap);
    });
    return tau;
}

}  // namespace skmm
