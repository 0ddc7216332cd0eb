#include "skmm/design.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "skmm/dense.hpp"
#include "skmm/kernels.hpp"
#include "skmm/memory.hpp"
#include "skmm/philox.hpp"
#include "skmm/products.hpp"

namespace skmm {
namespace {

using i64 = std::int64_t;
using Vector = std::vector<double>;
using Rows = std::vector<i64>;

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

// The information matrix M = W_SᵀW_S + ridge I, its inverse C, and what each row of W = Z B sees of
// it: p = wᵀCw and q = ‖Cw‖².
template <class T>
class Information {
public:
    Information(Whitened<T> w, double ridge, int n_threads)
        : w_(w), threads_(n_threads), m_(at(k() * k())), p_(at(n())), q_(at(n())) {
        for (i64 d = 0; d < k(); ++d) m_[at(d * k() + d)] = ridge;
        for (i64 d = 0; d < k(); ++d)
            for (i64 j = 0; j < w.z.cols; ++j) bt_.push_back(w.b.row(j)[d]);
        invert();
    }

    // What tr C loses when row i is added, and gains when it is removed (infinite: M turns
    // singular).
    double gain(i64 i) const { return std::max(q_[at(i)], 0.0) / (1.0 + p_[at(i)]); }
    double loss(i64 i) const {
        const double left = 1.0 - p_[at(i)];
        return left > kSingular ? std::max(q_[at(i)], 0.0) / left
                                : std::numeric_limits<double>::infinity();
    }
    double trace() const {
        double sum = 0.0;
        for (i64 d = 0; d < k(); ++d) sum += c_[at(d * k() + d)];
        return sum;
    }

    // p and q of all rows, which gain() and loss() need, where many changes left them behind.
    void see(const Tick& tick, i64 done) {
        if (seen_) return;
        const Tick quiet = [&](i64) { tick(done); };
        norms_of(root_, quiet, p_);
        norms_of(c_, quiet, q_);
        seen_ = true;
    }

    // One row is seen at once, many may not be.
    void add(const Rows& rows, const Tick& tick, i64 done) {
        if (rows.size() > 1 && 3 * static_cast<i64>(rows.size()) > k()) {
            add_moment(rows, tick, done);
            invert();
            return;
        }
        for (const i64 i : rows) change(i, 1.0);
        apply(tick, done);
    }
    void remove(i64 i, const Tick& tick, i64 done) {
        change(i, -1.0);
        apply(tick, done);
    }

    // The gains of all rows if row i were removed; M and the rest stay.
    void gains_without(i64 i, Vector& gains) const {
        const Change c = changed(row(i), -1.0);
        const RankOne one{c.uv.data(), c.uv.data() + w_.z.cols, c.uu, c.delta};
        gains.resize(p_.size());
        parallel_blocks(ceil_div(n(), kRowsAtOnce), threads_, [&](i64 b, int) {
            const i64 first = b * kRowsAtOnce, rows = std::min(kRowsAtOnce, n() - first);
            double p[kRowsAtOnce], q[kRowsAtOnce];
            std::copy_n(p_.begin() + first, rows, p);
            std::copy_n(q_.begin() + first, rows, q);
            kernels().of<T>().rank_one(w_.z.row(first), rows, w_.z.cols, &one, 1, p, q);
            for (i64 t = 0; t < rows; ++t)
                gains[at(first + t)] = std::max(q[t], 0.0) / (1.0 + p[t]);
        });
    }

    // Takes the ridge out of M; false, and nothing changed, where that leaves tr C more than
    // `factor` times what it was, or infinite.
    bool drop_ridge(double ridge, double factor) {
        Vector u = m_;
        for (i64 d = 0; d < k(); ++d) u[at(d * k() + d)] -= ridge;
        const Vector without = u;
        if (!skmm::factor(u)) return false;
        const Vector root = inverse_root(u);
        if (!(std::inner_product(root.begin(), root.end(), root.begin(), 0.0) <= factor * trace()))
            return false;
        m_ = without;
        invert();
        return true;
    }

    // The same M, seen from these rows alone.
    Information among(const Rows& rows, std::vector<T>& storage) const {
        const i64 m = w_.z.cols, count = static_cast<i64>(rows.size());
        storage.resize(at(count * m));
        Information some(*this, {{storage.data(), count, m, m}, w_.b});
        for (i64 i = 0; i < count; ++i) {
            std::copy_n(w_.z.row(rows[at(i)]), m, storage.begin() + i * m);
            some.p_[at(i)] = p_[at(rows[at(i)])];
            some.q_[at(i)] = q_[at(rows[at(i)])];
        }
        return some;
    }
    // M becomes that of `other`.
    void adopt(const Information& other) {
        m_ = other.m_;
        invert();
    }

private:
    static constexpr double kSingular = 1e-6;
    static constexpr double kFallen = 1e-5;  // of tr C, after which differences have lost digits
    static constexpr i64 kStale = 10'000;    // changes, likewise

    Information(const Information& all, Whitened<T> some)
        : w_(some),
          threads_(all.threads_),
          m_(all.m_),
          c_(all.c_),
          bt_(all.bt_),
          p_(at(n())),
          q_(at(n())),
          seen_(true),
          fresh_trace_(all.fresh_trace_) {}

    i64 n() const { return w_.z.rows; }
    i64 k() const { return w_.b.cols; }

    Vector row(i64 i) const {  // w = Bᵀz
        Vector w(at(k()));
        for (i64 j = 0; j < w_.z.cols; ++j) {
            const double z = static_cast<double>(w_.z.row(i)[j]);
            for (i64 d = 0; d < k(); ++d) w[at(d)] += z * w_.b.row(j)[d];
        }
        return w;
    }

    // M += w wᵀ over many rows.
    void add_moment(const Rows& rows, const Tick& tick, i64 done) {
        constexpr i64 kChunk = 4096;
        Vector part(at(k() * k())), w;
        const i64 count = static_cast<i64>(rows.size());
        for (i64 from = 0; from < count; from += kChunk) {
            tick(done);
            const i64 here = std::min(kChunk, count - from);
            w.resize(at(here * k()));
            parallel_blocks(ceil_div(here, 64), threads_, [&](i64 b, int) {
                for (i64 i = 64 * b; i < std::min(here, 64 * (b + 1)); ++i) {
                    const Vector one = row(rows[at(from + i)]);
                    std::copy(one.begin(), one.end(), w.begin() + i * k());
                }
            });
            second_moment(MatrixView<double>{w.data(), here, k(), k()}, nullptr, threads_, tick,
                          part.data());
            std::transform(m_.begin(), m_.end(), part.begin(), m_.begin(), std::plus<>());
        }
    }

    // C' = (M ± w wᵀ)⁻¹ = C - u uᵀ / delta, u = C w (Sherman and Morrison), and what the rows of Z
    // see of it: uv holds B u and B C u.
    struct Change {
        Vector u, uv;
        double uu, delta;
    };
    Change changed(const Vector& w, double sign) const {
        Vector u = combine(w, c_.data(), k()), uv = combine(u, bt_.data(), w_.z.cols);
        const Vector v = combine(combine(u, c_.data(), k()), bt_.data(), w_.z.cols);
        uv.insert(uv.end(), v.begin(), v.end());
        const double uu = inner(u, u), delta = sign * (1.0 + sign * inner(w, u));
        return {std::move(u), std::move(uv), uu, delta};
    }

    // The rows see it at the next apply().
    void change(i64 i, double sign) {
        const Vector w = row(i);
        const Change c = changed(w, sign);
        for (i64 a = 0; a < k(); ++a) {
            for (i64 b = 0; b < k(); ++b) {
                m_[at(a * k() + b)] += sign * w[at(a)] * w[at(b)];
                c_[at(a * k() + b)] -= c.u[at(a)] * c.u[at(b)] / c.delta;
            }
        }
        changes_.push_back({nullptr, nullptr, c.uu, c.delta});
        vectors_.insert(vectors_.end(), c.uv.begin(), c.uv.end());
    }

    // p and q are updated by differences, one pass over Z, while C stays of one order; else they
    // are made afresh.
    void apply(const Tick& tick, i64 done) {
        stale_ += static_cast<i64>(changes_.size());
        if (!seen_ || stale_ > kStale || trace() < kFallen * fresh_trace_) {
            invert();
            see(tick, done);
            return;
        }
        for (std::size_t t = 0; t < changes_.size(); ++t) {
            changes_[t].u = vectors_.data() + at(2 * w_.z.cols) * t;
            changes_[t].v = changes_[t].u + w_.z.cols;
        }
        constexpr i64 kSlice = 256 * kRowsAtOnce;
        for (i64 from = 0; from < n(); from += kSlice) {
            tick(done);
            const i64 blocks = ceil_div(std::min(kSlice, n() - from), kRowsAtOnce);
            parallel_blocks(blocks, threads_, [&](i64 b, int) {
                const i64 first = from + b * kRowsAtOnce, rows = std::min(kRowsAtOnce, n() - first);
                kernels().of<T>().rank_one(w_.z.row(first), rows, w_.z.cols, changes_.data(),
                                           static_cast<int>(changes_.size()), &p_[at(first)],
                                           &q_[at(first)]);
            });
        }
        changes_.clear();
        vectors_.clear();
    }

    // C from M; no number where M is not positive definite (W is not finite).
    void invert() {
        changes_.clear();
        vectors_.clear();
        stale_ = 0;
        seen_ = false;
        root_ = m_;
        if (factor(root_)) {
            root_ = inverse_root(root_);
            c_ = gram(root_);
        } else {
            root_.assign(m_.size(), std::numeric_limits<double>::quiet_NaN());
            c_ = root_;
        }
        fresh_trace_ = trace();
    }

    // x_i = ‖A w_i‖².
    void norms_of(const Vector& a, const Tick& tick, Vector& x) const {
        Vector d(at(w_.z.cols * k()));  // B Aᵀ
        for (i64 j = 0; j < w_.z.cols; ++j)
            for (i64 e = 0; e < k(); ++e)
                d[at(j * k() + e)] =
                    std::inner_product(w_.b.row(j), w_.b.row(j) + k(), a.begin() + e * k(), 0.0);
        row_norms(w_.z, nullptr, n(), MatrixView<double>{d.data(), w_.z.cols, k(), k()}, threads_,
                  tick, x.data());
    }

    // Σ_a x_a (row a of an (x.size(), cols) matrix).
    static Vector combine(const Vector& x, const double* rows, i64 cols) {
        Vector y(at(cols));
        for (const double factor : x) {
            for (i64 c = 0; c < cols; ++c) y[at(c)] += factor * rows[c];
            rows += cols;
        }
        return y;
    }

    static double inner(const Vector& x, const Vector& y) {
        return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
    }

    static constexpr i64 kRowsAtOnce = 256;

    Whitened<T> w_;
    int threads_;
    Vector m_, c_, bt_, p_, q_;  // (k, k), (k, k), Bᵀ (k, m), (N), (N)
    Vector root_;                // RᵀR = C when it was made from M
    bool seen_ = false;          // p and q are those of C
    double fresh_trace_ = 0.0;   // tr C when p and q were last made afresh
    i64 stale_ = 0;              // changes since
    std::vector<RankOne> changes_;
    Vector vectors_;  // B u and B v of every change
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
            Scored best{-1.0, -1};
            for (i64 i = first; i < last; ++i) {
                const double x = score(i);
                if (x > best.score) best = {x, i};
            }
            if (best.row >= 0) part.push_back(best);
            return;
        }
        for (i64 i = first; i < last; ++i) {
            const Scored one{score(i), i};
            if (one.score >= 0.0) part.push_back(one);
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
    Rows rows;
    for (const Scored& one : all) rows.push_back(one.row);
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

// Greedy picks among the best candidates, each scored after the one before; until one that is not
// among them may be better.
template <class T>
Rows pick_greedily(const Information<T>& info, i64 n_rows, i64 count, int n_threads,
                   const Tick& tick, Membership& set) {
    constexpr i64 kOversampling = 4;  // candidates per pick
    const i64 wanted = count == 1 ? 1 : kOversampling * count;
    const Rows candidates = top_rows(n_rows, wanted, n_threads,
                                     [&](i64 i) { return set.addable(i) ? info.gain(i) : -1.0; });
    if (count == 1) {
        for (const i64 i : candidates) set.add(i);
        return candidates;
    }
    const bool all = static_cast<i64>(candidates.size()) < wanted;
    const double others = all ? -1.0 : info.gain(candidates.back());
    std::vector<T> storage;
    Information<T> local = info.among(candidates, storage);
    Rows picks;
    while (static_cast<i64>(picks.size()) < count) {
        tick(set.size());
        const Rows best = top_rows(static_cast<i64>(candidates.size()), 1, 1, [&](i64 i) {
            return set.addable(candidates[at(i)]) ? local.gain(i) : -1.0;
        });
        if (best.empty()) break;  // a quota ran out: the next block goes on
        if (!picks.empty() && local.gain(best.front()) < others) break;
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

// A swap has to save a millionth of the loss, and more of tr C than rounding does.
double worth(double loss, double trace) { return 1e-6 * loss + 1e-10 * trace; }

// Swaps inside a group among the rows listed: the one with the largest gain comes in, the one with
// the least loss goes out, until that is the same row in every group, or tr C is `enough`. tr C
// falls with every swap. Returns their number.
template <class T>
i64 exchange_among(const Rows& rows, i64 groups, double enough, int n_threads, const Tick& tick,
                   Information<T>& info, Membership& set) {
    const i64 count = static_cast<i64>(rows.size());
    std::vector<bool> settled(at(groups));
    for (i64 swaps = 0;;) {
        tick(set.size());
        if (info.trace() <= enough) return swaps;
        const Rows best = top_rows(count, 1, n_threads, [&](i64 i) {
            const i64 row = rows[at(i)], group = set.group(row);
            return set.chosen(row) || group < 0 || settled[at(group)] ? -1.0 : info.gain(i);
        });
        if (best.empty()) return swaps;
        const i64 in = best.front(), group = set.group(rows[at(in)]);
        info.add(best, tick, set.size());
        const double stays = info.loss(in) - worth(info.loss(in), info.trace());
        const Rows least = top_rows(count, 1, n_threads, [&](i64 i) {
            const i64 row = rows[at(i)];
            return set.removable(row) && set.group(row) == group ? 1.0 / info.loss(i) : -1.0;
        });
        const bool helps = !least.empty() && info.loss(least.front()) < stays;
        const i64 out = helps ? least.front() : in;
        info.remove(out, tick, set.size());
        if (helps) {
            set.remove(rows[at(out)]);
            set.add(rows[at(in)]);
            std::fill(settled.begin(), settled.end(), false);
            ++swaps;
        } else {
            settled[at(group)] = true;
        }
    }
}

// Every row in turn leaves and the best one of its group comes in, until none but itself does, or
// tr C is `enough`. Returns the number of swaps.
template <class T>
i64 sweep_among(const Rows& rows, double enough, int n_threads, const Tick& tick,
                Information<T>& info, Membership& set) {
    const i64 count = static_cast<i64>(rows.size());
    const i64 movable =
        std::count_if(rows.begin(), rows.end(), [&](i64 row) { return set.removable(row); });
    i64 swaps = 0, since = 0;  // rows tried since the last swap
    Vector gains;
    for (i64 i = 0; since < movable && info.trace() > enough; i = (i + 1) % count) {
        const i64 row = rows[at(i)];
        if (!set.removable(row)) continue;
        tick(set.size());
        ++since;
        const double stays = info.loss(i);
        if (std::isinf(stays)) continue;
        info.gains_without(i, gains);
        const Rows best = top_rows(count, 1, n_threads, [&](i64 j) {
            const i64 other = rows[at(j)];
            return !set.chosen(other) && set.group(other) == set.group(row) ? gains[at(j)] : -1.0;
        });
        if (best.empty() || !(gains[at(best.front())] > stays + worth(stays, info.trace())))
            continue;
        info.add(best, tick, set.size());  // first, so that M never comes near to singular
        info.remove(i, tick, set.size());
        set.remove(row);
        set.add(rows[at(best.front())]);
        ++swaps;
        since = 0;
    }
    return swaps;
}

// Rounds of exchanges between the rows chosen and those of largest gain, over all and in each
// group, until a round changes nothing.
template <class T>
i64 exchange(i64 n_rows, i64 groups, double enough, int n_threads, const Tick& tick,
             Information<T>& info, Membership& set) {
    constexpr i64 kCandidates = 2048, kPerRow = 2;  // at least; and 1 / kPerRow of the rows chosen
    constexpr i64 kSwept = 4096;  // rows chosen, at most, of which every one is tried
    const auto outside = [&](i64 i) { return !set.chosen(i) && set.group(i) >= 0; };
    for (i64 all = 0;;) {
        if (info.trace() <= enough) return all;
        info.see(tick, set.size());
        Rows rows = top_rows(n_rows, std::max(kCandidates, set.size() / kPerRow), n_threads,
                             [&](i64 i) { return outside(i) ? info.gain(i) : -1.0; });
        Rows first(at(groups), -1);  // of largest gain in its group
        for (i64 i = 0; i < n_rows; ++i) {
            if (set.removable(i)) rows.push_back(i);
            if (!outside(i)) continue;
            i64& row = first[at(set.group(i))];
            if (row < 0 || info.gain(i) > info.gain(row)) row = i;
        }
        rows.insert(rows.end(), first.begin(), first.end());
        std::sort(rows.begin(), rows.end());
        rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
        if (rows.front() < 0) rows.erase(rows.begin());
        std::vector<T> storage;
        Information<T> local = info.among(rows, storage);
        i64 swaps = exchange_among(rows, groups, enough, n_threads, tick, local, set);
        if (set.size() <= kSwept) swaps += sweep_among(rows, enough, n_threads, tick, local, set);
        if (swaps == 0) return all;
        all += swaps;
        info.adopt(local);
    }
}

}  // namespace

template <class T>
Design v_optimal(Whitened<T> w, const DesignOptions& o, const DesignConstraints& constraints,
                 const Rows& start, int n_threads, const Tick& tick) {
    const i64 n_rows = w.z.rows;
    Information<T> info(w, o.ridge, n_threads);
    Membership set(n_rows, constraints);
    Design design{constraints.include, 0};
    for (const i64 i : start) set.add(i);
    design.rows.insert(design.rows.end(), start.begin(), start.end());
    info.add(design.rows, tick, set.size());
    while (set.size() < o.n) {
        tick(set.size());
        info.see(tick, set.size());
        const i64 count = std::min(o.block, o.n - set.size());
        const Rows picks = o.sampler == Sampler::kGreedy
                               ? pick_greedily(info, n_rows, count, n_threads, tick, set)
                               : pick_at_random(info, n_rows, count, n_threads, o, set);
        if (picks.empty()) break;  // W is not finite
        info.add(picks, tick, set.size());
        design.rows.insert(design.rows.end(), picks.begin(), picks.end());
    }
    if (o.refine) {
        constexpr double kMild = 2.0, kRegular = 1e6;
        const auto groups = static_cast<i64>(constraints.quota.size());
        // A bad start is refined with the ridge first: it keeps C small while bad rows leave.
        bool regular = info.drop_ridge(o.ridge, kMild);
        if (!regular) {
            design.swaps += exchange(n_rows, groups, 0.0, n_threads, tick, info, set);
            regular = info.drop_ridge(o.ridge, kRegular);
        }
        if (regular) design.swaps += exchange(n_rows, groups, o.enough, n_threads, tick, info, set);
        design.rows.clear();
        for (i64 i = 0; i < n_rows; ++i)
            if (set.chosen(i)) design.rows.push_back(i);
    }
    return design;
}

template Design v_optimal(Whitened<float>, const DesignOptions&, const DesignConstraints&,
                          const Rows&, int, const Tick&);
template Design v_optimal(Whitened<double>, const DesignOptions&, const DesignConstraints&,
                          const Rows&, int, const Tick&);

}  // namespace skmm
