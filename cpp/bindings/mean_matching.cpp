// Bindings of mean matching.
#include "skmm/select/mean_matching.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "arrays.hpp"
#include "gil.hpp"

namespace skmm::bindings {
namespace {

// The cells of some rows and their slots, checked. It owns its arrays.
struct CheckedCells {
    std::vector<std::int64_t> first, first_slot, rows;

    CheckedCells(const Array<std::int64_t>& first_of, const Array<std::int64_t>& first_slot_of,
                 const Array<std::int64_t>& rows_of, std::int64_t slots) {
        first = indices(first_of, first_of.size(), "first: expected a vector");
        require(!first.empty(), "first: expected (cells + 1,)");
        first_slot = indices(first_slot_of, first_of.size(), "first_slot: expected (cells + 1,)");
        rows = indices(rows_of, rows_of.size(), "rows: expected a contiguous vector");
        require(ascends(first, rows_of.size()), "first: expected to ascend from 0 to rows");
        require(ascends(first_slot, slots), "first_slot: expected to ascend from 0 to slots");
    }
    CellRows view() const {
        return {static_cast<std::int64_t>(first.size()) - 1, first.data(), first_slot.data(),
                rows.data()};
    }
};

void def_draw(py::module_& m) {
    m.def(
        "draw_candidates",
        [](Array<std::int64_t> first, Array<std::int64_t> first_slot, Array<std::int64_t> rows,
           Array<std::int64_t> held, std::int64_t most, std::uint64_t seed, std::uint32_t which) {
            const CheckedCells checked(first, first_slot, rows, held.size());
            const CellRows cells = checked.view();
            const auto holds = indices(held, held.size(), "held: expected a contiguous vector");
            const std::int64_t* const h = holds.data();
            require(1 <= most && most <= 1024, "most: expected 1..1024");
            for (std::int64_t c = 0; c < cells.cells; ++c) {
                const auto from = cells.rows + cells.first[c], to = cells.rows + cells.first[c + 1];
                require(std::is_sorted(from, to), "rows: expected ascending rows in a cell");
                require(std::all_of(h + cells.first_slot[c], h + cells.first_slot[c + 1],
                                    [=](auto row) { return std::binary_search(from, to, row); }),
                        "held: expected rows of the cell");
            }
            Candidates drawn;
            {
                const ReleasedGil released;
                drawn = draw_candidates(cells, h, most, seed, which);
            }
            return std::tuple(to_array(drawn.first), to_array(drawn.rows), to_array(drawn.slot));
        },
        "first"_a.noconvert(), "first_slot"_a.noconvert(), "rows"_a.noconvert(),
        "held"_a.noconvert(), "most"_a, "seed"_a, "which"_a);
}

template <class T>
void def_exchange(py::module_& m) {
    m.def(
        "exchange_in_cells",
        [](Array<T> b, Array<std::int64_t> first, Array<std::int64_t> first_slot,
           Array<std::int64_t> rows, Array<double> weight, Array<std::int64_t> slot,
           Array<double> residual) {
            const auto all = view_with_columns(b, "b: expected contiguous (rows, k)");
            const std::int64_t slots = slot.size();
            const CheckedCells checked(first, first_slot, rows, slots);
            const CellRows cells = checked.view();
            require(all_below(checked.rows, all.rows), "rows: expected rows of b");
            const double* const w = vector_data(weight, slots, "weight: expected (slots,)");
            auto held = indices(slot, slots, "slot: expected a contiguous vector");
            const double* const from = vector_data(residual, all.cols, "residual: expected (k,)");
            std::vector<double> r(from, from + all.cols);
            for (std::int64_t c = 0; c < cells.cells; ++c) {
                const std::int64_t begin = cells.first[c], end = cells.first[c + 1];
                require(std::all_of(held.begin() + cells.first_slot[c],
                                    held.begin() + cells.first_slot[c + 1],
                                    [=](auto i) { return begin <= i && i < end; }),
                        "slot: expected places of the cell");
            }
            std::int64_t exchanges;
            {
                const ReleasedGil released;
                exchanges = exchange_in_cells(all, cells, w, held.data(), r.data());
            }
            return std::tuple(to_array(held), to_array(r), exchanges);
        },
        "b"_a.noconvert(), "first"_a.noconvert(), "first_slot"_a.noconvert(), "rows"_a.noconvert(),
        "weight"_a.noconvert(), "slot"_a.noconvert(), "residual"_a.noconvert());
}

}  // namespace

void mean_matching(py::module_& m) {
    def_draw(m);
    for_floats([&](auto zero) { def_exchange<decltype(zero)>(m); });
}

}  // namespace skmm::bindings
