#include <algorithm>
#include <cmath>
#include <functional>

#include "../support/check.hpp"
#include "../support/shared.hpp"
#include "skmm/select/mean_matching.hpp"

using namespace skmm;
using check::normals;

// ‖Σ_t w_t b_slot[t] - target‖² and its residual.
template <class T>
static double error(const std::vector<T>& b, i64 k, const std::vector<double>& w,
                    const std::vector<i64>& slot, const std::vector<double>& target,
                    std::vector<double>& r) {
    double sum = 0.0;
    for (i64 j = 0; j < k; ++j) {
        r[j] = -target[j];
        for (std::size_t t = 0; t < slot.size(); ++t) r[j] += w[t] * double(b[slot[t] * k + j]);
        sum += r[j] * r[j];
    }
    return sum;
}

template <class T>
static void check_sweep() {
    const i64 k = 19;
    const std::vector<i64> first{0, 7, 7, 12, 20}, first_slot{0, 3, 3, 4, 7};
    const std::vector<T> b = normals<T>(20 * k);
    const std::vector<double> target = normals<double>(k, 5), w{.5, .5, .5, 1, .2, .3, .4};
    std::vector<i64> slot{0, 2, 4, 9, 12, 13, 19}, best = slot;
    std::vector<double> r(k), scratch(k);
    error(b, k, w, slot, target, r);
    // The same sweep by trying every exchange.
    i64 exchanges = 0;
    for (std::size_t c = 0; c + 1 < first.size(); ++c) {
        for (i64 t = first_slot[c]; t < first_slot[c + 1]; ++t) {
            double least = error(b, k, w, best, target, scratch);
            const i64 own = best[t];
            i64 to = own;
            for (i64 i = first[c]; i < first[c + 1]; ++i) {
                bool free = true;
                for (const i64 held : best) free = free && held != i;
                if (!free && i != own) continue;
                std::vector<i64> tried = best;
                tried[t] = i;
                const double e = error(b, k, w, tried, target, scratch);
                if (e < least * (1 - 1e-9)) {
                    least = e;
                    to = i;
                }
            }
            exchanges += to != own;
            best[t] = to;
        }
    }
    // The rows of B in another order, which the cells know.
    std::vector<T> mixed(b.size());
    std::vector<i64> where(20);
    for (i64 i = 0; i < 20; ++i) {
        where[i] = i * 7 % 20;
        std::copy_n(b.begin() + i * k, k, mixed.begin() + where[i] * k);
    }
    const CellRows cells{4, first.data(), first_slot.data(), where.data()};
    const i64 made = exchange_in_cells(MatrixView<T>{mixed.data(), 20, k, k}, cells, w.data(),
                                       slot.data(), r.data());
    CHECK(exchanges > 2);
    CHECK(made == exchanges);
    CHECK(slot == best);
    error(b, k, w, slot, target, scratch);
    for (i64 j = 0; j < k; ++j) CHECK(std::abs(r[j] - scratch[j]) < 1e-9);
}

TEST(exchanges_are_the_best_of_all_tried) {
    check_sweep<float>();
    check_sweep<double>();
}

TEST(equal_candidates_are_not_exchanged) {
    const std::vector<double> b(5 * 3, 1.0), w{.5, .5};
    const std::vector<i64> first{0, 5}, first_slot{0, 2};
    std::vector<i64> slot{3, 1};
    std::vector<double> r{1, 2, 3};
    const std::vector<i64> rows{0, 1, 2, 3, 4};
    const CellRows cells{1, first.data(), first_slot.data(), rows.data()};
    CHECK(exchange_in_cells(MatrixView<double>{b.data(), 5, 3, 3}, cells, w.data(), slot.data(),
                            r.data()) == 0);
    CHECK(slot == (std::vector<i64>{3, 1}));
}

TEST(no_cells_are_no_work) {
    const std::vector<i64> first{0};
    std::vector<double> r{1};
    const CellRows cells{0, first.data(), first.data(), nullptr};
    const MatrixView<float> none{nullptr, 0, 1, 1};
    CHECK(exchange_in_cells(none, cells, nullptr, nullptr, r.data()) == 0);
}

TEST(candidates_are_a_whole_cell_or_a_draw_and_the_rows_held) {
    std::vector<i64> rows;
    for (i64 i = 0; i < 40; ++i) rows.push_back(3 * i);
    const std::vector<i64> first{0, 4, 10, 40}, first_slot{0, 2, 2, 4}, held{3, 9, 30, 117};
    const CellRows cells{3, first.data(), first_slot.data(), rows.data()};
    const Candidates drawn = draw_candidates(cells, held.data(), 3, 7, 0);
    CHECK(drawn.first[1] == 4 && drawn.first[2] == 4);  // the second cell has no slots
    CHECK(std::equal(rows.begin(), rows.begin() + 4, drawn.rows.begin()));
    const auto third = drawn.rows.begin() + 4;
    const i64 size = drawn.first[3] - 4;
    CHECK(6 <= size && size <= 8 && drawn.first[3] == static_cast<i64>(drawn.rows.size()));
    CHECK(std::adjacent_find(third, drawn.rows.end(), std::greater_equal<>()) == drawn.rows.end());
    for (auto i = third; i != drawn.rows.end(); ++i) CHECK(30 <= *i && *i < 120 && *i % 3 == 0);
    for (std::size_t t = 0; t < held.size(); ++t) CHECK(drawn.rows[drawn.slot[t]] == held[t]);
    CHECK(draw_candidates(cells, held.data(), 3, 8, 0).rows != drawn.rows);
    CHECK(draw_candidates(cells, held.data(), 15, 7, 0).rows.size() == 34);
}
