// HalfView: rows of 16-bit floats that may each have a scale of their own.
#pragma once

#include <cstdint>

#include "skmm/base/float16.hpp"
#include "skmm/base/views.hpp"

namespace skmm {

// A read-only row-major matrix (rows, cols) of floats, stored as halves. Row i starts at
// data + i * stride. If `scaled`, its entries are the halves times 2^e, where e is the half behind
// the last of them. Requires stride >= cols, and stride > cols if `scaled`.
struct HalfView {
    const Half* data;
    std::int64_t rows, cols, stride;
    bool scaled;

    const Half* row(std::int64_t i) const { return data + i * stride; }
};

// The exponents e of scaled rows. Others, and NaN, stand for the nearest of these and the least, so
// that any bits are a matrix.
constexpr int kLeastExponent = -126, kLargestExponent = 127;

// The view of the rows [first, first + rows) of a.
inline HalfView slice(HalfView a, std::int64_t first, std::int64_t rows) {
    return {a.row(first), rows, a.cols, a.stride, a.scaled};
}

// Element<View> is the type in which the rows of a view are computed with.
template <class View>
struct ElementOf;
template <class T>
struct ElementOf<MatrixView<T>> {
    using Type = T;
};
template <>
struct ElementOf<HalfView> {
    using Type = float;
};
template <class View>
using Element = typename ElementOf<View>::Type;

}  // namespace skmm
