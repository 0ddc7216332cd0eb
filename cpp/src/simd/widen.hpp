// Kernels that convert 16-bit floats to float.
#pragma once

#include "skmm/base/float16.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

constexpr int kPrefetchAhead = 1024;  // distance of prefetches along a row, in bytes

// Returns the bits of the float with the value of the half whose bits are h. No subnormal float is
// an operand, since some programs set the processor to flush these to zero.
SKMM_INLINE u32 widened_half(u32 h) {
    const u32 magnitude = h & 0x7fff, sign = (h & 0x8000) << 16;
    // f is the value of a subnormal half.
    const float f = static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24f;
    u32 bits;
    __builtin_memcpy(&bits, &f, sizeof bits);
    const u32 subnormal = 0 - u32{magnitude < 0x400},
              infinite = u32{magnitude >= 0x7c00};  // also set for NaN
    const u32 normal = (magnitude << 13) + ((112 + 112 * infinite) << 23);
    return (bits & subnormal) | (normal & ~subnormal) | sign;
}

static void widen_half(const Half* x, int count, float scale, float* out) {
    for (int c = 0; c < count; c += 32)
        __builtin_prefetch(reinterpret_cast<const char*>(x + c) + kPrefetchAhead);
    for (int c = 0; c < count; ++c) {
        const u32 bits = widened_half(x[c].bits);
        float f;
        __builtin_memcpy(&f, &bits, sizeof bits);
        out[c] = scale * f;
    }
}

static void widen_bfloat16(const BFloat16* x, int count, float* out) {
    for (int c = 0; c < count; c += 32)
        __builtin_prefetch(reinterpret_cast<const char*>(x + c) + kPrefetchAhead);
    for (int c = 0; c < count; ++c) {
        const u32 bits = u32{x[c].bits} << 16;
        __builtin_memcpy(out + c, &bits, sizeof bits);
    }
}

}  // namespace skmm::SKMM_LEVEL
