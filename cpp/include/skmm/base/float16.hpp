// The 16-bit float types. They are only read from memory; sums of them are float.
#pragma once

#include <cstdint>

namespace skmm {

// An IEEE binary16 number (NumPy's float16).
struct Half {
    std::uint16_t bits;
};

// A bfloat16 number: the upper 16 bits of an IEEE binary32.
struct BFloat16 {
    std::uint16_t bits;
};

// Sum<U> is the type in which elements of type U are summed.
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
