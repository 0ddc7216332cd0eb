// The compiled module _core. Each topic has a file and a function that adds its bindings.
#include <pybind11/pybind11.h>

#include <exception>
#include <new>

namespace skmm::bindings {
void runtime(pybind11::module_&);
void random(pybind11::module_&);
void half_rows(pybind11::module_&);
void strips(pybind11::module_&);
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
    pybind11::register_local_exception_translator([](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::bad_alloc&) {
            PyErr_SetString(PyExc_MemoryError,
                            "the memory that this call needs is not to be had; fewer rows, fewer "
                            "threads or a narrower sketch need less");
        }
    });
    runtime(m);
    random(m);
    half_rows(m);
    strips(m);
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
