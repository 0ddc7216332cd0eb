// Non-owning views of rows, and what is done to whole views. Nothing here allocates or checks.
#pragma once

#include <algorithm>
#include <cstdint>

namespace skmm {

// Row-major (rows, cols), row i at data + i * stride, stride >= cols, read only.
template <class T>
struct MatrixView {
    const T* data;
    std::int64_t rows, cols, stride;

    const T* row(std::int64_t i) const { return data + i * stride; }
};

// The same, writable.
template <class T>
struct MutableMatrixView {
    T* data;
    std::int64_t rows, cols, stride;

    T* row(std::int64_t i) const { return data + i * stride; }
    operator MatrixView<T>() const { return {data, rows, cols, stride}; }
};

// Rows [first, first + rows).
template <template <class> class View, class T>
View<T> slice(View<T> a, std::int64_t first, std::int64_t rows) {
    return {a.row(first), rows, a.cols, a.stride};
}

template <class T>
void clear(MutableMatrixView<T> a) {
    for (std::int64_t i = 0; i < a.rows; ++i) std::fill_n(a.row(i), a.cols, T(0));
}

// CSR rows: entries indptr[i] <= e < indptr[i + 1] of row i, column indices[e] in [0, cols),
// strictly increasing within a row.
template <class T, class I>
struct CsrView {
    const T* values;
    const I* indices;
    const I* indptr;
    std::int64_t rows, cols;
};

}  // namespace skmm
