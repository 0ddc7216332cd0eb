// Elementwise operations on vectors of N numbers. They use n_threads threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/dense.hpp"

namespace skmm {

// x += a d.
inline void add_scaled(double a, const Vector& d, int n_threads, Vector& x) {
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
            x[i] += a * d[i];
    });
}

// max |x_i|.
inline double largest(int n_threads, const Vector& x) {
    Vector part(static_cast<std::size_t>(ceil_div(static_cast<i64>(x.size()), kSumBlock)));
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        double most = 0.0;
        for (i64 i = first; i < last; ++i)
            most = std::max(most, std::abs(x[static_cast<std::size_t>(i)]));
        part[static_cast<std::size_t>(first / kSumBlock)] = most;
    });
    return part.empty() ? 0.0 : *std::max_element(part.begin(), part.end());
}

// x = 0.
inline void clear(int n_threads, Vector& x) {
    for_blocks(static_cast<i64>(x.size()), n_threads,
               [&](i64 first, i64 last) { std::fill(x.begin() + first, x.begin() + last, 0.0); });
}

// y = x.
inline void copy(const Vector& x, int n_threads, Vector& y) {
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        std::copy(x.begin() + first, x.begin() + last, y.begin() + first);
    });
}

// x += a (y - x).
inline void move_towards(double a, const Vector& y, int n_threads, Vector& x) {
    for_blocks(static_cast<i64>(x.size()), n_threads, [&](i64 first, i64 last) {
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
            x[i] += a * (y[i] - x[i]);
    });
}

}  // namespace skmm
