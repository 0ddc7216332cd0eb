// The compiled module _core. Each topic has a file and a function that adds its bindings.
#include <pybind11/pybind11.h>

namespace skmm::bindings {
void runtime(pybind11::module_&);
void random(pybind11::module_&);
void linalg(pybind11::module_&);
void sketch(pybind11::module_&);
void constraints(pybind11::module_&);
void moment_matching(pybind11::module_&);
void mean_matching(pybind11::module_&);
void sampling(pybind11::module_&);
void v_optimality(pybind11::module_&);
void sequential(pybind11::module_&);
void spherical_cells(pybind11::module_&);
}  // namespace skmm::bindings

PYBIND11_MODULE(_core, m) {
    using namespace skmm::bindings;
    runtime(m);
    random(m);
    linalg(m);
    sketch(m);
    constraints(m);
    moment_matching(m);
    mean_matching(m);
    sampling(m);
    v_optimality(m);
    sequential(m);
    spherical_cells(m);
}
