// Non-owning views of matrices, and functions on whole views. Nothing here allocates memory or
// checks arguments.
#pragma once

#include <algorithm>
#include <cstdint>

namespace skmm {

// A read-only row-major matrix (rows, cols). Row i starts at data + i * stride.
// Requires stride >= cols.
template <class T>
struct MatrixView {
    const T* data;
    std::int64_t rows, cols, stride;

    const T* row(std::int64_t i) const { return data + i * stride; }
};

// A writable MatrixView.
template <class T>
struct MutableMatrixView {
    T* data;
    std::int64_t rows, cols, stride;

    T* row(std::int64_t i) const { return data + i * stride; }
    operator MatrixView<T>() const { return {data, rows, cols, stride}; }
};

// The view of the rows [first, first + rows) of a.
template <template <class> class View, class T>
View<T> slice(View<T> a, std::int64_t first, std::int64_t rows) {
    return {a.row(first), rows, a.cols, a.stride};
}

// Sets all entries of a to zero.
template <class T>
void clear(MutableMatrixView<T> a) {
    for (std::int64_t i = 0; i < a.rows; ++i) std::fill_n(a.row(i), a.cols, T(0));
}

// A matrix whose rows are outer products and are not stored. Row i holds the columns
// [first, first + cols) of left_i ⊗ right_i. Column c * right.cols + j of that product is
// left[i][c] * right[i][j], rounded once.
template <class T>
struct OuterView {
    MatrixView<T> left, right;
    std::int64_t rows = left.rows, cols = left.cols * right.cols, first = 0;
};

// The view of the rows [row, row + rows) and columns [col, col + cols) of a.
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

// A CSR matrix (rows, cols). Row i has the entries e with indptr[i] <= e < indptr[i + 1]; entry e
// has the value values[e] in column indices[e]. Requires 0 <= indptr[0] <= ... <= indptr[rows], and
// columns in [0, cols) that strictly increase within a row.
template <class T, class I>
struct CsrView {
    const T* values;
    const I* indices;
    const I* indptr;
    std::int64_t rows, cols;
};

}  // namespace skmm
