// 16-bit floats to float.
#pragma once

#include "skmm/float16.hpp"
#include "vectors.hpp"

namespace skmm {
namespace {

constexpr int kPrefetchAhead = 1024;  // bytes along a row

// The exponent moves by a product, which also makes subnormals normal.
void widen_half(const Half* x, int count, float* out) {
    for (int c = 0; c < count; c += 32)
        __builtin_prefetch(reinterpret_cast<const char*>(x + c) + kPrefetchAhead);
    for (int c = 0; c < count; ++c) {
        const u32 h = x[c].bits, magnitude = (h & 0x7fff) << 13;
        float f;
        __builtin_memcpy(&f, &magnitude, sizeof f);
        f *= 0x1p112f;
        u32 bits;
        __builtin_memcpy(&bits, &f, sizeof f);
        bits |= (h & 0x8000) << 16 | (magnitude >= 0x0f800000 ? 0x7f800000 : 0);  // Inf and NaN
        __builtin_memcpy(out + c, &bits, sizeof bits);
    }
}

void widen_bfloat16(const BFloat16* x, int count, float* out) {
    for (int c = 0; c < count; c += 32)
        __builtin_prefetch(reinterpret_cast<const char*>(x + c) + kPrefetchAhead);
    for (int c = 0; c < count; ++c) {
        const u32 bits = u32{x[c].bits} << 16;
        __builtin_memcpy(out + c, &bits, sizeof bits);
    }
}

}  // namespace
}  // namespace skmm
