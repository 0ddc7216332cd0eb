// 16-bit floats to float.
#pragma once

#include "skmm/float16.hpp"
#include "vectors.hpp"

namespace skmm {
namespace {

constexpr int kPrefetchAhead = 1024;  // bytes along a row

// Without a product of subnormals, which some programs flush to zero.
void widen_half(const Half* x, int count, float* out) {
    for (int c = 0; c < count; c += 32)
        __builtin_prefetch(reinterpret_cast<const char*>(x + c) + kPrefetchAhead);
    for (int c = 0; c < count; ++c) {
        const u32 h = x[c].bits, exponent = h >> 10 & 31;
        const float subnormal = static_cast<float>(static_cast<int>(h & 0x3ff)) * 0x1p-24f;
        u32 bits;
        __builtin_memcpy(&bits, &subnormal, sizeof bits);
        const u32 bias =
            exponent == 31 ? 224u << 23 : 112u << 23;  // Inf and NaN stay what they are
        bits = exponent == 0 ? bits : ((h & 0x7fff) << 13) + bias;
        bits |= (h & 0x8000) << 16;
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
