// CandidateSet: which rows are chosen and which may be added; and two ways to find the next row, by
// the largest score or at random by weight.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

// The state of every row under the constraints of a selection. The rows of `include` are chosen
// from the start and cannot be removed.
class CandidateSet {
public:
    explicit CandidateSet(const Constraints& constraints)
        : constraints_(constraints), left_(constraints.counts), state_(at(constraints.n_rows)) {
        for (const i64 i : constraints.include) set(i, kFixed, 1);
    }

    i64 size() const { return size_; }
    i64 group(i64 i) const { return constraints_.group_of(i); }
    bool chosen(i64 i) const { return state_[at(i)] != kOut; }
    bool removable(i64 i) const { return state_[at(i)] == kIn; }
    bool addable(i64 i) const { return !chosen(i) && group(i) >= 0 && left_[at(group(i))] > 0; }
    void add(i64 i) { set(i, kIn, 1); }
    void remove(i64 i) { set(i, kOut, -1); }

private:
    enum State : unsigned char { kOut, kIn, kFixed };

    // Gives row i a state. `by` is the change of the number of chosen rows.
    void set(i64 i, State state, i64 by) {
        state_[at(i)] = state;
        size_ += by;
        left_[at(group(i))] -= by;
    }

    const Constraints& constraints_;
    std::vector<i64> left_;  // (n_groups) how many rows of each group may still be added
    std::vector<State> state_;
    i64 size_ = 0;
};

// The score of a row that may not be chosen.
inline constexpr double kNever = -std::numeric_limits<double>::infinity();

// Returns the `count` rows of largest score(i), in descending order; ties go to the lowest row.
// Rows with the score kNever are left out, so the result may be shorter.
template <class Score>
RowList top_rows(i64 n_rows, i64 count, int n_threads, const Score& score) {
    struct Scored {
        double score;
        i64 row;
    };
    using List = std::vector<Scored>;
    const auto before = [](const Scored& a, const Scored& b) {
        return a.score > b.score || (a.score == b.score && a.row < b.row);
    };
    const auto keep_best = [&](List& list) {
        if (static_cast<i64>(list.size()) <= count) return;
        std::nth_element(list.begin(), list.begin() + count, list.end(), before);
        list.resize(at(count));
    };
    std::vector<List> parts(at(ceil_div(n_rows, kSumBlock)));
    for_blocks(n_rows, n_threads, [&](i64 first, i64 last) {
        List& part = parts[at(first / kSumBlock)];
        if (count == 1) {
            Scored best{kNever, -1};
            for (i64 i = first; i < last; ++i) {
                const double x = score(i);
                if (x > best.score) best = {x, i};
            }
            if (best.row >= 0) part.push_back(best);
            return;
        }
        for (i64 i = first; i < last; ++i) {
            const Scored one{score(i), i};
            if (one.score > kNever) part.push_back(one);
        }
        keep_best(part);
    });
    List all;
    for (List& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
        List().swap(part);
    }
    keep_best(all);
    std::sort(all.begin(), all.end(), before);
    RowList rows;
    for (const Scored& one : all) rows.push_back(one.row);
    return rows;
}

// Returns a row drawn with probability proportional to weight(i) >= 0, or -1 if all weights are
// zero. u is a uniform number in (0, 1).
template <class Weight>
i64 weighted_row(i64 n_rows, double u, int n_threads, const Weight& weight) {
    Vector part(at(ceil_div(n_rows, kSumBlock)));
    for_blocks(n_rows, n_threads, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; ++i) part[at(first / kSumBlock)] += weight(i);
    });
    double left = u * std::accumulate(part.begin(), part.end(), 0.0);
    i64 block = 0;  // if rounding leads past the end, this is the last block of positive weight
    for (i64 b = 0; b < static_cast<i64>(part.size()); ++b) {
        if (!(part[at(b)] > 0.0)) continue;
        block = b;
        if (left < part[at(b)]) break;
        left -= part[at(b)];
    }
    i64 last = -1;  // if rounding leads past the end, this is the last row of positive weight
    for (i64 i = block * kSumBlock; i < std::min(n_rows, (block + 1) * kSumBlock); ++i) {
        if (!(weight(i) > 0.0)) continue;
        last = i;
        left -= weight(i);
        if (left < 0.0) break;
    }
    return last;
}

}  // namespace skmm
