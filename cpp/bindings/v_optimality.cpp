#include "skmm/select/v_optimality.hpp"

#include <pybind11/native_enum.h>

#include <utility>

#include "arrays.hpp"
#include "constraints.hpp"
#include "row_matrix.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

template <class T, class Z>
void def_v_optimal(py::module_& m) {
    m.def(
        "v_optimal",
        [](Z z, Array<double> b, std::int64_t n, std::int64_t block, Sampler sampler,
           double temperature, double ridge, bool refine, double enough, std::uint64_t seed,
           Array<std::int32_t> group, std::vector<std::int64_t> quota,
           std::vector<std::int64_t> include, const std::vector<std::int64_t>& start, int n_threads,
           py::object progress) {
            threads(n_threads);
            const RowMatrix<T> passes =
                row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const MatrixView<T>& rows = passes.view;
            const auto by = contiguous_view(b, "b: expected contiguous (m, k)");
            require(by.rows == rows.cols, "b: expected as many rows as z has columns");
            require(block >= 1, "block: expected at least 1");
            const Constraints constraints =
                constraints_of(n, rows.rows, group, std::move(quota), std::move(include), start);
            const DesignOptions options{n,     block,  sampler, temperature,
                                        ridge, refine, enough,  seed};
            const Tick tick = make_tick(std::move(progress));
            Design design;
            {
                const py::gil_scoped_release release;
                design = v_optimal(Whitened<T>{passes, by}, options, constraints, start, n_threads,
                                   tick);
            }
            return std::make_tuple(to_array(design.rows), design.swaps);
        },
        "z"_a.noconvert(), "b"_a.noconvert(), "n"_a, "block"_a, "sampler"_a, "temperature"_a,
        "ridge"_a, "refine"_a, "enough"_a, "seed"_a, "group"_a.noconvert(), "quota"_a, "include"_a,
        "start"_a, "n_threads"_a, "progress"_a = py::none());
}

}  // namespace

void design(py::module_& m) {
    py::native_enum<Sampler>(m, "Sampler", "enum.Enum")
        .value("greedy", Sampler::kGreedy)
        .value("linear", Sampler::kLinear)
        .value("exp", Sampler::kExp)
        .finalize();
    for_floats([&](auto zero) { def_v_optimal<decltype(zero), Array<decltype(zero)>>(m); });
    def_v_optimal<double, py::object>(m);
}

}  // namespace skmm::bindings
