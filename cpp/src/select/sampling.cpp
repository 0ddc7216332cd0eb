// Systematic and pivotal sampling, uniform subsets and random orders.
#include "skmm/select/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lattice.hpp"
#include "skmm/base/philox.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

// draw_pivotal() prefetches the probability this many positions ahead. The processor does not get
// so far by speculation, since it cannot predict the random contests.
constexpr i64 kAhead = 32;

// Returns the 64-bit key below which lies the fraction `of_one` of all keys.
u64 share(double of_one) {
    return of_one <= 0.0 ? 0 : of_one >= 1.0 ? ~u64{0} : static_cast<u64>(of_one * 0x1p64);
}

// The random key of row i in subset or order number `which`.
u64 random_key(i64 i, u64 seed, std::uint32_t which) {
    const Words x = philox(seed, kSubset, static_cast<u64>(i), which);
    return u64{x.w[0]} << 32 | x.w[1];
}

}  // namespace

std::vector<i64> draw_systematic(const double* pi, i64 n_rows, i64 n, u64 seed, const i64* order) {
    u64 total = 0;  // Σ pi modulo 2⁶⁴, which is enough to find how far it is from n
    for (i64 i = 0; i < n_rows; ++i) total += static_cast<u64>(fixed(pi[i]));
    const i64 excess = std::clamp(
        static_cast<i64>(total - static_cast<u64>(n) * static_cast<u64>(kOne)), -kOne, kOne);

    i64 way = lattice_start(seed, excess);  // the distance covered since the last lattice point
    std::vector<i64> drawn;
    drawn.reserve(static_cast<std::size_t>(n));
    for (i64 place = 0; place < n_rows; ++place) {
        const i64 i = order ? order[place] : place;
        way += fixed(pi[i]);
        if (way >= kOne) {
            way -= kOne;
            drawn.push_back(i);
        }
    }
    return drawn;
}

std::vector<i64> draw_pivotal(const double* pi, i64 n_rows, i64 n, u64 seed, const i64* order) {
    std::vector<i64> drawn;
    drawn.reserve(static_cast<std::size_t>(n));
    i64 active = order ? order[0] : 0;  // the row that is still undecided; p is its probability
    double p = pi[active];
    for (i64 place = 1; place < n_rows; ++place) {
        const i64 i = order ? order[place] : place;
        if (order) __builtin_prefetch(pi + order[std::min(place + kAhead, n_rows - 1)]);
        const double u = uniform(seed, kDraw, static_cast<u64>(place)), both = p + pi[i];
        if (both < 1.0) {  // One row is rejected. The other one stays undecided, with p = both.
            if (u * both < pi[i]) active = i;
            p = both;
        } else {  // One row is drawn. The other one stays undecided, with p = both - 1. At both = 1
                  // a given u favours the same row as in the branch above, so that the outcome does
                  // not depend on the last bit of the sum.
            if ((1.0 - u) * (2.0 - both) < 1.0 - pi[i]) {
                drawn.push_back(active);
                active = i;
            } else {
                drawn.push_back(i);
            }
            p = both - 1.0;
        }
    }
    if (static_cast<i64>(drawn.size()) < n) drawn.push_back(active);
    return drawn;
}

// The subset is the rows of the n smallest random keys. Two bounds enclose the n-th smallest key
// with high probability, and are widened if they do not. Rows with a key below the lower bound are
// in, rows above the upper bound are out, and only the few between them are compared.
std::vector<i64> draw_subset(i64 n_rows, i64 n, u64 seed, std::uint32_t which) {
    if (n == 0) return {};
    const double expected = static_cast<double>(n), all = static_cast<double>(n_rows);
    std::vector<i64> rows;
    rows.reserve(static_cast<std::size_t>(n));
    std::vector<std::pair<u64, i64>> open;
    for (double deviations = 4.0;; deviations *= 2.0) {
        const double spread = deviations * std::sqrt(expected);
        const u64 low = share((expected - spread) / all), high = share((expected + spread) / all);
        rows.clear();
        open.clear();
        for (i64 i = 0; i < n_rows; ++i) {
            const u64 key = random_key(i, seed, which);
            if (key < low)
                rows.push_back(i);
            else if (key <= high)
                open.emplace_back(key, i);
        }
        const i64 known = static_cast<i64>(rows.size()), missing = n - known;
        if (missing < 0 || missing > static_cast<i64>(open.size())) continue;  // rare
        std::nth_element(open.begin(), open.begin() + missing, open.end());
        for (i64 k = 0; k < missing; ++k) rows.push_back(open[static_cast<std::size_t>(k)].second);
        std::sort(rows.begin() + known, rows.end());
        std::inplace_merge(rows.begin(), rows.begin() + known, rows.end());
        return rows;
    }
}

std::vector<i64> random_order(i64 n_rows, u64 seed, std::uint32_t which) {
    std::vector<std::pair<u64, i64>> keyed;
    keyed.reserve(static_cast<std::size_t>(n_rows));
    for (i64 i = 0; i < n_rows; ++i) keyed.emplace_back(random_key(i, seed, which), i);
    std::sort(keyed.begin(), keyed.end());
    std::vector<i64> rows;
    rows.reserve(keyed.size());
    for (const auto& one : keyed) rows.push_back(one.second);
    return rows;
}

}  // namespace skmm
