// 16-bit floats as they come from memory. They are only read, and sums of them are float.
#pragma once

#include <cstdint>

namespace skmm {

// IEEE binary16.
struct Half {
    std::uint16_t bits;
};

// The upper half of an IEEE binary32.
struct BFloat16 {
    std::uint16_t bits;
};

// The type in which elements of type U are summed.
template <class U>
struct SumOf;
template <>
struct SumOf<float> {
    using Type = float;
};
template <>
struct SumOf<double> {
    using Type = double;
};
template <>
struct SumOf<Half> {
    using Type = float;
};
template <>
struct SumOf<BFloat16> {
    using Type = float;
};
template <class U>
using Sum = typename SumOf<U>::Type;

}  // namespace skmm
