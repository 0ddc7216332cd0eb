// Bindings of mean matching.
#include "skmm/select/mean_matching.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "arrays.hpp"

namespace skmm::bindings {
namespace {

// Raises ValueError unless `first` ascends from 0 to `total`.
void require_offsets(const std::int64_t* first, std::int64_t cells, std::int64_t total,
                     const char* what) {
    require(first[0] == 0 && first[cells] == total && std::is_sorted(first, first + cells + 1),
            what);
}

template <class T>
void def_exchange(py::module_& m) {
    m.def(
        "exchange_in_cells",
        [](Array<T> b, Array<std::int64_t> first, Array<std::int64_t> first_slot,
           Array<double> weight, Array<std::int64_t> slot, Array<double> residual) {
            const auto rows = contiguous_view(b, "b: expected contiguous (candidates, k)");
            const std::int64_t cells = first.size() - 1, slots = slot.size();
            require(cells >= 0, "first: expected (cells + 1,)");
            const std::int64_t *const f = vector_data(first, cells + 1, "first: expected a vector"),
                                      *const fs = vector_data(first_slot, cells + 1,
                                                              "first_slot: expected (cells + 1,)");
            require_offsets(f, cells, rows.rows, "first: expected to ascend from 0 to candidates");
            require_offsets(fs, cells, slots, "first_slot: expected to ascend from 0 to slots");
            const double* const w = vector_data(weight, slots, "weight: expected (slots,)");
            vector_data(slot, slots, "slot: expected a contiguous vector");
            vector_data(residual, rows.cols, "residual: expected (k,)");
            std::vector<std::int64_t> held(slot.data(), slot.data() + slots);
            std::vector<double> r(residual.data(), residual.data() + rows.cols);
            for (std::int64_t c = 0; c < cells; ++c) {
                const auto from = held.begin() + fs[c], to = held.begin() + fs[c + 1];
                require(std::all_of(from, to, [=](auto i) { return f[c] <= i && i < f[c + 1]; }),
                        "slot: expected candidates of the cell");
            }
            std::int64_t exchanges;
            {
                const py::gil_scoped_release release;
                exchanges = exchange_in_cells(rows, {cells, f, fs, w, held.data()}, r.data());
            }
            return std::tuple(to_array(held), to_array(r), exchanges);
        },
        "b"_a.noconvert(), "first"_a.noconvert(), "first_slot"_a.noconvert(),
        "weight"_a.noconvert(), "slot"_a.noconvert(), "residual"_a.noconvert());
}

}  // namespace

void mean_matching(py::module_& m) {
    for_floats([&](auto zero) { def_exchange<decltype(zero)>(m); });
}

}  // namespace skmm::bindings
