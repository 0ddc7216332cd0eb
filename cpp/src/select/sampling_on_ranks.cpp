// Systematic sampling of rows that lie on several ranks, in an order of all of them.
#include <algorithm>
#include <numeric>

#include "lattice.hpp"
#include "skmm/base/strips.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/select/sampling.hpp"

namespace skmm {
namespace {

// A sum of probabilities: ones + part 2⁻⁶¹ with 0 <= part < 2⁶¹.
struct Sum {
    i64 ones = 0, part = 0;

    Sum& operator+=(const Sum& other) {
        ones += other.ones;
        part += other.part;
        if (part >= kOne) {
            part -= kOne;
            ++ones;
        }
        return *this;
    }
    Sum& operator-=(const Sum& other) {
        ones -= other.ones;
        part -= other.part;
        if (part < 0) {
            part += kOne;
            --ones;
        }
        return *this;
    }
    bool operator>=(const Sum& other) const {
        return ones != other.ones ? ones > other.ones : part >= other.part;
    }
};

// The sums that each rank gives, (ranks, sums.size()). Float64 holds each of three numbers exactly.
std::vector<Sum> of_ranks(const Ranks& ranks, const std::vector<Sum>& sums) {
    constexpr i64 kHalf = i64{1} << 31;
    if (ranks.size == 1) return sums;
    Vector mine;
    for (const Sum& sum : sums)
        for (const i64 x : {sum.ones, sum.part / kHalf, sum.part % kHalf})
            mine.push_back(static_cast<double>(x));
    Vector all(at(ranks.size) * mine.size());
    ranks.gather(mine.data(), static_cast<i64>(mine.size()), all.data());
    std::vector<Sum> found;
    for (std::size_t e = 0; e < all.size(); e += 3)
        found.push_back({static_cast<i64>(all[e]),
                         static_cast<i64>(all[e + 1]) * kHalf + static_cast<i64>(all[e + 2])});
    return found;
}

// The sums over the ranks.
std::vector<Sum> of_all(const Ranks& ranks, const std::vector<Sum>& sums) {
    const std::vector<Sum> each = of_ranks(ranks, sums);
    std::vector<Sum> total(sums.size());
    for (std::size_t e = 0; e < each.size(); ++e) total[e % total.size()] += each[e];
    return total;
}

// The rows here of positive probability, in the order of their keys, ties to the lowest row.
class Walk {
public:
    Walk(const double* pi, const i64* key, i64 n_rows) {
        for (i64 i = 0; i < n_rows; ++i)
            if (fixed(pi[i]) > 0) rows_.push_back(i);
        std::stable_sort(rows_.begin(), rows_.end(),
                         [key](i64 a, i64 b) { return key[a] < key[b]; });
        before_.push_back({});
        for (const i64 i : rows_) {
            keys_.push_back(key[i]);
            Sum next = before_.back();
            next += {fixed(pi[i]) / kOne, fixed(pi[i]) % kOne};
            before_.push_back(next);
        }
    }

    i64 row(std::size_t place) const { return rows_[place]; }
    // The places of the rows whose key is `key`, and the sum before a place.
    std::size_t first(i64 key) const {
        return std::lower_bound(keys_.begin(), keys_.end(), key) - keys_.begin();
    }
    std::size_t last(i64 key) const {
        return std::upper_bound(keys_.begin(), keys_.end(), key) - keys_.begin();
    }
    const Sum& before(std::size_t place) const { return before_[place]; }
    const Sum& total() const { return before_.back(); }

private:
    std::vector<i64> rows_;
    std::vector<i64> keys_;
    std::vector<Sum> before_;  // (rows + 1)
};

}  // namespace

std::vector<i64> draw_systematic_on_ranks(const double* pi, const i64* key, i64 n_rows, i64 n,
                                          u64 seed, const Strips& strips) {
    constexpr i64 kPoints = 1 << 16;     // lattice points that are found together
    constexpr double kMostKey = 0x1p53;  // float64 holds keys exactly
    const Ranks& ranks = strips.ranks();
    const Walk walk(pi, key, n_rows);
    Sum over = of_all(ranks, {walk.total()}).front();
    over -= {n, 0};
    const i64 excess = over.ones > 0     ? kOne
                       : over.ones == 0  ? over.part
                       : over.ones == -1 ? over.part - kOne
                                         : -kOne;
    const i64 start = lattice_start(seed, excess);
    const auto [least, largest] = std::minmax_element(key, key + n_rows);
    const Vector ends = strips.largest({n_rows > 0 ? -static_cast<double>(*least) : -kMostKey,
                                        n_rows > 0 ? static_cast<double>(*largest) : -kMostKey});

    std::vector<i64> drawn;
    for (i64 first = 0; first < n; first += kPoints) {
        // Point j is met by the first row up to which the sum is at least goal[j].
        const i64 count = std::min(kPoints, n - first);
        std::vector<Sum> goal;
        for (i64 j = first; j < first + count; ++j) {
            goal.push_back({j + 1, 0});
            goal.back() -= {0, start};
        }
        // The key of that row is in [low, high], of all points at once.
        std::vector<i64> low(at(count), static_cast<i64>(-ends[0])),
            high(at(count), static_cast<i64>(ends[1]));
        while (low != high) {
            std::vector<Sum> sums;
            for (std::size_t j = 0; j < goal.size(); ++j)
                sums.push_back(walk.before(walk.last(low[j] + (high[j] - low[j]) / 2)));
            sums = of_all(ranks, sums);
            for (std::size_t j = 0; j < goal.size(); ++j) {
                const i64 middle = low[j] + (high[j] - low[j]) / 2;
                if (low[j] == high[j]) continue;
                if (sums[j] >= goal[j])
                    high[j] = middle;
                else
                    low[j] = middle + 1;
            }
        }
        // Among rows of one key, those of the ranks follow each other.
        std::vector<Sum> before, ties;
        for (std::size_t j = 0; j < goal.size(); ++j) {
            before.push_back(walk.before(walk.first(low[j])));
            ties.push_back(walk.before(walk.last(low[j])));
            ties.back() -= before.back();
        }
        const std::vector<Sum> of_each = of_ranks(ranks, ties);
        std::vector<Sum> reached = of_all(ranks, before);
        for (std::size_t j = 0; j < goal.size(); ++j) {
            for (i64 rank = 0; rank < ranks.rank; ++rank)
                reached[j] += of_each[at(rank) * goal.size() + j];
            if (reached[j] >= goal[j]) continue;  // a rank before has the row
            for (std::size_t place = walk.first(low[j]); place < walk.last(low[j]); ++place) {
                Sum up_to = walk.before(place + 1);
                up_to -= before[j];
                up_to += reached[j];
                if (!(up_to >= goal[j])) continue;
                drawn.push_back(walk.row(place));
                break;
            }
        }
    }
    std::sort(drawn.begin(), drawn.end());
    return drawn;
}

}  // namespace skmm
