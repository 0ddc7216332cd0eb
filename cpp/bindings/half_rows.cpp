// Binding of rows of 16-bit floats.
#include "half_rows.hpp"

#include <limits>
#include <utility>

#include "gil.hpp"
#include "skmm/linalg/products.hpp"

namespace skmm::bindings {
namespace {

HalfRows half_rows_of(Array<Half> z, bool scaled) {
    const auto rows = contiguous_view(z, "z: expected contiguous (N, k)");
    const std::int64_t cols = rows.cols - (scaled ? 1 : 0);
    require(0 < cols && cols <= std::numeric_limits<int>::max(),
            "z: expected contiguous (N, k) of at least one column");
    return {std::move(z), {rows.data, rows.rows, cols, rows.stride, scaled}};
}

}  // namespace

void half_rows(py::module_& m) {
    py::class_<HalfRows>(m, "HalfRows")
        .def(py::init(&half_rows_of), "z"_a.noconvert(), "scaled"_a)
        .def(
            "widen",
            [](const HalfRows& z, Array<float> out, int n_threads) {
                const auto to =
                    mutable_view(out, z.view.rows, z.view.cols, "out: expected contiguous (N, k)");
                threads(n_threads);
                const ReleasedGil released;
                take(z.view, nullptr, z.view.rows, n_threads, to.data);
            },
            "out"_a.noconvert(), "n_threads"_a);
}

}  // namespace skmm::bindings
