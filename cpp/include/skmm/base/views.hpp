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

// Rows that are not stored: row i holds the columns [first, first + cols) of left_i ⊗ right_i,
// whose column c * right.cols + j is left[i][c] * right[i][j], rounded once.
template <class T>
struct OuterView {
    MatrixView<T> left, right;
    std::int64_t rows = left.rows, cols = left.cols * right.cols, first = 0;
};

// Rows [row, row + rows) of the columns [col, col + cols).
template <class T>
MatrixView<T> part(MatrixView<T> a, std::int64_t row, std::int64_t rows, std::int64_t col,
                   std::int64_t cols) {
    return {a.row(row) + col, rows, cols, a.stride};
}
template <class T>
OuterView<T> part(OuterView<T> a, std::int64_t row, std::int64_t rows, std::int64_t col,
                  std::int64_t cols) {
    return {slice(a.left, row, rows), slice(a.right, row, rows), rows, cols, a.first + col};
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
