// Elements of rows as sums take them: where they lie, or widened into `room`.
#pragma once

#include <cstdint>
#include <type_traits>

#include "skmm/float16.hpp"
#include "skmm/kernels.hpp"
#include "skmm/views.hpp"

namespace skmm {

inline const float* widened(const float* x, int, float*) { return x; }
inline const double* widened(const double* x, int, double*) { return x; }
inline const float* widened(const Half* x, int n, float* room) {
    kernels().any.widen_half(x, n, room);
    return room;
}
inline const float* widened(const BFloat16* x, int n, float* room) {
    kernels().any.widen_bfloat16(x, n, room);
    return room;
}

// What to fetch early for row i of a pass over blocks of `count` columns, of which c is the first:
// its elements, past the last row those of the next block; x, which is in cache, where rows are
// widened.
template <class U>
const Sum<U>* ahead(MatrixView<U> a, std::int64_t i, std::int64_t c, std::int64_t count,
                    const Sum<U>* x) {
    if constexpr (std::is_same_v<U, Sum<U>>)
        x = i < a.rows ? a.row(i) + c : a.row(i % a.rows) + c + count;
    return x;
}

// The same as widened() for all rows of `a`, fewer than 2^31 columns; room (a.rows, a.cols).
template <class U>
MatrixView<Sum<U>> widened(MatrixView<U> a, Sum<U>* room) {
    MatrixView<Sum<U>> wide{room, a.rows, a.cols, a.cols};
    if constexpr (std::is_same_v<U, Sum<U>>)
        wide = a;
    else
        for (std::int64_t i = 0; i < a.rows; ++i)
            widened(a.row(i), static_cast<int>(a.cols), room + i * a.cols);
    return wide;
}

}  // namespace skmm
