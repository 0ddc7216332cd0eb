// Fuzzes constraints, draws, capped simplices, and exchanges inside cells. What is drawn must keep
// the constraints exactly; sums and bounds are compared with plain computations.
#include <algorithm>
#include <functional>
#include <numeric>

#include "problems.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/select/mean_matching.hpp"
#include "skmm/select/sampling.hpp"

namespace skmm::fuzz {
namespace {

Runs runs;

// Returns the rows of `order` sorted, which must be distinct numbers below n_rows.
std::vector<i64> distinct(std::vector<i64> rows, i64 n_rows) {
    std::sort(rows.begin(), rows.end());
    check(std::adjacent_find(rows.begin(), rows.end()) == rows.end(), "distinct rows are drawn");
    check(rows.empty() || (rows.front() >= 0 && rows.back() < n_rows), "rows are drawn");
    return rows;
}

FreeRows free_rows_of(const Constraints& c) {
    const FreeRows free = free_rows(c);
    const GroupedRows& rows = free.grouped;
    check(rows.n_groups() == c.n_groups(), "a group of free rows for each count");
    RowList all = free.rows;
    i64 next = 0;
    std::vector<i64> sizes(c.counts.size());
    for (i64 t = 0; t < rows.strips().count(); ++t)
        for (i64 g = 0; g < rows.n_groups(); ++g) {
            const auto [first, last] = rows.part(t, g);
            check(first == next && first <= last, "groups follow each other in a strip");
            check(std::is_sorted(all.begin() + first, all.begin() + last), "ascending in a group");
            for (i64 i = first; i < last; ++i)
                check(c.group_of(all[at(i)]) == g, "rows in their group");
            sizes[at(g)] += last - first;
            next = last;
        }
    check(next == static_cast<i64>(all.size()), "groups cover all free rows");
    for (i64 g = 0; g < rows.n_groups(); ++g) {
        check(rows.group(g).size == sizes[at(g)], "sizes of groups");
        check(0 <= rows.group(g).count && rows.group(g).count <= sizes[at(g)],
              "as many rows as are chosen");
    }
    for (const i64 i : c.include)
        check(std::count(all.begin(), all.end(), i) == 0, "included rows are not free");
    const i64 allowed = std::count_if(c.group.begin(), c.group.end(), [](i64 g) { return g >= 0; });
    check(distinct(all, c.n_rows).size() + c.include.size() ==
              at(c.group.empty() ? c.n_rows : allowed),
          "all other rows are free");
    return free;
}

// The free rows of group g, ascending.
RowList free_rows_of_group(const FreeRows& free, i64 g) {
    RowList rows;
    for (i64 t = 0; t < free.grouped.strips().count(); ++t) {
        const auto [first, last] = free.grouped.part(t, g);
        rows.insert(rows.end(), free.rows.begin() + first, free.rows.begin() + last);
    }
    return rows;
}

// A point of { 0 <= s <= 1, Σ s = count }: the projection of random numbers.
std::vector<double> probabilities(Input& in, i64 n, i64 count, int threads) {
    Numbers numbers(in, true);
    const std::vector<double> v = numbers.vector(n);
    const double cap = in.coin() ? 1.0 : in.real(1e-3, 10.0);
    const double total = cap * static_cast<double>(count);
    std::vector<double> s(at(n)), again(at(n));
    const GroupedRows rows(n, count);
    const double tau = project(v.data(), rows, cap, {total}, {0.0}, threads, s.data()).front();
    project(v.data(), rows, cap, {total}, {in.real(-3.0, 3.0)}, 1, again.data());
    double sum = 0.0;
    for (i64 i = 0; i < n; ++i) {
        check(s[at(i)] == std::min(std::max(v[at(i)] - tau, 0.0), cap), "v - tau, clipped");
        check(std::abs(s[at(i)] - again[at(i)]) <= 1e-9 * (1.0 + cap), "one projection");
        sum += s[at(i)];
    }
    check(std::abs(sum - total) <= 1e-11 * (total + static_cast<double>(n)), "the sum is exact");

    std::vector<double> sorted = v;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const double most = cap * std::accumulate(sorted.begin(), sorted.begin() + count, 0.0);
    const double slack = in.coin() ? 0.0 : in.real(0.0, 1.0);
    const double bound = support(v.data(), rows, cap, slack, threads);
    const double rounding = 1e-10 * cap * 32.0 * static_cast<double>(n);
    check(bound >= most - rounding, "a bound on the support function");
    // 60 steps of the search leave next to nothing of the width of 16.
    check(bound <= most + slack + rounding, "a bound as near as asked");

    for (double& p : s) p /= cap;
    return s;
}

// Draws `count` of the n rows of a group in one of four ways.
std::vector<i64> draw(Input& in, i64 n, i64 count, int threads) {
    const u64 seed = in.seed();
    const auto which = static_cast<u32>(in.integer(0, 1000));
    const std::vector<i64> order = random_order(n, seed, which);
    check(distinct(order, n).size() == at(n), "an order has all rows");
    const i64 how = in.integer(0, 4);
    if (how == 0 || count == 0) {
        const std::vector<i64> rows = draw_subset(n, count, seed, which);
        check(std::is_sorted(rows.begin(), rows.end()), "a subset ascends");
        return rows;
    }
    const std::vector<double> pi =
        how <= 2 ? probabilities(in, n, count, threads)
                 : std::vector<double>(at(n), static_cast<double>(count) / static_cast<double>(n));
    const i64* const in_order = in.coin() ? order.data() : nullptr;
    return how % 2 == 0 ? draw_systematic(pi.data(), n, count, seed, in_order)
                        : draw_pivotal(pi.data(), n, count, seed, in_order);
}

// The squared norm of Σ_t weight[t] b[row[t]] - target.
struct Sums {
    const std::vector<double>& b;
    const std::vector<double>& target;
    std::vector<double> residual(const std::vector<i64>& rows,
                                 const std::vector<double>& weight) const {
        const auto k = static_cast<i64>(target.size());
        std::vector<double> r(at(k));
        for (i64 j = 0; j < k; ++j) {
            r[at(j)] = -target[at(j)];
            for (std::size_t t = 0; t < rows.size(); ++t)
                r[at(j)] += weight[t] * b[at(rows[t] * k + j)];
        }
        return r;
    }
    static double square(const std::vector<double>& r) {
        return std::inner_product(r.begin(), r.end(), r.begin(), 0.0);
    }
};

// Exchanges in cells, which are the groups, from a selection that keeps the counts.
void exchange(Input& in, const Constraints& c, const std::vector<std::vector<i64>>& held_in) {
    std::vector<i64> first{0}, first_slot{0}, rows, held;
    for (i64 g = 0; g < c.n_groups(); ++g) {
        const RowList own = rows_of_group(c, g);
        rows.insert(rows.end(), own.begin(), own.end());
        held.insert(held.end(), held_in[at(g)].begin(), held_in[at(g)].end());
        first.push_back(static_cast<i64>(rows.size()));
        first_slot.push_back(static_cast<i64>(held.size()));
    }
    const CellRows cells{c.n_groups(), first.data(), first_slot.data(), rows.data()};
    const i64 most = in.integer(1, in.coin() ? 3 : 1024);
    const Candidates some = draw_candidates(cells, held.data(), most, in.seed(), 7);
    const CellRows few{cells.cells, some.first.data(), first_slot.data(), some.rows.data()};
    for (i64 g = 0; g < cells.cells; ++g) {
        const i64 begin = some.first[at(g)], end = some.first[at(g + 1)];
        const i64 slots = first_slot[at(g + 1)] - first_slot[at(g)];
        check(end - begin <= std::min((most + 1) * slots, first[at(g + 1)] - first[at(g)]),
              "no more candidates than asked");
        for (i64 t = begin; t < end; ++t)
            check(c.group_of(some.rows[at(t)]) == g &&
                      (t == begin || some.rows[at(t - 1)] < some.rows[at(t)]),
                  "candidates ascend in their cell");
        for (i64 t = first_slot[at(g)]; t < first_slot[at(g + 1)]; ++t)
            check(begin <= some.slot[at(t)] && some.slot[at(t)] < end &&
                      some.rows[at(some.slot[at(t)])] == held[at(t)],
                  "a slot holds its row");
    }

    const i64 k = in.integer(1, 20), slots = static_cast<i64>(held.size());
    Numbers numbers(in, true);
    const std::vector<double> b = numbers.vector(c.n_rows * k), target = numbers.vector(k);
    std::vector<double> weight;
    for (i64 t = 0; t < slots; ++t)
        weight.push_back(0.25 + static_cast<double>(philox(1, kSubset, at(t)).w[0] % 8) / 8.0);
    const Sums sums{b, target};
    const MatrixView<double> view{b.data(), c.n_rows, k, k};
    std::vector<i64> slot = some.slot;
    std::vector<double> r = sums.residual(held, weight);
    double before = Sums::square(r);
    const double scale = 1.0 + before + 32.0 * static_cast<double>(k * (slots + 1));
    for (int sweep = 0; sweep < 50; ++sweep) {
        const i64 made = exchange_in_cells(view, few, weight.data(), slot.data(), r.data());
        std::vector<i64> now;
        for (i64 g = 0; g < few.cells; ++g)
            for (i64 t = first_slot[at(g)]; t < first_slot[at(g + 1)]; ++t) {
                check(few.first[g] <= slot[at(t)] && slot[at(t)] < few.first[g + 1],
                      "a slot stays in its cell");
                now.push_back(some.rows[at(slot[at(t)])]);
            }
        check(distinct(now, c.n_rows).size() == at(slots), "slots hold distinct rows");
        check_selection({c.n_rows, c.group, c.counts, {}}, now, true);
        const std::vector<double> again = sums.residual(now, weight);
        for (i64 j = 0; j < k; ++j)
            check(std::abs(again[at(j)] - r[at(j)]) <= 1e-10 * scale, "r is brought up to date");
        const double after = Sums::square(r);
        check(after <= before + 1e-10 * scale, "exchanges bring the sum nearer");
        before = after;
        if (made > 0 || slots * static_cast<i64>(some.rows.size()) * k > 20000) continue;
        for (i64 g = 0; g < few.cells; ++g)  // no exchange of one row is left that helps
            for (i64 t = first_slot[at(g)]; t < first_slot[at(g + 1)]; ++t)
                for (i64 p = few.first[g]; p < few.first[g + 1]; ++p) {
                    if (std::count(slot.begin(), slot.end(), p) > 0) continue;
                    std::vector<i64> other = now;
                    other[at(t)] = some.rows[at(p)];
                    check(Sums::square(sums.residual(other, weight)) >= after - 1e-9 * scale,
                          "a sweep without exchanges ends at a local minimum");
                }
        break;
    }
}

void run(Input& in) {
    const i64 n_rows = in.one_in(40) ? in.integer(4000, 9000) : in.integer(1, 60);
    const Constraints c = constraints(in, n_rows, n_rows);
    const FreeRows free = free_rows_of(c);
    const int threads = static_cast<int>(in.integer(1, 5));
    RowList chosen = c.include;
    std::vector<std::vector<i64>> held(at(c.n_groups()));
    for (const i64 i : c.include) held[at(c.group_of(i))].push_back(i);
    for (i64 g = 0; g < c.n_groups(); ++g) {
        const auto [size, count] = free.grouped.group(g);
        if (size == 0) continue;
        const RowList rows = free_rows_of_group(free, g);
        const std::vector<i64> drawn = draw(in, size, count, threads);
        check(static_cast<i64>(drawn.size()) == count, "exactly as many rows as asked are drawn");
        for (const i64 t : distinct(drawn, size)) {
            chosen.push_back(rows[at(t)]);
            held[at(g)].push_back(chosen.back());
        }
    }
    check_selection(c, chosen, true);
    if (n_rows <= 60) exchange(in, c, held);
    runs.valid();
}

}  // namespace
}  // namespace skmm::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    skmm::fuzz::runs.begin();
    if (size < 8) return 0;
    skmm::fuzz::Input in(data, size);
    skmm::fuzz::run(in);
    return 0;
}
