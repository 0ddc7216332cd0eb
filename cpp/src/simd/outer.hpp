// The kernel that computes entries of an outer product of two rows.
#pragma once

#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

template <class T>
static void outer(const T* left, const T* right, i64 d, i64 c, int count, T* __restrict out) {
    left += c / d;
    for (i64 j = c % d; count > 0; j = 0, ++left) {
        const int n = static_cast<int>(d - j < count ? d - j : count);
        const T factor = *left;
        for (int k = 0; k < n; ++k) out[k] = factor * right[j + k];
        out += n;
        count -= n;
    }
}

}  // namespace skmm::SKMM_LEVEL
