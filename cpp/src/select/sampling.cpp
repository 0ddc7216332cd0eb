#include "skmm/select/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "skmm/base/philox.hpp"
#include "skmm/base/types.hpp"

namespace skmm {
namespace {

constexpr i64 kOne = i64{1} << 61;  // probability one, in integers that add without rounding

constexpr i64 kAhead = 32;  // places whose rows are fetched: no processor guesses so far who wins

i64 fixed(double p) { return static_cast<i64>(p * 0x1p61); }

u64 share(double of_one) {  // of the range of 64-bit keys
    return of_one <= 0.0 ? 0 : of_one >= 1.0 ? ~u64{0} : static_cast<u64>(of_one * 0x1p64);
}

u64 random_key(i64 i, u64 seed, std::uint32_t which) {
    const Words x = philox(seed, kSubset, static_cast<u64>(i), which);
    return u64{x.w[0]} << 32 | x.w[1];
}

}  // namespace

std::vector<i64> draw_systematic(const double* pi, i64 n_rows, i64 n, u64 seed, const i64* order) {
    u64 total = 0;  // modulo 2⁶⁴, which is enough to tell it from n
    for (i64 i = 0; i < n_rows; ++i) total += static_cast<u64>(fixed(pi[i]));
    const i64 excess = static_cast<i64>(total - static_cast<u64>(n) * static_cast<u64>(kOne));

    // How far from a lattice point towards the next, kOne away. Started within `excess` of either,
    // the walk would meet one too many or too few.
    i64 way = fixed(uniform(seed, kDraw, 0));
    way = std::max(std::min(way, kOne - 1 - std::max(excess, i64{0})), -std::min(excess, i64{0}));
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
    i64 active = order ? order[0] : 0;  // the one row not yet decided, and its probability
    double p = pi[active];
    for (i64 place = 1; place < n_rows; ++place) {
        const i64 i = order ? order[place] : place;
        if (order) __builtin_prefetch(pi + order[std::min(place + kAhead, n_rows - 1)]);
        const double u = uniform(seed, kDraw, static_cast<u64>(place)), both = p + pi[i];
        if (both < 1.0) {  // one of the two is out
            if (u * both < pi[i]) active = i;
            p = both;
        } else {  // One of the two is in. Where both = 1, the same u favours the same row as above,
                  // so that a draw does not hang on the last bit of the sum.
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

// The rows of the n smallest random keys. Nearly all are told by two cuts on either side of the
// n-th smallest key: below the lower one they are in, above the upper one out.
std::vector<i64> draw_subset(i64 n_rows, i64 n, u64 seed, std::uint32_t which) {
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
        if (missing < 0 || missing > static_cast<i64>(open.size())) continue;  // rare: cut again
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
