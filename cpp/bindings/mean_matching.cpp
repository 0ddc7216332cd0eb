// Bindings of mean matching.
#include "skmm/select/mean_matching.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "arrays.hpp"
#include "gil.hpp"

namespace skmm::bindings {
namespace {

// Raises ValueError unless `first` ascends from 0 to `total`.
void require_offsets(const std::int64_t* first, std::int64_t cells, std::int64_t total,
                     const char* what) {
    require(first[0] == 0 && first[cells] == total && std::is_sorted(first, first + cells + 1),
            what);
}

// The cells of `rows` and their slots, checked.
CellRows cell_rows(const Array<std::int64_t>& first, const Array<std::int64_t>& first_slot,
                   const Array<std::int64_t>& rows, std::int64_t slots) {
    const std::int64_t cells = first.size() - 1;
    require(cells >= 0, "first: expected (cells + 1,)");
    const CellRows out{cells, vector_data(first, cells + 1, "first: expected a vector"),
                       vector_data(first_slot, cells + 1, "first_slot: expected (cells + 1,)"),
                       vector_data(rows, rows.size(), "rows: expected a contiguous vector")};
    require_offsets(out.first, cells, rows.size(), "first: expected to ascend from 0 to rows");
    require_offsets(out.first_slot, cells, slots, "first_slot: expected to ascend from 0 to slots");
    return out;
}

void def_draw(py::module_& m) {
    m.def(
        "draw_candidates",
        [](Array<std::int64_t> first, Array<std::int64_t> first_slot, Array<std::int64_t> rows,
           Array<std::int64_t> held, std::int64_t most, std::uint64_t seed, std::uint32_t which) {
            const CellRows cells = cell_rows(first, first_slot, rows, held.size());
            const std::int64_t* const h =
                vector_data(held, held.size(), "held: expected a contiguous vector");
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
            const auto all = contiguous_view(b, "b: expected contiguous (rows, k)");
            const std::int64_t slots = slot.size();
            const CellRows cells = cell_rows(first, first_slot, rows, slots);
            require(std::all_of(cells.rows, cells.rows + rows.size(),
                                [&](auto i) { return 0 <= i && i < all.rows; }),
                    "rows: expected rows of b");
            const double* const w = vector_data(weight, slots, "weight: expected (slots,)");
            vector_data(slot, slots, "slot: expected a contiguous vector");
            vector_data(residual, all.cols, "residual: expected (k,)");
            std::vector<std::int64_t> held(slot.data(), slot.data() + slots);
            std::vector<double> r(residual.data(), residual.data() + all.cols);
            for (std::int64_t c = 0; c < cells.cells; ++c) {
                const auto from = held.begin() + cells.first_slot[c],
                           to = held.begin() + cells.first_slot[c + 1];
                const std::int64_t begin = cells.first[c], end = cells.first[c + 1];
                require(std::all_of(from, to, [=](auto i) { return begin <= i && i < end; }),
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
