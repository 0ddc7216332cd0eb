// The vector types of the kernels, and basic operations on them. They use GCC vector extensions,
// with the same operations on every ISA level, and a few intrinsics for what the extensions lack.
//
// Reductions always use eight lanes. Element-wise code uses the native vector width. So every
// instruction set performs the same operations; fused() alone rounds otherwise on old processors.
//
// The kernels must not use the standard library: a template of it instantiated in an AVX-512 object
// would become a shared weak symbol and could run on processors without AVX-512. For the same
// reason the types of each level have a namespace of their own and the functions are static. The
// table of kernels is the only symbol that an object exports.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "skmm/base/types.hpp"

#if defined(__clang__)
#define SKMM_SHUFFLE(a, b, index, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SKMM_SHUFFLE(a, b, index, ...) __builtin_shuffle(a, b, index{__VA_ARGS__})
#endif
#define SKMM_INLINE [[gnu::always_inline]] static inline
#define SKMM_INLINE_MEMBER [[gnu::always_inline]] inline

namespace skmm::SKMM_LEVEL {

// The width of the level's widest register, for element-wise code, and shuffles of two such
// registers a and b, in every 16 bytes. EVEN and ODD take the even or odd 32-bit lanes of a, then
// those of b. LOWER and UPPER take the lower or upper half and interleave the lanes of a and b; the
// lanes have 32 or 64 bits.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#define SKMM_EVEN 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define SKMM_ODD 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31
#define SKMM_LOWER32 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define SKMM_UPPER32 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define SKMM_LOWER64 0, 8, 2, 10, 4, 12, 6, 14
#define SKMM_UPPER64 1, 9, 3, 11, 5, 13, 7, 15
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#define SKMM_EVEN 0, 2, 8, 10, 4, 6, 12, 14
#define SKMM_ODD 1, 3, 9, 11, 5, 7, 13, 15
#define SKMM_LOWER32 0, 8, 1, 9, 4, 12, 5, 13
#define SKMM_UPPER32 2, 10, 3, 11, 6, 14, 7, 15
#define SKMM_LOWER64 0, 4, 2, 6
#define SKMM_UPPER64 1, 5, 3, 7
#else
constexpr int kVectorBytes = 16;
#define SKMM_EVEN 0, 2, 4, 6
#define SKMM_ODD 1, 3, 5, 7
#define SKMM_LOWER32 0, 4, 1, 5
#define SKMM_UPPER32 2, 6, 3, 7
#define SKMM_LOWER64 0, 2
#define SKMM_UPPER64 1, 3
#endif

// Vector<T> is the level's widest vector of T. Vector<T, Lanes> has the given number of lanes.
template <class T, int Lanes = kVectorBytes / static_cast<int>(sizeof(T))>
struct Register {
    static constexpr int kSize = Lanes;
    typedef T V __attribute__((vector_size(Lanes * sizeof(T))));
};
template <class T, int Lanes = Register<T>::kSize>
using Vector = typename Register<T, Lanes>::V;

// Whether fused() rounds once. Only the baseline of x86 has no such instruction.
#if defined(__FMA__) || (defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA))
constexpr bool kFuses = true;
#else
constexpr bool kFuses = false;
#endif

// Returns a b + c, rounded once if kFuses; else the product is rounded too.
SKMM_INLINE Vector<double> fused(Vector<double> a, Vector<double> b, Vector<double> c) {
#if defined(__AVX512F__)
    return (Vector<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    return (Vector<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
    return (Vector<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}
SKMM_INLINE Vector<float> fused(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
    return (Vector<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (Vector<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
    return (Vector<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// Eight doubles, for reductions, in as many registers as the level needs. A vector type of 64 bytes
// would have the same operations, but compilers keep one in memory where registers are smaller.
constexpr int kDoubles = Register<double>::kSize;
struct f64x8 {
    static constexpr int kParts = 8 / kDoubles;
    Vector<double> part[kParts];
    SKMM_INLINE_MEMBER double operator[](int lane) const {
        return part[lane / kDoubles][lane % kDoubles];
    }
};
SKMM_INLINE f64x8 operator*(const f64x8& a, const f64x8& b) {
    f64x8 product;
    for (int i = 0; i < f64x8::kParts; ++i) product.part[i] = a.part[i] * b.part[i];
    return product;
}
SKMM_INLINE f64x8 fused(const f64x8& a, const f64x8& b, const f64x8& c) {
    f64x8 sum;
    for (int i = 0; i < f64x8::kParts; ++i) sum.part[i] = fused(a.part[i], b.part[i], c.part[i]);
    return sum;
}

using Words32 = Vector<u32>;
using Words64 = Vector<u64>;

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

// Returns p[0], ..., p[kDoubles - 1] in double.
SKMM_INLINE Vector<double> doubles(const double* p) { return load<Vector<double>>(p); }
SKMM_INLINE Vector<double> doubles(const float* p) {
#if defined(__AVX512F__)
    return (Vector<double>)_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(p));
#elif defined(__AVX__)
    return (Vector<double>)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    return __builtin_convertvector((load<Vector<float, kDoubles>>(p)), Vector<double>);
#endif
}

// Returns the elements of the level's widest vector of To, from p on. T is To or float.
template <class To, class T>
SKMM_INLINE Vector<To> load_as(const T* p) {
    if constexpr (sizeof(To) == sizeof(T))
        return load<Vector<To>>(p);
    else
        return doubles(p);
}

// Returns a register of `Fold` pieces of equal length. Each has 16 bytes from each of the rows
// rows[0], rows[step], rows[2 step], ...; the first begins at element `at` of the rows, and the
// others follow.
template <int Fold, class T>
SKMM_INLINE Vector<T> join(const T* const* rows, int step, i64 at) {
    constexpr int kRows = kVectorBytes / 16 / Fold;
    const auto piece = [&](int i) {
        return reinterpret_cast<const float*>(rows[i % kRows * step] + at) + 4 * (i / kRows);
    };
#if defined(__AVX512F__)
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(piece(0)));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(piece(1)), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(piece(2)), 2);
    return (Vector<T>)_mm512_insertf32x4(v, _mm_loadu_ps(piece(3)), 3);
#elif defined(__AVX__)
    const __m256 v = _mm256_castps128_ps256(_mm_loadu_ps(piece(0)));
    return (Vector<T>)_mm256_insertf128_ps(v, _mm_loadu_ps(piece(1)), 1);
#else
    return load<Vector<T>>(piece(0));
#endif
}

// Loads the words p[0], ..., p[2 kSize - 1] of 64 bits. even(a, b) and odd(a, b) are the low and
// the high halves of these words in their order.
struct TwoWords64 {
    Words64 a, b;
};
SKMM_INLINE TwoWords64 load_two(const u64* p) {
    const u64* parts[kVectorBytes / 16];
    for (int i = 0; i < kVectorBytes / 16; ++i) parts[i] = p + 4 * i;
    return {join<1>(parts, 1, 0), join<1>(parts, 1, 2)};
}
// As floats, because GCC has one instruction for a shuffle of floats and takes three for integers.
SKMM_INLINE Words32 even(Words64 a, Words64 b) {
    return (Words32)SKMM_SHUFFLE((Vector<float>)a, (Vector<float>)b, Words32, SKMM_EVEN);
}
SKMM_INLINE Words32 odd(Words64 a, Words64 b) {
    return (Words32)SKMM_SHUFFLE((Vector<float>)a, (Vector<float>)b, Words32, SKMM_ODD);
}

// Bits<T> is the unsigned integer type of the size of T.
template <class T>
struct BitsOf {
    using Type = u32;
};
template <>
struct BitsOf<double> {
    using Type = u64;
};
template <class T>
using Bits = typename BitsOf<T>::Type;

// Returns x if sign is 0, and -x if it is 1 << 31.
template <class T>
SKMM_INLINE T flip(T x, u32 sign) {
    Bits<T> bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    bits ^= Bits<T>{sign} << (8 * sizeof x - 32);
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

// Returns the sign bits of a V, lanes of T. They are set if sign is 1 << 31 and not if it is 0.
template <class T, class V>
SKMM_INLINE auto sign_bits(const u32& sign) {
    using Words = Vector<Bits<T>, sizeof(V) / sizeof(T)>;
    using Signs = Vector<u32, sizeof(V) / 4>;
#if defined(__AVX__)  // GCC would take two instructions for it.
    if constexpr (sizeof(V) == 16)
        return (Words)_mm_broadcast_ss(reinterpret_cast<const float*>(&sign))
               << (8 * sizeof(T) - 32);
#endif
    return (Words)(Signs{} + sign) << (8 * sizeof(T) - 32);
}

}  // namespace skmm::SKMM_LEVEL
