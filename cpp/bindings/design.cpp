#include "skmm/design.hpp"

#include <pybind11/native_enum.h>

#include <utility>

#include "arrays.hpp"
#include "passes.hpp"
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
            const Passes<T> passes = passes_of(z, n_threads, "z: expected contiguous (N, m)");
            const MatrixView<T>& rows = passes.view;
            const auto by = contiguous_view(b, "b: expected contiguous (m, k)");
            require(by.rows == rows.cols, "b: expected as many rows as z has columns");
            const auto groups = static_cast<std::int64_t>(quota.size());
            const std::int32_t* g = vector_data(group, rows.rows, "group: expected (N,)");
            std::vector<std::int64_t> size(quota.size());
            for (std::int64_t i = 0; i < rows.rows; ++i) {
                require(g[i] < groups, "group: expected less than the number of quotas");
                if (g[i] >= 0) ++size[static_cast<std::size_t>(g[i])];
            }
            std::int64_t available = 0;
            for (std::size_t k = 0; k < size.size(); ++k) available += std::min(size[k], quota[k]);
            require(1 <= n && n <= available && block >= 1,
                    "n: expected 1..rows that quotas allow");
            std::vector<bool> included(static_cast<std::size_t>(rows.rows));
            std::vector<std::int64_t> left = quota;
            for (const auto* chosen : {&std::as_const(include), &start}) {
                for (const std::int64_t i : *chosen) {
                    require(0 <= i && i < rows.rows && g[i] >= 0 &&
                                !included[static_cast<std::size_t>(i)] &&
                                left[static_cast<std::size_t>(g[i])] > 0,
                            "include, start: expected distinct rows within their quotas");
                    included[static_cast<std::size_t>(i)] = true;
                    --left[static_cast<std::size_t>(g[i])];
                }
            }
            const DesignOptions options{n,     block,  sampler, temperature,
                                        ridge, refine, enough,  seed};
            const DesignConstraints constraints{g, std::move(quota), std::move(include)};
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
