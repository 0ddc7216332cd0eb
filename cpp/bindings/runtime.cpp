#include "arrays.hpp"
#include "skmm/kernels.hpp"

namespace skmm::bindings {

void runtime(py::module_& m) {
    m.attr("isa") = kernels().isa;
    m.def("run_serially", &run_serially);
    m.def("default_threads", &default_threads);
    m.def("team_size", &team_size, "n_threads"_a, py::call_guard<py::gil_scoped_release>());
}

}  // namespace skmm::bindings
