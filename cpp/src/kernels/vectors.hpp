// Vectors of the leaf: GCC vector extensions, the same operations on every level, and the few
// intrinsics that they lack.
//
// No standard library in the leaf: a template instantiated in an AVX-512 object would become a
// shared weak symbol and run everywhere. Everything but the table has internal linkage.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define SKMM_SHUFFLE(a, b, index, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SKMM_SHUFFLE(a, b, index, ...) __builtin_shuffle(a, b, index{__VA_ARGS__})
#endif
#define SKMM_INLINE [[gnu::always_inline]] static inline

namespace skmm {
namespace {

using i64 = std::int64_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// Of fixed size: lanes that the order of summation or the layout of memory depends on.
typedef float f32x4 __attribute__((vector_size(16)));
typedef int i32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));
typedef long long i64x2 __attribute__((vector_size(16)));
typedef float f32x8 __attribute__((vector_size(32)));
typedef float f32x16 __attribute__((vector_size(64)));
typedef u32 u32x16 __attribute__((vector_size(64)));
typedef double f64x8 __attribute__((vector_size(64)));
typedef u64 u64x8 __attribute__((vector_size(64)));

// The widest register of the level, for work whose lanes do not meet.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T, int Lanes = kVectorBytes / static_cast<int>(sizeof(T))>
struct Register {
    static constexpr int kSize = Lanes;
    typedef T V __attribute__((vector_size(Lanes * sizeof(T))));
};
template <class T, int Lanes = Register<T>::kSize>
using Vector = typename Register<T, Lanes>::V;

template <class V, class T>
SKMM_INLINE V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class V, class T>
SKMM_INLINE void store(T* p, V v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// x with its sign flipped where `sign`, 0 or 1 << 31, says so.
SKMM_INLINE float flip(float x, u32 sign) {
    u32 bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    bits ^= sign;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

SKMM_INLINE double flip(double x, u32 sign) {
    u64 bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    bits ^= u64{sign} << 32;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

}  // namespace
}  // namespace skmm
