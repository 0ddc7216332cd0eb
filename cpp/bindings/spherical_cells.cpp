// Bindings of spherical k-means.
#include "skmm/select/spherical_cells.hpp"

#include <utility>
#include <vector>

#include "arrays.hpp"
#include "gil.hpp"
#include "half_rows.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

// Sets of rows of a matrix of n_rows, checked: each with centres of its own has rows. It owns its
// arrays.
struct CheckedSets {
    std::vector<std::int64_t> rows, first, first_centre;

    CheckedSets(const Array<std::int64_t>& rows_of, const Array<std::int64_t>& first_of,
                const Array<std::int64_t>& first_centre_of, std::int64_t n_rows) {
        const std::int64_t count = rows_of.size();
        first = indices(first_of, first_of.size(), "first: expected a vector");
        require(!first.empty(), "first: expected (sets + 1,)");
        rows = indices(rows_of, count, "rows: expected a contiguous vector");
        first_centre =
            indices(first_centre_of, first_of.size(), "first_centre: expected (sets + 1,)");
        require(all_below(rows, n_rows), "rows: expected 0..N-1");
        require(ascends(first, count), "first: expected to ascend from 0 to rows");
        require(first_centre.front() == 0 && first_centre.back() <= count, "first_centre: from 0");
        for (std::size_t g = 1; g < first.size(); ++g)
            require(first_centre[g - 1] < first_centre[g] && first[g - 1] < first[g],
                    "sets: expected rows and centres");
    }
    std::int64_t centres() const { return first_centre.back(); }
    RowSets view() const {
        return {static_cast<std::int64_t>(first.size()) - 1, rows.data(), first.data(),
                first_centre.data()};
    }
};

template <class Z>
void def_cells(py::module_& m) {
    m.def(
        "spherical_centres",
        [](const Z& z, Array<std::int64_t> rows, Array<std::int64_t> first,
           Array<std::int64_t> first_centre, Array<std::uint64_t> seeds, int sweeps, int n_threads,
           py::object progress) {
            const auto all = view_with_columns(z, "z: expected contiguous (N, k)");
            const CheckedSets checked(rows, first, first_centre, all.rows);
            const RowSets sets = checked.view();
            const std::uint64_t* const keys =
                vector_data(seeds, sets.sets, "seeds: expected (sets,)");
            require(0 <= sweeps, "sweeps: expected at least 0");
            threads(n_threads);
            py::array_t<double> out({checked.centres(), all.cols});
            const Tick tick = make_tick(std::move(progress));
            double* const centres = out.mutable_data();
            const ReleasedGil released;
            spherical_centres(all, sets, keys, sweeps, n_threads, tick, centres);
            return out;
        },
        "z"_a.noconvert(), "rows"_a.noconvert(), "first"_a.noconvert(),
        "first_centre"_a.noconvert(), "seeds"_a.noconvert(), "sweeps"_a, "n_threads"_a = 1,
        "progress"_a = py::none());
    m.def(
        "nearest_centre",
        [](const Z& z, Array<std::int64_t> rows, Array<std::int64_t> first,
           Array<std::int64_t> first_centre, Array<double> centres, int n_threads,
           py::object progress) {
            const auto all = view_with_columns(z, "z: expected contiguous (N, k)");
            const CheckedSets checked(rows, first, first_centre, all.rows);
            const RowSets sets = checked.view();
            const auto by = contiguous_view(centres, "centres: expected contiguous (centres, k)");
            require(by.cols == all.cols && by.rows == checked.centres(),
                    "centres: expected those of all sets, as wide as z");
            threads(n_threads);
            py::array_t<std::int64_t> which(rows.size());
            py::array_t<double> product(rows.size());
            const Tick tick = make_tick(std::move(progress));
            std::int64_t* const w = which.mutable_data();
            double* const p = product.mutable_data();
            {
                const ReleasedGil released;
                nearest_centre(all, sets, by, n_threads, tick, w, p);
            }
            return std::pair(which, product);
        },
        "z"_a.noconvert(), "rows"_a.noconvert(), "first"_a.noconvert(),
        "first_centre"_a.noconvert(), "centres"_a.noconvert(), "n_threads"_a = 1,
        "progress"_a = py::none());
}

}  // namespace

void spherical_cells(py::module_& m) {
    for_rows([&](auto* z) { def_cells<std::decay_t<decltype(*z)>>(m); });
}

}  // namespace skmm::bindings
