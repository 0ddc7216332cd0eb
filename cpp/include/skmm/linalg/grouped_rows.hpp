// GroupedRows: rows in groups, laid out for sums over all ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "skmm/base/parallel.hpp"
#include "skmm/base/strips.hpp"
#include "skmm/linalg/dense.hpp"

namespace skmm {

// The rows of a group on all ranks, and how many of them a selection has.
struct Group {
    std::int64_t size, count;
};

// The rows here are in the order of their strips, and within a strip in that of their groups.
class GroupedRows {
public:
    // starts (strips.count(), groups.size()) has where the part of each group begins in each strip.
    GroupedRows(Strips strips, std::vector<Group> groups, std::vector<std::int64_t> starts)
        : strips_(std::move(strips)), groups_(std::move(groups)), starts_(std::move(starts)) {}
    // One group of all rows, of which a selection has `count`.
    GroupedRows(std::int64_t n_rows, std::int64_t count)
        : GroupedRows(Strips(n_rows), {{n_rows, count}}, {}) {
        for (std::int64_t t = 0; t < strips_.count(); ++t)
            starts_.push_back(strips_.strip(t).first);
    }

    const Strips& strips() const { return strips_; }
    std::int64_t n_rows() const { return strips_.n_rows(); }  // here
    std::int64_t n_groups() const { return static_cast<std::int64_t>(groups_.size()); }
    const Group& group(std::int64_t g) const { return groups_[static_cast<std::size_t>(g)]; }

    // The rows of group g in strip t.
    Range part(std::int64_t t, std::int64_t g) const {
        const std::size_t place = static_cast<std::size_t>(t * n_groups() + g);
        const bool last = g + 1 == n_groups();
        return {starts_[place], last ? strips_.strip(t).last : starts_[place + 1]};
    }

    // Calls f(g, first, last) for the rows [first, last) of each group g in a block.
    template <class F>
    void for_parts(const Strips::Block& block, const F& f) const {
        std::int64_t g = group_at(block);
        for (std::int64_t i = block.first; i < block.last; ++g) {
            const std::int64_t last = std::min(part(block.strip, g).last, block.last);
            if (i < last) f(g, i, last);
            i = std::max(i, last);
        }
    }

private:
    // The group of the first row of a block.
    std::int64_t group_at(const Strips::Block& block) const {
        const auto begin = starts_.begin() + block.strip * n_groups();
        return std::upper_bound(begin, begin + n_groups(), block.first) - begin - 1;
    }

    Strips strips_;
    std::vector<Group> groups_;
    std::vector<std::int64_t> starts_;
};

// The threads that work of so many multiply-adds a row is worth.
inline int team_for(const GroupedRows& rows, double per_row, int n_threads) {
    return worth(per_row * static_cast<double>(rows.n_rows()), n_threads);
}

// Calls f(g, i) for each row i here, of group g.
template <class F>
void for_each_row(const GroupedRows& rows, int n_threads, const F& f) {
    const std::vector<Strips::Block> blocks = rows.strips().blocks();
    parallel_blocks(static_cast<std::int64_t>(blocks.size()), team_for(rows, 4.0, n_threads),
                    [&](std::int64_t b, int) {
                        rows.for_parts(blocks[static_cast<std::size_t>(b)],
                                       [&](std::int64_t g, std::int64_t first, std::int64_t last) {
                                           for (std::int64_t i = first; i < last; ++i) f(g, i);
                                       });
                    });
}

// sums (groups, width) = Σ over the rows of each group on all ranks. f(g, first, last, part) sets
// part (width) to the sum over consecutive rows of group g; it runs on many threads.
template <class F>
void sum_groups(const GroupedRows& rows, std::int64_t width, int n_threads, const F& f,
                double* sums) {
    const std::int64_t all = rows.n_groups() * width;
    sum_rows(
        rows.strips(), all, team_for(rows, 4.0, n_threads), {},
        [&](const Strips::Block& block, int, double* part) {
            std::fill_n(part, all, 0.0);
            rows.for_parts(block, [&](std::int64_t g, std::int64_t first, std::int64_t last) {
                f(g, first, last, part + g * width);
            });
        },
        sums);
}

// Returns the smallest and the largest of the numbers v(i) of each group on all ranks; for a group
// without rows, infinity and -infinity.
template <class V>
std::vector<std::pair<double, double>> group_ranges(const GroupedRows& rows, int n_threads,
                                                    const V& v) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const std::vector<Strips::Block> blocks = rows.strips().blocks();
    const std::int64_t n_groups = rows.n_groups();
    const int team = team_for(rows, 4.0, n_threads);
    std::vector<Vector> most_of(static_cast<std::size_t>(team));  // (2 groups) of -v, then of v
    for (Vector& most : most_of) most.assign(static_cast<std::size_t>(2 * n_groups), -kInfinity);
    parallel_blocks(static_cast<std::int64_t>(blocks.size()), team, [&](std::int64_t b, int slot) {
        double* const most = most_of[static_cast<std::size_t>(slot)].data();
        rows.for_parts(blocks[static_cast<std::size_t>(b)],
                       [&](std::int64_t g, std::int64_t first, std::int64_t last) {
                           for (std::int64_t i = first; i < last; ++i) {
                               most[g] = std::max(most[g], -v(i));
                               most[n_groups + g] = std::max(most[n_groups + g], v(i));
                           }
                       });
    });
    for (const Vector& other : most_of)
        for (std::size_t e = 0; e < other.size(); ++e)
            most_of[0][e] = std::max(most_of[0][e], other[e]);
    const Vector most = rows.strips().largest(std::move(most_of[0]));
    std::vector<std::pair<double, double>> ranges;
    for (std::int64_t g = 0; g < n_groups; ++g)
        ranges.push_back(
            {-most[static_cast<std::size_t>(g)], most[static_cast<std::size_t>(n_groups + g)]});
    return ranges;
}

}  // namespace skmm
