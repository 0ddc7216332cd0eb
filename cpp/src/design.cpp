#include "skmm/design.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "skmm/kernels.hpp"
#include "skmm/memory.hpp"
#include "skmm/philox.hpp"

namespace skmm {
namespace {

using i64 = std::int64_t;
using Vector = std::vector<double>;
using Rows = std::vector<i64>;

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

// The information matrix M = W_SᵀW_S + ridge I through its inverse C, and what each row sees of it:
// p = wᵀCw and q = ‖Cw‖².
template <class T>
class Information {
public:
    Information(MatrixView<T> w, double ridge, int n_threads)
        : w_(w), threads_(n_threads), c_(at(w.cols * w.cols)), p_(at(w.rows)), q_(at(w.rows)) {
        for (i64 d = 0; d < w.cols; ++d) c_[at(d * w.cols + d)] = 1.0 / ridge;
        fresh_trace_ = trace();
        const Vector ones(at(w.cols), 1.0);
        for_blocks(w.rows, threads_, [&](i64 first, i64 last) {
            kernels().of<T>().square_dots(w.row(first), last - first, w.cols, ones.data(),
                                          &p_[at(first)]);
            for (i64 i = first; i < last; ++i) {
                p_[at(i)] /= -ridge;
                q_[at(i)] = p_[at(i)] / ridge;
            }
        });
    }

    // What tr C loses when row i is added, and gains when it is removed (infinite: M turns
    // singular).
    double gain(i64 i) const { return std::max(q_[at(i)], 0.0) / (1.0 + p_[at(i)]); }
    double loss(i64 i) const {
        const double left = 1.0 - p_[at(i)];
        return left > kSingular ? std::max(q_[at(i)], 0.0) / left
                                : std::numeric_limits<double>::infinity();
    }

    void add(const Rows& rows, const Tick& tick, i64 done) {
        for (const i64 i : rows) {
            tick(done);
            change(row(i), 1.0);
        }
        apply(tick, done);
    }
    void remove(i64 i, const Tick& tick, i64 done) {
        change(row(i), -1.0);
        apply(tick, done);
    }

    // Takes the ridge out of M; false, and nothing changed, where M would be singular without it.
    bool drop_ridge(double ridge, const Tick& tick, i64 done) {
        const Vector kept = c_;
        bool regular = true;
        for (i64 d = 0; d < w_.cols && regular; ++d) {
            tick(done);
            Vector e(at(w_.cols));
            e[at(d)] = std::sqrt(ridge);
            regular = 1.0 - ridge * c_[at(d * w_.cols + d)] > kSingular;
            change(e, -1.0);
        }
        if (regular) {
            refresh(tick, done);
        } else {
            changes_.clear();
            vectors_.clear();
            c_ = kept;
        }
        return regular;
    }

    // The same, of these rows alone.
    Information among(const Rows& rows, std::vector<T>& storage) const {
        const i64 k = w_.cols, n = static_cast<i64>(rows.size());
        storage.resize(at(n * k));
        Vector p(at(n)), q(at(n));
        for (i64 i = 0; i < n; ++i) {
            std::copy_n(w_.row(rows[at(i)]), k, storage.begin() + i * k);
            p[at(i)] = p_[at(rows[at(i)])];
            q[at(i)] = q_[at(rows[at(i)])];
        }
        return Information({storage.data(), n, k, k}, c_, std::move(p), std::move(q));
    }

private:
    static constexpr double kSingular = 1e-6;
    static constexpr double kFallen = 1e-5;  // of tr C, after which differences have lost digits

    Information(MatrixView<T> w, Vector c, Vector p, Vector q)
        : w_(w), threads_(1), c_(std::move(c)), p_(std::move(p)), q_(std::move(q)) {}

    Vector row(i64 i) const { return Vector(w_.row(i), w_.row(i) + w_.cols); }

    // C = (M + sign w wᵀ)⁻¹ (Sherman-Morrison). The rows see it at the next apply().
    void change(const Vector& w, double sign) {
        const i64 k = w_.cols;
        const Vector u = times_c(w), v = times_c(u);
        const double delta = sign * (1.0 + sign * inner(w, u));
        for (i64 a = 0; a < k; ++a)
            for (i64 b = 0; b < k; ++b) c_[at(a * k + b)] -= u[at(a)] * u[at(b)] / delta;
        changes_.push_back({nullptr, nullptr, inner(u, u), delta});
        vectors_.insert(vectors_.end(), u.begin(), u.end());
        vectors_.insert(vectors_.end(), v.begin(), v.end());
    }

    // One pass over W. p and q are updated by differences while these are few and C stays of one
    // order; else they are made afresh, which costs as much as k/2 changes.
    void apply(const Tick& tick, i64 done) {
        if (2 * static_cast<i64>(changes_.size()) > w_.cols || trace() < kFallen * fresh_trace_) {
            refresh(tick, done);
            return;
        }
        for (std::size_t t = 0; t < changes_.size(); ++t) {
            changes_[t].u = vectors_.data() + at(2 * w_.cols) * t;
            changes_[t].v = changes_[t].u + w_.cols;
        }
        for_slices(tick, done, [&](i64 first, i64 last) {
            kernels().of<T>().rank_one(w_.row(first), last - first, w_.cols, changes_.data(),
                                       static_cast<int>(changes_.size()), &p_[at(first)],
                                       &q_[at(first)]);
        });
        changes_.clear();
        vectors_.clear();
    }

    void refresh(const Tick& tick, i64 done) {
        changes_.clear();
        vectors_.clear();
        fresh_trace_ = trace();
        for_slices(tick, done, [&](i64 first, i64 last) {
            kernels().of<T>().quadratic(w_.row(first), last - first, w_.cols, c_.data(),
                                        &p_[at(first)], &q_[at(first)]);
        });
    }

    // for_blocks over all rows, with ticks in between.
    template <class F>
    void for_slices(const Tick& tick, i64 done, const F& f) {
        constexpr i64 kSlice = 16 * kSumBlock;
        for (i64 row = 0; row < w_.rows; row += kSlice) {
            tick(done);
            for_blocks(std::min(kSlice, w_.rows - row), threads_,
                       [&](i64 first, i64 last) { f(row + first, row + last); });
        }
    }

    double trace() const {
        double sum = 0.0;
        for (i64 d = 0; d < w_.cols; ++d) sum += c_[at(d * w_.cols + d)];
        return sum;
    }

    Vector times_c(const Vector& x) const {
        Vector y(x.size());
        for (std::size_t a = 0; a < x.size(); ++a)
            y[a] = std::inner_product(x.begin(), x.end(),
                                      c_.begin() + static_cast<i64>(a * x.size()), 0.0);
        return y;
    }

    static double inner(const Vector& x, const Vector& y) {
        return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
    }

    MatrixView<T> w_;
    int threads_;
    Vector c_, p_, q_;          // (k, k), (N), (N)
    double fresh_trace_ = 0.0;  // tr C when p and q were last made afresh
    std::vector<RankOne> changes_;
    Vector vectors_;  // u and v of every change
};

// Which rows are chosen and which may be.
class Membership {
public:
    Membership(i64 n_rows, const DesignConstraints& constraints)
        : group_(constraints.group), quota_(constraints.quota), state_(at(n_rows), kOut) {
        for (const i64 i : constraints.include) set(i, kFixed, 1);
    }

    i64 size() const { return size_; }
    i64 group(i64 i) const { return group_[i]; }
    bool chosen(i64 i) const { return state_[at(i)] != kOut; }
    bool removable(i64 i) const { return state_[at(i)] == kIn; }
    bool addable(i64 i) const { return !chosen(i) && group(i) >= 0 && quota_[at(group(i))] > 0; }
    void add(i64 i) { set(i, kIn, 1); }
    void remove(i64 i) { set(i, kOut, -1); }

private:
    enum State : unsigned char { kOut, kIn, kFixed };

    void set(i64 i, State state, i64 by) {
        state_[at(i)] = state;
        size_ += by;
        quota_[at(group(i))] -= by;
    }

    const std::int32_t* group_;
    Rows quota_;  // what is left of it
    std::vector<State> state_;
    i64 size_ = 0;
};

// The `count` rows of largest score(i) >= 0, largest first, ties by lowest row.
template <class Score>
Rows top_rows(i64 n_rows, i64 count, int n_threads, const Score& score) {
    struct Scored {
        double score;
        i64 row;
    };
    const auto before = [](const Scored& a, const Scored& b) {
        return a.score > b.score || (a.score == b.score && a.row < b.row);
    };
    std::vector<std::vector<Scored>> parts(at(ceil_div(n_rows, kSumBlock)));
    for (auto& part : parts) part.reserve(at(std::min(count, kSumBlock) + 1));
    for_blocks(n_rows, n_threads, [&](i64 first, i64 last) {
        std::vector<Scored>& part = parts[at(first / kSumBlock)];
        for (i64 i = first; i < last; ++i) {
            const Scored one{score(i), i};
            if (!(one.score >= 0.0)) continue;
            if (static_cast<i64>(part.size()) == count && !before(one, part.back())) continue;
            part.insert(std::upper_bound(part.begin(), part.end(), one, before), one);
            if (static_cast<i64>(part.size()) > count) part.pop_back();
        }
    });
    std::vector<Scored> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end(), before);
    Rows rows;
    for (i64 t = 0; t < std::min<i64>(count, static_cast<i64>(all.size())); ++t)
        rows.push_back(all[at(t)].row);
    return rows;
}

// One row, with probability proportional to weight(i) >= 0.
template <class Weight>
i64 weighted_row(i64 n_rows, double u, int n_threads, const Weight& weight) {
    Vector part(at(ceil_div(n_rows, kSumBlock)));
    for_blocks(n_rows, n_threads, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; ++i) part[at(first / kSumBlock)] += weight(i);
    });
    double left = u * std::accumulate(part.begin(), part.end(), 0.0);
    i64 block = 0;  // rounding may lead past the end: then the last block of positive weight
    for (i64 b = 0; b < static_cast<i64>(part.size()); ++b) {
        if (!(part[at(b)] > 0.0)) continue;
        block = b;
        if (left < part[at(b)]) break;
        left -= part[at(b)];
    }
    i64 last = -1;  // likewise in the block
    for (i64 i = block * kSumBlock; i < std::min(n_rows, (block + 1) * kSumBlock); ++i) {
        if (!(weight(i) > 0.0)) continue;
        last = i;
        left -= weight(i);
        if (left < 0.0) break;
    }
    return last;
}

// Greedy picks among the best candidates, each scored after the one before.
template <class T>
Rows pick_greedily(const Information<T>& info, i64 n_rows, i64 count, int n_threads,
                   const Tick& tick, Membership& set) {
    constexpr i64 kOversampling = 4;  // candidates per pick
    const Rows candidates = top_rows(n_rows, count == 1 ? 1 : kOversampling * count, n_threads,
                                     [&](i64 i) { return set.addable(i) ? info.gain(i) : -1.0; });
    if (count == 1) {
        for (const i64 i : candidates) set.add(i);
        return candidates;
    }
    std::vector<T> storage;
    Information<T> local = info.among(candidates, storage);
    Rows picks;
    while (static_cast<i64>(picks.size()) < count) {
        tick(set.size());
        const Rows best = top_rows(static_cast<i64>(candidates.size()), 1, 1, [&](i64 i) {
            return set.addable(candidates[at(i)]) ? local.gain(i) : -1.0;
        });
        if (best.empty()) break;  // a quota ran out: the next block goes on
        picks.push_back(candidates[at(best.front())]);
        set.add(picks.back());
        if (static_cast<i64>(picks.size()) < count) local.add(best, tick, set.size());
    }
    return picks;
}

// Picks at random by their gains before the first of them.
template <class T>
Rows pick_at_random(const Information<T>& info, i64 n_rows, i64 count, int n_threads,
                    const DesignOptions& o, Membership& set) {
    const auto gain = [&](i64 i) { return set.addable(i) ? info.gain(i) : -1.0; };
    const Rows top = top_rows(n_rows, 1, n_threads, gain);
    if (top.empty()) return {};
    const double most = gain(top.front());
    const auto weight = [&](i64 i) {
        const double g = gain(i);
        if (g < 0.0) return 0.0;
        if (most == 0.0) return 1.0;
        return o.sampler == Sampler::kLinear ? g : std::exp((g / most - 1.0) / o.temperature);
    };
    Rows picks;
    while (static_cast<i64>(picks.size()) < count) {
        const double u = uniform(o.seed, kVOptimal, static_cast<std::uint64_t>(set.size()));
        const i64 i = weighted_row(n_rows, u, n_threads, weight);
        if (i < 0) break;  // every row of positive gain is taken
        picks.push_back(i);
        set.add(i);
    }
    return picks;
}

// Swaps inside a group: the row with the largest gain comes in, the one with the least loss goes
// out, until that is the same row in every group. tr C falls with every swap. Returns their number.
template <class T>
i64 exchange(i64 n_rows, i64 groups, int n_threads, const Tick& tick, Information<T>& info,
             Membership& set) {
    constexpr double kHelps = 1e-6;  // least part of a loss that a swap has to avoid
    std::vector<bool> settled(at(groups));
    for (i64 swaps = 0;;) {
        tick(set.size());
        const Rows best = top_rows(n_rows, 1, n_threads, [&](i64 i) {
            const i64 group = set.group(i);
            return set.chosen(i) || group < 0 || settled[at(group)] ? -1.0 : info.gain(i);
        });
        if (best.empty()) return swaps;
        const i64 in = best.front();
        info.add(best, tick, set.size());
        set.add(in);
        i64 out = in;
        double least = info.loss(in) * (1.0 - kHelps);
        for (i64 i = 0; i < n_rows; ++i) {
            if (!set.removable(i) || set.group(i) != set.group(in) || !(info.loss(i) < least))
                continue;
            out = i;
            least = info.loss(i);
        }
        info.remove(out, tick, set.size());
        set.remove(out);
        if (out == in) {
            settled[at(set.group(in))] = true;
        } else {
            std::fill(settled.begin(), settled.end(), false);
            ++swaps;
        }
    }
}

}  // namespace

template <class T>
Design v_optimal(MatrixView<T> w, const DesignOptions& o, const DesignConstraints& constraints,
                 int n_threads, const Tick& tick) {
    Information<T> info(w, o.ridge, n_threads);
    Membership set(w.rows, constraints);
    Design design{constraints.include, 0};
    info.add(constraints.include, tick, set.size());
    while (set.size() < o.n) {
        tick(set.size());
        const i64 count = std::min(o.block, o.n - set.size());
        const Rows picks = o.sampler == Sampler::kGreedy
                               ? pick_greedily(info, w.rows, count, n_threads, tick, set)
                               : pick_at_random(info, w.rows, count, n_threads, o, set);
        if (picks.empty()) break;  // W is not finite
        info.add(picks, tick, set.size());
        design.rows.insert(design.rows.end(), picks.begin(), picks.end());
    }
    if (o.refine) {
        // With the ridge first: it keeps C small while bad rows leave.
        const auto groups = static_cast<i64>(constraints.quota.size());
        design.swaps = exchange(w.rows, groups, n_threads, tick, info, set);
        if (info.drop_ridge(o.ridge, tick, set.size()))
            design.swaps += exchange(w.rows, groups, n_threads, tick, info, set);
        design.rows.clear();
        for (i64 i = 0; i < w.rows; ++i)
            if (set.chosen(i)) design.rows.push_back(i);
    }
    return design;
}

template Design v_optimal(MatrixView<float>, const DesignOptions&, const DesignConstraints&, int,
                          const Tick&);
template Design v_optimal(MatrixView<double>, const DesignOptions&, const DesignConstraints&, int,
                          const Tick&);

}  // namespace skmm
