// 16-bit floats are widened exactly.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::computed;

// All numbers of 16 bits, widened `count` at a time by widen(level, x, count, out).
template <class U, class Widen>
static std::vector<float> widened(int count, const Widen& widen) {
    std::vector<U> x;
    for (int bits = 0; bits < 1 << 16; ++bits) x.push_back({static_cast<u16>(bits)});
    return computed([&](const Kernels& level) {
        std::vector<float> out(x.size());
        const int n = static_cast<int>(x.size());
        for (int c = 0; c < n; c += count)
            widen(level.any, x.data() + c, std::min(count, n - c), out.data() + c);
        return out;
    });
}

TEST(halves_are_widened_exactly) {
    for (const auto& [count, power] :
         {std::pair(1, 0), {7, -126}, {33, 3}, {1 << 16, 111}, {1 << 16, 0}}) {
        const float scale = std::ldexp(1.0F, power);
        const std::vector<float> out =
            widened<Half>(count, [&](const TypeFreeKernels& level, const Half* x, int n, float* y) {
                level.widen_half(x, n, scale, y);
            });
        for (int bits = 0; bits < 1 << 16; ++bits) {
            const int exponent = bits >> 10 & 31, digits = bits & 1023;
            const float x = out[bits];
            CHECK(std::signbit(x) == (bits >> 15 == 1));
            if (exponent == 31) {
                CHECK(digits == 0 ? std::isinf(x) : std::isnan(x));
            } else {
                const int leading = exponent > 0 ? 1024 : 0;
                CHECK(std::abs(x) == static_cast<float>(std::ldexp(
                                         leading + digits, std::max(exponent, 1) - 25 + power)));
            }
        }
    }
}

TEST(bfloat16s_are_widened_exactly) {
    for (const int count : {1, 7, 33, 1 << 16}) {
        const std::vector<float> out =
            widened<BFloat16>(count, [](const TypeFreeKernels& level, const BFloat16* x, int n,
                                        float* y) { level.widen_bfloat16(x, n, y); });
        for (u32 bits = 0; bits < 1 << 16; ++bits) {
            u32 wide;
            std::memcpy(&wide, &out[bits], sizeof wide);
            CHECK(wide == bits << 16);
        }
    }
}
