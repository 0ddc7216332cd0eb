// Rows of halves, and the same rows as floats.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "skmm/base/half_view.hpp"
#include "skmm/base/types.hpp"

namespace check {

using skmm::i64;

// The float with the value of a finite half.
inline float value(skmm::Half h) {
    const int exponent = h.bits >> 10 & 31, digits = h.bits & 1023;
    const double x = std::ldexp((exponent > 0 ? 1024 : 0) + digits, std::max(exponent, 1) - 25);
    return static_cast<float>(h.bits >> 15 ? -x : x);
}

// The bits of an integer |e| < 2048 as a half.
inline skmm::Half half_of(int e) {
    if (e == 0) return {0};
    const int magnitude = std::abs(e), power = std::ilogb(magnitude);
    const int bits = (power + 15) << 10 | ((magnitude << 10 >> power) & 1023);
    return {static_cast<skmm::u16>(bits | (e < 0 ? 1 << 15 : 0))};
}

// n random rows of k halves of either sign, subnormal ones among them, and with exponents from -12
// to 12 behind the rows if `scaled`.
struct HalfMatrix {
    HalfMatrix(i64 n, i64 k, bool scaled) : n(n), k(k), scaled(scaled) {
        std::mt19937 engine(4);
        for (i64 i = 0; i < n; ++i) {
            const int e = scaled ? static_cast<int>(engine() % 25) - 12 : 0;
            for (i64 j = 0; j < k; ++j) {
                halves.push_back({static_cast<skmm::u16>(engine() & 0xbfff)});  // |x| < 2
                wide.push_back(std::ldexp(value(halves.back()), e));
            }
            if (scaled) halves.push_back(half_of(e));
        }
    }
    skmm::HalfView view() const { return {halves.data(), n, k, k + (scaled ? 1 : 0), scaled}; }
    skmm::MatrixView<float> wide_view() const { return {wide.data(), n, k, k}; }

    i64 n, k;
    bool scaled;
    std::vector<skmm::Half> halves;
    std::vector<float> wide;
};

}  // namespace check
