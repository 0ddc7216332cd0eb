// V-optimal selection: greedy or random additions, then exchanges.
#include "skmm/select/v_optimality.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "candidate_set.hpp"
#include "information_matrix.hpp"
#include "replacements.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/philox.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
namespace {

RowList rows_of(const std::vector<Scored>& scored) {
    RowList rows;
    for (const Scored& one : scored) rows.push_back(one.row);
    return rows;
}

// Row numbers as ranks exchange them: float64 holds them exactly.
Vector numbers(const RowList& rows) { return {rows.begin(), rows.end()}; }
RowList whole_numbers(const Vector& x) {
    RowList rows;
    for (const double i : x) rows.push_back(static_cast<i64>(i));
    return rows;
}

// Chooses up to `count` rows, each the one of largest gain given those before it. Only the rows of
// largest gain at the start of the block are candidates. Stops when a row that is no candidate may
// have a larger gain than every candidate.
template <class T>
RowList pick_greedily(const InformationMatrix<T>& info, const Strips& strips, i64 count,
                      int n_threads, const Tick& tick, CandidateSet& set) {
    constexpr i64 kOversampling = 4;  // candidates per pick
    const i64 wanted = count == 1 ? 1 : kOversampling * count;
    const std::vector<Scored> best = top_of_all(
        strips, wanted, n_threads, [&](i64 i) { return set.addable(i) ? info.gain(i) : kNever; });
    const RowList candidates = rows_of(best);
    set.know(candidates, strips);
    if (count == 1) {
        for (const i64 i : candidates) set.add(i);
        return candidates;
    }
    const bool all = static_cast<i64>(candidates.size()) < wanted;
    const double others = all ? kNever : best.back().score;
    std::vector<T> storage;
    InformationMatrix<T> local = info.among(candidates, storage);
    RowList picks;
    while (static_cast<i64>(picks.size()) < count) {
        tick(set.size());
        const RowList next = top_rows(static_cast<i64>(candidates.size()), 1, 1, [&](i64 i) {
            return set.addable(candidates[at(i)]) ? local.gain(i) : kNever;
        });
        if (next.empty()) break;  // the groups of all candidates are full; the next block goes on
        if (!picks.empty() && local.gain(next.front()) < others) break;
        picks.push_back(candidates[at(next.front())]);
        set.add(picks.back());
        if (static_cast<i64>(picks.size()) < count) local.add(next, tick, set.size());
    }
    return picks;
}

// Draws up to `count` rows at random. All draws use the gains from before the first of them. All
// rows are here.
template <class T>
RowList pick_at_random(const InformationMatrix<T>& info, i64 n_rows, i64 count, int n_threads,
                       const DesignOptions& o, CandidateSet& set) {
    const auto gain = [&](i64 i) { return set.addable(i) ? info.gain(i) : kNever; };
    const RowList top = top_rows(n_rows, 1, n_threads, gain);
    if (top.empty()) return {};
    const double most = gain(top.front());
    const auto weight = [&](i64 i) {
        const double g = gain(i);
        if (g < 0.0) return 0.0;
        if (most == 0.0) return 1.0;
        return o.sampler == Sampler::kLinear ? g : std::exp((g / most - 1.0) / o.temperature);
    };
    RowList picks;
    while (static_cast<i64>(picks.size()) < count) {
        const double u = uniform(o.seed, kVOptimal, static_cast<std::uint64_t>(set.size()));
        const i64 i = weighted_row(n_rows, u, n_threads, weight);
        if (i < 0) break;  // every row of positive weight is taken
        picks.push_back(i);
        set.add(i);
    }
    return picks;
}

// The rounding of tr C, relative to it.
constexpr double kRounding = 1e-10;

// The amount by which a swap must reduce tr C to be made: a millionth of the loss, plus a margin
// for the rounding of tr C.
double worth_swapping(double loss, double trace) { return 1e-6 * loss + kRounding * trace; }

// Whether tr C has fallen by more than the share `pays`, and by more than its rounding. Where M is
// nearly singular, swaps that each seem to reduce tr C may undo one another for ever.
bool reduced(double before, double after, double pays) {
    return before - after > std::max(pays, kRounding) * before;
}

// Exchanges rows of the same group, among the listed rows: adds the row of largest gain, then
// removes the row of least loss. Position i in `rows` is row i of info. A group is settled when the
// row to remove is the row just added. Stops when every group is settled, when as many swaps as
// there are rows have not reduced tr C, or when tr C <= enough. Counts `swaps`, which here and
// below are what the tick is called with.
template <class T>
void exchange_among(const RowList& rows, i64 groups, double enough, int n_threads, const Tick& tick,
                    InformationMatrix<T>& info, CandidateSet& set, i64& swaps) {
    const i64 count = static_cast<i64>(rows.size());
    std::vector<bool> settled(at(groups));
    double before = info.trace();  // `count` swaps ago, or fewer
    i64 since = 0;                 // the number of swaps since then
    for (;;) {
        tick(swaps);
        if (info.trace() <= enough) return;
        const RowList best = top_rows(count, 1, n_threads, [&](i64 i) {
            const i64 row = rows[at(i)], group = set.group(row);
            return set.chosen(row) || group < 0 || settled[at(group)] ? kNever : info.gain(i);
        });
        if (best.empty()) return;
        const i64 in = best.front(), group = set.group(rows[at(in)]);
        info.add(best, tick, swaps);
        const double stays = info.loss(in) - worth_swapping(info.loss(in), info.trace());
        const RowList least = top_rows(count, 1, n_threads, [&](i64 i) {
            const i64 row = rows[at(i)];
            return set.removable(row) && set.group(row) == group ? 1.0 / info.loss(i) : kNever;
        });
        const bool helps = !least.empty() && info.loss(least.front()) < stays;
        const i64 out = helps ? least.front() : in;
        info.remove(out, tick, swaps);
        if (helps) {
            set.remove(rows[at(out)]);
            set.add(rows[at(in)]);
            std::fill(settled.begin(), settled.end(), false);
            ++swaps;
            if (++since < count) continue;
            if (!reduced(before, info.trace(), 0.0)) return;
            before = info.trace();
            since = 0;
        } else {
            settled[at(group)] = true;
        }
    }
}

// Rows that may enter in a sweep: the kEntering rows of largest gain, and the kOfGroup best of each
// group. More rows changed no selection that was tried.
template <class T>
RowList rows_to_enter(const RowList& rows, i64 groups, const InformationMatrix<T>& info,
                      const CandidateSet& set) {
    constexpr i64 kEntering = 256, kOfGroup = 16;
    const i64 count = static_cast<i64>(rows.size());
    RowList best, of_group(at(groups));
    for (const i64 i : top_rows(count, groups == 1 ? kEntering : count, 1, [&](i64 j) {
             return set.chosen(rows[at(j)]) ? kNever : info.gain(j);
         })) {
        i64& taken = of_group[at(set.group(rows[at(i)]))];
        if (static_cast<i64>(best.size()) < kEntering || taken < kOfGroup) {
            best.push_back(i);
            ++taken;
        }
    }
    std::sort(best.begin(), best.end());
    return best;
}

// Tries to replace every chosen row in turn, among the listed rows: if another row of its group has
// a larger gain once the row is removed, the two are swapped. Stops when no chosen row can be
// replaced, when a sweep over all of them has reduced tr C by no more than the share `pays`, or
// when tr C <= enough. Counts `swaps`.
template <class T>
void sweep_among(const RowList& rows, i64 groups, double enough, double pays, const Tick& tick,
                 InformationMatrix<T>& info, CandidateSet& set, i64& swaps) {
    // The rows tried together: few where many are replaced, since each swap changes the gains of
    // those that follow.
    constexpr i64 kFew = 32, kMany = 128;
    const i64 count = static_cast<i64>(rows.size());
    const i64 movable =
        std::count_if(rows.begin(), rows.end(), [&](i64 row) { return set.removable(row); });
    i64 since = 0;  // rows tried without a swap, in batches that know of the last one
    i64 swept = 0;
    double before = info.trace();  // when the sweep began
    typename InformationMatrix<T>::Swap swap;
    for (i64 next = 0, batch = kFew; since < movable && info.trace() > enough;) {
        if (swept >= movable) {
            if (!reduced(before, info.trace(), pays)) break;
            before = info.trace();
            swept = 0;
        }
        RowList leaving;
        for (i64 i = next; static_cast<i64>(leaving.size()) < std::min(batch, movable - since);
             i = (i + 1) % count)
            if (set.removable(rows[at(i)])) leaving.push_back(i);
        const RowList entering = rows_to_enter(rows, groups, info, set);
        Replacements<T> replacements(info, leaving, entering, tick, swaps);
        const i64 tried = static_cast<i64>(leaving.size()), swaps_before = swaps;
        for (i64 j = 0; j < tried && info.trace() > enough; ++j) {
            const i64 out = leaving[at(j)], row = rows[at(out)];
            next = (out + 1) % count;
            ++swept;
            if (swaps == swaps_before) ++since;
            const double stays = info.loss(out);
            if (std::isinf(stays)) continue;
            const RowList best = top_rows(static_cast<i64>(entering.size()), 1, 1, [&](i64 t) {
                const i64 other = rows[at(entering[at(t)])];
                const bool can = set.group(other) == set.group(row) && !set.chosen(other);
                return can ? replacements.gain(j, t) : kNever;
            });
            if (best.empty() ||
                !(replacements.gain(j, best.front()) > stays + worth_swapping(stays, info.trace())))
                continue;
            const i64 in = entering[at(best.front())];
            const bool updated = info.swap(in, out, tick, swaps, swap);
            set.remove(row);
            set.add(rows[at(in)]);
            ++swaps;
            since = 0;
            if (!updated) break;
            replacements.update(swap, j + 1);
        }
        batch = swaps == swaps_before ? kMany : kFew;
    }
}

// Returns the row of largest gain with outside(i) in each group that has one, on all ranks; ties go
// to the lowest row.
template <class T, class Outside>
RowList best_of_groups(const Strips& strips, i64 groups, const InformationMatrix<T>& info,
                       const Outside& outside, const CandidateSet& set) {
    std::vector<Scored> best(at(groups), {kNever, -1});
    const auto take = [&](i64 g, const Scored& one) {
        if (one.row >= 0 && (best[at(g)].row < 0 || before(one, best[at(g)]))) best[at(g)] = one;
    };
    const i64 first = strips.first_row();
    for (i64 i = first; i < first + strips.n_rows(); ++i)
        if (outside(i)) take(set.group(i), {info.gain(i), i});
    Vector mine;
    for (const Scored& one : best)
        mine.insert(mine.end(), {one.score, static_cast<double>(one.row)});
    const Vector all = strips.of_all(std::move(mine));
    for (std::size_t e = 0; e < all.size(); e += 2)
        take(static_cast<i64>(e / 2) % groups, {all[e], static_cast<i64>(all[e + 1])});
    RowList rows;
    for (const Scored& one : best)
        if (one.row >= 0) rows.push_back(one.row);
    return rows;
}

// Makes rounds of exchanges and sweeps until a round reduces tr C by no more than the share `pays`,
// or tr C <= enough. A round works on the chosen rows and on candidates: the rows of largest gain,
// and the row of largest gain in each group. Counts `swaps`.
template <class T>
void exchange(const Strips& strips, i64 groups, double enough, double pays, int n_threads,
              const Tick& tick, InformationMatrix<T>& info, CandidateSet& set, i64& swaps) {
    // A round has at least kCandidates candidates, and at least size / kPerRow of them.
    constexpr i64 kCandidates = 2048, kPerRow = 2;
    const auto outside = [&](i64 i) { return !set.chosen(i) && set.group(i) >= 0; };
    while (info.trace() > enough) {
        info.refresh(tick, swaps);
        RowList rows =
            rows_of(top_of_all(strips, std::max(kCandidates, set.size() / kPerRow), n_threads,
                               [&](i64 i) { return outside(i) ? info.gain(i) : kNever; }));
        const RowList first = best_of_groups(strips, groups, info, outside, set);
        rows.insert(rows.end(), first.begin(), first.end());
        std::sort(rows.begin(), rows.end());
        rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
        set.know(rows, strips);
        for (const i64 i : set.rows())
            if (set.removable(i)) rows.push_back(i);
        std::sort(rows.begin(), rows.end());
        std::vector<T> storage;
        InformationMatrix<T> local = info.among(rows, storage);
        const i64 swaps_before = swaps;
        exchange_among(rows, groups, enough, n_threads, tick, local, set, swaps);
        sweep_among(rows, groups, enough, pays, tick, local, set, swaps);
        set.forget();
        if (swaps == swaps_before) return;
        const double before = info.trace();
        info.adopt(local);
        if (!reduced(before, info.trace(), pays)) return;
    }
}

}  // namespace

template <class T>
Design v_optimal(Whitened<T> w, const DesignOptions& o, const Constraints& constraints,
                 const Strips& strips, const RowList& start, int n_threads, const Tick& tick) {
    InformationMatrix<T> info(w, strips, o.ridge, n_threads);
    RowList include;  // of all ranks
    for (const i64 i : constraints.include) include.push_back(strips.first_row() + i);
    include = whole_numbers(strips.of_all(numbers(include)));
    CandidateSet set(constraints, strips, include);
    set.know(start, strips);
    for (const i64 i : start) set.add(i);
    Design design{include, 0};
    design.rows.insert(design.rows.end(), start.begin(), start.end());
    info.add(design.rows, tick, set.size());
    const i64 n = constraints.n();
    while (set.size() < n) {
        tick(set.size());
        info.refresh(tick, set.size());
        const i64 count = std::min(o.block, n - set.size());
        const RowList picks = o.sampler == Sampler::kGreedy
                                  ? pick_greedily(info, strips, count, n_threads, tick, set)
                                  : pick_at_random(info, w.z.rows, count, n_threads, o, set);
        if (picks.empty()) break;  // happens only if W is not finite
        info.add(picks, tick, set.size());
        design.rows.insert(design.rows.end(), picks.begin(), picks.end());
    }
    if (o.refine) {
        // The largest growth of tr C that is accepted when the ridge is removed.
        constexpr double kMild = 2.0, kRegular = 1e6;
        const Tick counted = [&](i64 swaps) { tick(n + 1 + swaps); };
        const auto refine = [&](double enough) {
            exchange(strips, constraints.n_groups(), enough, o.pays, n_threads, counted, info, set,
                     design.swaps);
        };
        // If removing the ridge at most doubles tr C, exchange without it. Otherwise exchange with
        // the ridge first, which keeps C small while bad rows are replaced, and then without it.
        bool regular = info.drop_ridge(o.ridge, kMild);
        if (!regular) {
            refine(0.0);
            regular = info.drop_ridge(o.ridge, kRegular);
        }
        if (regular) refine(o.enough);
        design.rows = set.rows();
    }
    return design;
}

template Design v_optimal(Whitened<float>, const DesignOptions&, const Constraints&, const Strips&,
                          const RowList&, int, const Tick&);
template Design v_optimal(Whitened<double>, const DesignOptions&, const Constraints&, const Strips&,
                          const RowList&, int, const Tick&);

}  // namespace skmm
