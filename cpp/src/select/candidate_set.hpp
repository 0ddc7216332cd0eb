// CandidateSet: which rows are chosen and which may be added; and two ways to find the next row, by
// the largest score or at random by weight.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/strips.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

// The state of rows under the constraints of a selection: which are chosen and which may be. The
// rows of `include` are chosen from the start and cannot be removed. Rows have their numbers in the
// whole matrix. Of those of other ranks the set knows the chosen ones, and others that it was told.
class CandidateSet {
public:
    // Constraints are about the rows here; `include` has those of all ranks.
    CandidateSet(const Constraints& constraints, const Strips& strips, const RowList& include)
        : constraints_(constraints),
          first_(strips.first_row()),
          left_(constraints.counts),
          state_(at(constraints.n_rows)) {
        know(include, strips);
        for (const i64 i : include) set(i, kFixed, 1);
    }

    // All rows are here.
    explicit CandidateSet(const Constraints& constraints)
        : CandidateSet(constraints, Strips(constraints.n_rows), constraints.include) {}

    i64 size() const { return size_; }
    i64 group(i64 i) const {
        return here(i) ? constraints_.group_of(i - first_) : others_.at(i).group;
    }
    bool chosen(i64 i) const { return state(i) != kOut; }
    bool removable(i64 i) const { return state(i) == kIn; }
    bool addable(i64 i) const { return !chosen(i) && group(i) >= 0 && left_[at(group(i))] > 0; }
    void add(i64 i) { set(i, kIn, 1); }
    void remove(i64 i) { set(i, kOut, -1); }

    // The rows that are chosen, ascending.
    RowList rows() const {
        RowList rows;
        for (const auto& [i, other] : others_)
            if (other.state != kOut) rows.push_back(i);
        for (std::size_t i = 0; i < state_.size(); ++i)
            if (state_[i] != kOut) rows.push_back(first_ + static_cast<i64>(i));
        std::sort(rows.begin(), rows.end());
        return rows;
    }

    // Learns the groups of the listed rows.
    void know(const RowList& rows, const Strips& strips) {
        if (strips.ranks().size == 1) return;
        const Vector groups = strips.of_rows(rows, 1, [&](i64 i, double* group) {
            *group = static_cast<double>(constraints_.group_of(i));
        });
        for (std::size_t t = 0; t < rows.size(); ++t)
            if (!here(rows[t])) others_.insert({rows[t], {kOut, static_cast<i64>(groups[t])}});
    }
    // Forgets the rows of other ranks that are not chosen.
    void forget() {
        for (auto other = others_.begin(); other != others_.end();)
            other = other->second.state == kOut ? others_.erase(other) : std::next(other);
    }

private:
    enum State : unsigned char { kOut, kIn, kFixed };
    struct Other {
        State state;
        i64 group;
    };

    bool here(i64 i) const { return first_ <= i && i < first_ + static_cast<i64>(state_.size()); }
    State state(i64 i) const { return here(i) ? state_[at(i - first_)] : others_.at(i).state; }

    // Gives row i a state. `by` is the change of the number of chosen rows.
    void set(i64 i, State state, i64 by) {
        (here(i) ? state_[at(i - first_)] : others_.at(i).state) = state;
        size_ += by;
        left_[at(group(i))] -= by;
    }

    const Constraints& constraints_;
    i64 first_;                 // the number of the first row here
    std::vector<i64> left_;     // (n_groups) how many rows of each group may still be added
    std::vector<State> state_;  // of the rows here
    std::unordered_map<i64, Other> others_;  // the rows of other ranks that are known
    i64 size_ = 0;
};

// The score of a row that may not be chosen.
inline constexpr double kNever = -std::numeric_limits<double>::infinity();

struct Scored {
    double score;
    i64 row;
};
inline bool before(const Scored& a, const Scored& b) {
    return a.score > b.score || (a.score == b.score && a.row < b.row);
}

// Returns the `count` rows of largest score(i), in descending order; ties go to the lowest row.
// Rows with the score kNever are left out, so the result may be shorter.
template <class Score>
std::vector<Scored> top_scores(i64 n_rows, i64 count, int n_threads, const Score& score) {
    using List = std::vector<Scored>;
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
    return all;
}
template <class Score>
RowList top_rows(i64 n_rows, i64 count, int n_threads, const Score& score) {
    RowList rows;
    for (const Scored& one : top_scores(n_rows, count, n_threads, score)) rows.push_back(one.row);
    return rows;
}

// The same among the rows of all ranks, by their numbers in the whole matrix. score(i) takes the
// number of a row here.
template <class Score>
std::vector<Scored> top_of_all(const Strips& strips, i64 count, int n_threads, const Score& score) {
    const i64 first = strips.first_row();
    std::vector<Scored> best =
        top_scores(strips.n_rows(), count, n_threads, [&](i64 i) { return score(first + i); });
    for (Scored& one : best) one.row += first;
    if (strips.ranks().size == 1) return best;
    Vector mine;
    for (const Scored& one : best)
        mine.insert(mine.end(), {one.score, static_cast<double>(one.row)});
    const Vector all = strips.of_all(std::move(mine));
    best.clear();
    for (std::size_t e = 0; e < all.size(); e += 2)
        best.push_back({all[e], static_cast<i64>(all[e + 1])});
    std::sort(best.begin(), best.end(), before);
    if (static_cast<i64>(best.size()) > count) best.resize(at(count));
    return best;
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
