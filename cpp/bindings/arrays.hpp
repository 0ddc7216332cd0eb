// The arrays that the bindings accept, and the views that they make of them. The bindings check
// everything on which memory safety depends: the exact dtype (by noconvert), dimensions, strides,
// sizes that must agree, and indices. They do not check the meaning of values.
//
// An array may be changed during a call, by another thread or because an output shares its memory.
// Other numbers give other results, but other indices would lead outside the arrays. So indices are
// copied, and it is the copy that is checked and used.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "skmm/base/float16.hpp"
#include "skmm/base/views.hpp"

// The NumPy dtypes of the 16-bit floats. NumPy has no bfloat16, so its bits come as uint16.
template <>
struct pybind11::detail::npy_format_descriptor<skmm::Half> {
    static constexpr auto name = const_name("numpy.float16");
    static pybind11::dtype dtype() { return pybind11::dtype("e"); }
};
template <>
struct pybind11::detail::npy_format_descriptor<skmm::BFloat16> {
    static constexpr auto name = const_name("numpy.uint16");
    static pybind11::dtype dtype() { return pybind11::dtype::of<std::uint16_t>(); }
};

namespace skmm::bindings {

namespace py = pybind11;
using namespace pybind11::literals;

template <class T>
using Array = py::array_t<T, 0>;

// Calls f with a zero of each element type. This is the only list of them.
template <class F>
void for_floats(F&& f) {
    f(float{});
    f(double{});
}

// Raises ValueError with the message `what` unless `holds`.
inline void require(bool holds, const char* what) {
    if (!holds) throw py::value_error(what);
}

// Returns n_threads, which must be in 1..1024.
inline int threads(int n_threads) {
    require(1 <= n_threads && n_threads <= 1024, "n_threads: expected 1..1024");
    return n_threads;
}

template <class T>
bool aligned(const Array<T>& a) {
    return reinterpret_cast<std::uintptr_t>(a.data()) % alignof(T) == 0;
}

// Returns the elements of a contiguous vector of `size` elements.
template <class T>
const T* vector_data(const Array<T>& a, std::int64_t size, const char* what) {
    require(a.ndim() == 1 && a.shape(0) == size && aligned(a) &&
                (size <= 1 || a.strides(0) == static_cast<py::ssize_t>(sizeof(T))),
            what);
    return a.data();
}

// Returns a copy of a contiguous vector of `size` indices.
template <class T>
std::vector<T> indices(const Array<T>& a, std::int64_t size, const char* what) {
    const T* const from = vector_data(a, size, what);
    return std::vector<T>(from, from + size);
}

// Whether all indices are in [0, end).
inline bool all_below(const std::vector<std::int64_t>& indices, std::int64_t end) {
    return std::all_of(indices.begin(), indices.end(),
                       [=](std::int64_t i) { return 0 <= i && i < end; });
}

// Whether `first` ascends from 0 to `total`.
inline bool ascends(const std::vector<std::int64_t>& first, std::int64_t total) {
    return first.front() == 0 && first.back() == total &&
           std::is_sorted(first.begin(), first.end());
}

// Returns a view of a matrix. The elements of a row must be contiguous; the distance between rows
// is free.
template <class T>
MatrixView<T> view(const Array<T>& a, const char* what) {
    constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
    require(a.ndim() == 2 && aligned(a) &&
                (a.size() == 0 ||
                 ((a.shape(1) <= 1 || a.strides(1) == size) && a.strides(0) % size == 0)),
            what);
    return {a.data(), a.shape(0), a.shape(1), a.strides(0) / size};
}

// Returns a view of a matrix whose rows must also follow each other without gaps.
template <class T>
MatrixView<T> contiguous_view(const Array<T>& a, const char* what) {
    const MatrixView<T> v = view(a, what);
    require(v.rows <= 1 || v.stride == v.cols, what);
    return {v.data, v.rows, v.cols, v.cols};
}

// Returns a view of such a matrix that has columns. Kernels divide by their number.
template <class T>
MatrixView<T> view_with_columns(const Array<T>& a, const char* what) {
    const MatrixView<T> v = contiguous_view(a, what);
    if (v.cols == 0) throw py::value_error(std::string(what) + " of at least one column");
    return v;
}

// Returns a writable view of a contiguous matrix of the shape (rows, cols).
template <class T>
MutableMatrixView<T> mutable_view(Array<T>& a, std::int64_t rows, std::int64_t cols,
                                  const char* what) {
    const MatrixView<T> v = contiguous_view(a, what);
    require(v.rows == rows && v.cols == cols, what);
    return {a.mutable_data(), rows, cols, cols};
}

// Returns a copy of v.
template <class T>
py::array_t<T> to_array(const std::vector<T>& v) {
    return py::array_t<T>(static_cast<py::ssize_t>(v.size()), v.data());
}

// Returns an array that shares the memory of v and keeps the Python object `owner` alive. `owner`
// must keep v alive.
template <class T>
py::array_t<T> array_of(const std::vector<T>& v, const py::object& owner) {
    return py::array_t<T>(static_cast<py::ssize_t>(v.size()), v.data(), owner);
}

}  // namespace skmm::bindings
