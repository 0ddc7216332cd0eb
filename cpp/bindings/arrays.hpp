// What the bindings accept, and how they see it. The border checks memory: exact dtype (by
// noconvert), dimensions, strides, sizes that must agree and indices that address memory.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "skmm/parallel.hpp"
#include "skmm/views.hpp"

namespace skmm::bindings {

namespace py = pybind11;
using namespace pybind11::literals;

template <class T>
using Array = py::array_t<T, 0>;

// The element types, listed once: calls f with a zero of each.
template <class F>
void for_floats(F&& f) {
    f(float{});
    f(double{});
}

inline void require(bool holds, const char* what) {
    if (!holds) throw py::value_error(what);
}

template <class T>
const T* vector_data(const Array<T>& a, std::int64_t size, const char* what) {
    require(a.ndim() == 1 && a.shape(0) == size &&
                (size <= 1 || a.strides(0) == static_cast<py::ssize_t>(sizeof(T))),
            what);
    return a.data();
}

// Rows of contiguous elements, at any distance.
template <class T>
MatrixView<T> view(const Array<T>& a, const char* what) {
    constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
    require(a.ndim() == 2 && (a.shape(1) <= 1 || a.strides(1) == size) && a.strides(0) % size == 0,
            what);
    return {a.data(), a.shape(0), a.shape(1), a.strides(0) / size};
}

template <class T>
MatrixView<T> contiguous_view(const Array<T>& a, const char* what) {
    const MatrixView<T> v = view(a, what);
    require(v.rows <= 1 || v.stride == v.cols, what);
    return {v.data, v.rows, v.cols, v.cols};
}

template <class T>
MutableMatrixView<T> mutable_view(Array<T>& a, std::int64_t rows, std::int64_t cols,
                                  const char* what) {
    const MatrixView<T> v = contiguous_view(a, what);
    require(v.rows == rows && v.cols == cols, what);
    return {a.mutable_data(), rows, cols, cols};
}

template <class T>
py::array_t<T> to_array(const std::vector<T>& v) {
    return py::array_t<T>(static_cast<py::ssize_t>(v.size()), v.data());
}

// A tick for the core: about ten times a second it takes the GIL, lets Python handle signals
// (Ctrl-C raises here) and tells `progress`, when there is one, how much is done.
inline Tick make_tick(py::object progress) {
    using Clock = std::chrono::steady_clock;
    return [progress, next = Clock::now()](std::int64_t done) mutable {
        if (Clock::now() < next) return;
        next = Clock::now() + std::chrono::milliseconds(100);
        const py::gil_scoped_acquire gil;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!progress.is_none()) progress(done);
    };
}

}  // namespace skmm::bindings
