// Philox4x32-10 (Salmon et al., SC'11): the only source of random bits in this project.
//
// A random word is a pure function of (seed, stream, i, j): key = seed, counter = (i, j, stream)
// with 64 bits for i, 32 for j and 32 for the stream. Streams keep the uses apart.
// Functions have internal linkage, so that each ISA level of the leaf file gets its own copy.
#pragma once

#include <cstdint>

namespace skmm {

enum Stream : std::uint32_t {
    kSparseSign = 1,     // i = row of Γ, j = group of 4 targets; the width m above the stream
    kGaussian = 2,       // i = row of Γ, j = group of 4 columns; likewise
    kSubset = 3,         // i = row of the data, j = which subset
    kDraw = 4,           // i = place in the walk along the rows
    kVOptimal = 5,       // i = pick
    kRandomTargets = 6,  // i = sample id, j = which of its numbers
    kGroupedSign = 7,    // i = chunk of rows of Γ, j = step and use; the width m above the stream
    kPicks = 8,          // i = pick
};

// One counter, or one in each lane of a vector V of 64-bit words; mul(a, b) multiplies the low
// 32-bit halves. The low halves of w hold the counter on entry and the random words on return.
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

// Words of counter (i, j, stream).
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

// Uniform on the 2^52 midpoints of (0, 1).
[[maybe_unused]] static inline double uniform(std::uint64_t key, Stream stream, std::uint64_t i,
                                              std::uint32_t j = 0) {
    const Words x = philox(key, stream, i, j);
    const std::uint64_t bits = (std::uint64_t{x.w[0]} << 32 | x.w[1]) >> 12;
    return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

}  // namespace skmm
