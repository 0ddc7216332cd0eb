// Access to dense rows in their summation type. Stored float and double rows are used in place.
// 16-bit rows are widened, and rows of an OuterView multiplied out, into scratch memory just before
// use.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "skmm/base/float16.hpp"
#include "skmm/base/half_view.hpp"
#include "skmm/base/views.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

// The factor of the entries of row i.
inline float scale_of_row(HalfView a, std::int64_t i) {
    if (!a.scaled) return 1.0F;
    float e;
    kernels().any.widen_half(a.row(i) + a.cols, 1, 1.0F, &e);
    const int exponent = e > kLeastExponent ? static_cast<int>(std::min<float>(e, kLargestExponent))
                                            : kLeastExponent;  // for NaN too
    return std::ldexp(1.0F, exponent);
}

// Returns the columns [c, c + count) of row i. They are in place, or in the scratch memory room
// (count).
template <class T>
const T* piece(MatrixView<T> a, std::int64_t i, std::int64_t c, int, T*) {
    return a.row(i) + c;
}
inline const float* piece(MatrixView<Half> a, std::int64_t i, std::int64_t c, int count,
                          float* room) {
    kernels().any.widen_half(a.row(i) + c, count, 1.0F, room);
    return room;
}
inline const float* piece(HalfView a, std::int64_t i, std::int64_t c, int count, float* room) {
    kernels().any.widen_half(a.row(i) + c, count, scale_of_row(a, i), room);
    return room;
}
inline const float* piece(MatrixView<BFloat16> a, std::int64_t i, std::int64_t c, int count,
                          float* room) {
    kernels().any.widen_bfloat16(a.row(i) + c, count, room);
    return room;
}
template <class T>
const T* piece(OuterView<T> a, std::int64_t i, std::int64_t c, int count, T* room) {
    kernels().of<T>().outer(a.left.row(i), a.right.row(i), a.right.cols, a.first + c, count, room);
    return room;
}

// The scratch memory, in elements, that `rows` rows need at a time: none where they are in place.
template <class T>
std::int64_t room_for(MatrixView<T>, std::int64_t) {
    return 0;
}
inline std::int64_t room_for(HalfView a, std::int64_t rows) { return rows * a.cols; }

// Copies row i to out (a.cols), in its summation type. a must have fewer than 2^31 columns.
template <class T>
void copy_row(MatrixView<T> a, std::int64_t i, T* out) {
    std::copy_n(a.row(i), a.cols, out);
}
inline void copy_row(HalfView a, std::int64_t i, float* out) {
    piece(a, i, 0, static_cast<int>(a.cols), out);
}

// Returns the address to prefetch for row i, in a pass that takes all rows through the columns
// [c, c + count) and then goes on to the next columns. For i >= a.rows that is row i % a.rows in
// the next columns. If piece() writes to scratch memory there is nothing to prefetch; the result is
// then x, which is in cache already.
template <class T>
const T* ahead(MatrixView<T> a, std::int64_t i, std::int64_t c, std::int64_t count, const T*) {
    return i < a.rows ? a.row(i) + c : a.row(i % a.rows) + c + count;
}
template <class Rows, class T>
const T* ahead(const Rows&, std::int64_t, std::int64_t, std::int64_t, const T* x) {
    return x;
}

// Returns all rows of a, in place or in the scratch memory room (a.rows, a.cols). a must have fewer
// than 2^31 columns.
template <class T>
MatrixView<T> pieces(MatrixView<T> a, T*) {
    return a;
}
template <class Rows, class T>
MatrixView<T> pieces(const Rows& a, T* room) {
    for (std::int64_t i = 0; i < a.rows; ++i)
        piece(a, i, 0, static_cast<int>(a.cols), room + i * a.cols);
    return {room, a.rows, a.cols, a.cols};
}

}  // namespace skmm
