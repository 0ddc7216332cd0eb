// Bindings of spherical k-means.
#include "skmm/select/spherical_cells.hpp"

#include <algorithm>
#include <utility>

#include "arrays.hpp"
#include "gil.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

// The sets of rows of a matrix of n_rows, checked: each with centres of its own has rows.
RowSets row_sets(const Array<std::int64_t>& rows, const Array<std::int64_t>& first,
                 const Array<std::int64_t>& first_centre, std::int64_t n_rows) {
    const std::int64_t sets = first.size() - 1, count = rows.size();
    require(sets >= 0, "first: expected (sets + 1,)");
    const RowSets out{sets, vector_data(rows, count, "rows: expected a contiguous vector"),
                      vector_data(first, sets + 1, "first: expected a vector"),
                      vector_data(first_centre, sets + 1, "first_centre: expected (sets + 1,)")};
    require(std::all_of(out.rows, out.rows + count, [=](auto i) { return 0 <= i && i < n_rows; }),
            "rows: expected 0..N-1");
    require(out.first[0] == 0 && out.first[sets] == count &&
                std::is_sorted(out.first, out.first + sets + 1),
            "first: expected to ascend from 0 to rows");
    require(out.first_centre[0] == 0 && out.first_centre[sets] <= count, "first_centre: from 0");
    for (std::int64_t g = 0; g < sets; ++g)
        require(out.first_centre[g] < out.first_centre[g + 1] && out.first[g] < out.first[g + 1],
                "sets: expected rows and centres");
    return out;
}

template <class T>
void def_cells(py::module_& m) {
    m.def(
        "spherical_centres",
        [](Array<T> z, Array<std::int64_t> rows, Array<std::int64_t> first,
           Array<std::int64_t> first_centre, Array<std::uint64_t> seeds, int sweeps, int n_threads,
           py::object progress) {
            const auto all = contiguous_view(z, "z: expected contiguous (N, k)");
            const RowSets sets = row_sets(rows, first, first_centre, all.rows);
            const std::uint64_t* const keys =
                vector_data(seeds, sets.sets, "seeds: expected (sets,)");
            require(0 <= sweeps, "sweeps: expected at least 0");
            threads(n_threads);
            py::array_t<double> out({sets.first_centre[sets.sets], all.cols});
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
        [](Array<T> z, Array<std::int64_t> rows, Array<std::int64_t> first,
           Array<std::int64_t> first_centre, Array<double> centres, int n_threads,
           py::object progress) {
            const auto all = contiguous_view(z, "z: expected contiguous (N, k)");
            const RowSets sets = row_sets(rows, first, first_centre, all.rows);
            const auto by = contiguous_view(centres, "centres: expected contiguous (centres, k)");
            require(by.cols == all.cols && by.rows == sets.first_centre[sets.sets],
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
    for_floats([&](auto zero) { def_cells<decltype(zero)>(m); });
}

}  // namespace skmm::bindings
