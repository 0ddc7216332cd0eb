// The compiled module: one call per topic.
#include <pybind11/pybind11.h>

namespace skmm::bindings {
void runtime(pybind11::module_&);
void random(pybind11::module_&);
void sketch(pybind11::module_&);
void products(pybind11::module_&);
void moments(pybind11::module_&);
void draw(pybind11::module_&);
void design(pybind11::module_&);
void picks(pybind11::module_&);
}  // namespace skmm::bindings

PYBIND11_MODULE(_core, m) {
    using namespace skmm::bindings;
    runtime(m);
    random(m);
    sketch(m);
    products(m);
    moments(m);
    draw(m);
    design(m);
    picks(m);
}
