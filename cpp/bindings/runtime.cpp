// Bindings of the threads and the ISA level.
#include "arrays.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm::bindings {

void runtime(py::module_& m) {
    m.attr("isa") = kernels().isa;
    m.def("run_serially", &run_serially);
    m.def("default_threads", &default_threads);
    m.def("team_size", [](int n_threads) { return team_size(threads(n_threads)); }, "n_threads"_a);
}

}  // namespace skmm::bindings
