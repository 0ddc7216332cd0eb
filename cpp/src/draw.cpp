#include "skmm/draw.hpp"

#include <algorithm>
#include <numeric>

#include "skmm/philox.hpp"

namespace skmm {

using i64 = std::int64_t;

std::vector<i64> draw_systematic(const double* pi, i64 n_rows, i64 n, std::uint64_t seed) {
    std::vector<i64> drawn;
    drawn.reserve(static_cast<std::size_t>(n) + 1);
    double fraction = uniform(seed, kDraw, 0);  // of the way to the next lattice point
    i64 spare = -1;                             // last row that could have been drawn and was not
    for (i64 i = 0; i < n_rows; ++i) {
        fraction += pi[i];
        if (fraction >= 1.0) {
            fraction -= 1.0;
            drawn.push_back(i);
        } else if (pi[i] > 0.0) {
            spare = i;
        }
    }
    // A lattice point within rounding of the end may fall on either side of it.
    if (static_cast<i64>(drawn.size()) > n) drawn.pop_back();
    if (static_cast<i64>(drawn.size()) < n && spare >= 0) drawn.push_back(spare);
    return drawn;
}

std::vector<i64> draw_pivotal(const double* pi, i64 n_rows, i64 n, std::uint64_t seed) {
    std::vector<i64> drawn;
    drawn.reserve(static_cast<std::size_t>(n));
    i64 active = 0;  // the one row not yet decided, and its probability
    double p = pi[0];
    for (i64 i = 1; i < n_rows; ++i) {
        const double u = uniform(seed, kDraw, static_cast<std::uint64_t>(i)), both = p + pi[i];
        if (both < 1.0) {  // one of the two is out
            if (u * both < pi[i]) active = i;
            p = both;
        } else {  // one of the two is in
            if (u * (2.0 - both) < 1.0 - pi[i]) {
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

std::vector<i64> draw_subset(i64 n_rows, i64 n, std::uint64_t seed, std::uint32_t which) {
    std::vector<std::uint64_t> key(static_cast<std::size_t>(n_rows));
    for (i64 i = 0; i < n_rows; ++i) {
        const Words x = philox(seed, kSubset, static_cast<std::uint64_t>(i), which);
        key[static_cast<std::size_t>(i)] = std::uint64_t{x.w[0]} << 32 | x.w[1];
    }
    std::vector<i64> rows(key.size());
    std::iota(rows.begin(), rows.end(), i64{0});
    std::nth_element(rows.begin(), rows.begin() + n, rows.end(), [&](i64 a, i64 b) {
        const auto ka = key[static_cast<std::size_t>(a)], kb = key[static_cast<std::size_t>(b)];
        return ka < kb || (ka == kb && a < b);
    });
    rows.resize(static_cast<std::size_t>(n));
    std::sort(rows.begin(), rows.end());
    return rows;
}

}  // namespace skmm
