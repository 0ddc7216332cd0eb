// Philox4x32-10 (Salmon et al., SC'11): the only source of random bits in this project.
//
// A random word is a pure function of (seed, stream, i, j). The seed is the key. The counter is
// (i, j, stream), with 64 bits for i, 32 bits for j and 32 bits for the stream. Each use of random
// numbers has its own stream.
//
// The functions have internal linkage, so that each ISA level of simd/kernels.cpp has its own copy.
#pragma once

#include <cstdint>

namespace skmm {

// The streams, and what i and j mean in each. For the three kinds of sketch, the stream word also
// holds the width m of Γ, in the bits above the lowest 8.
enum Stream : std::uint32_t {
    kSparseSign = 1,     // i = row of Γ, j = group of 4 or 8 of its entries
    kGaussian = 2,       // i = row of Γ, j = group of 4 of its columns
    kSubset = 3,         // i = row of the data, j = number of the subset
    kDraw = 4,           // i = position in the order of the rows
    kVOptimal = 5,       // i = number of rows chosen so far
    kRandomTargets = 6,  // i = sample id, j = index of the number within the sample
    kGroupedSign = 7,    // i = chunk of rows of Γ, j = purpose and step in the chunk
    kPicks = 8,          // i = number of rows chosen so far
    kCells = 9,          // i = number of centres drawn so far
};

// Philox for one counter, or for one counter in each lane if V is a vector of 64-bit words. The low
// 32-bit halves of w hold the four counter words on entry and the four random words on return.
// mul(a, b) must return the 64-bit product of the low halves of a and b.
template <class V, class Mul>
[[gnu::always_inline]] static inline void philox(V (&w)[4], std::uint64_t key, Mul mul) {
    std::uint64_t k0 = key & 0xffffffff, k1 = key >> 32;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
        const V p0 = mul(w[0], 0xD2511F53), p1 = mul(w[2], 0xCD9E8D57);
        w[0] = (p1 >> 32) ^ w[1] ^ k0;
        w[1] = p1;
        w[2] = (p0 >> 32) ^ w[3] ^ k1;
        w[3] = p0;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
}

// The four random words of the counter (i, j, stream).
struct Words {
    std::uint32_t w[4];
};
[[maybe_unused]] static inline Words philox(std::uint64_t key, Stream stream, std::uint64_t i,
                                            std::uint32_t j = 0) {
    std::uint64_t w[4] = {i, i >> 32, j, stream};
    philox(w, key, [](std::uint64_t a, std::uint64_t b) { return (a & 0xffffffff) * b; });
    return {{static_cast<std::uint32_t>(w[0]), static_cast<std::uint32_t>(w[1]),
             static_cast<std::uint32_t>(w[2]), static_cast<std::uint32_t>(w[3])}};
}

// A uniform number in (0, 1): one of the midpoints of 2^52 equal intervals.
[[maybe_unused]] static inline double uniform(std::uint64_t key, Stream stream, std::uint64_t i,
                                              std::uint32_t j = 0) {
    const Words x = philox(key, stream, i, j);
    const std::uint64_t bits = (std::uint64_t{x.w[0]} << 32 | x.w[1]) >> 12;
    return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

}  // namespace skmm
