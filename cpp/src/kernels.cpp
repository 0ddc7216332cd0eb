// The SIMD leaf: compiled once per ISA level, with SKMM_LEVEL set to the level's name.
//
// No standard library here: a template instantiated in an AVX-512 object would become a shared weak
// symbol and run everywhere. Everything but the table has internal linkage.
// Same bits on every level: element-wise operations on fixed lanes, no contraction, and every sum
// in an order that the source spells out.
#include "skmm/kernels.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "skmm/philox.hpp"

#define SKMM_CONCAT_(a, b) a##b
#define SKMM_CONCAT(a, b) SKMM_CONCAT_(a, b)
#define SKMM_STRING_(a) #a
#define SKMM_STRING(a) SKMM_STRING_(a)
#if defined(__clang__)
#define SKMM_SHUFFLE(a, b, index, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SKMM_SHUFFLE(a, b, index, ...) __builtin_shuffle(a, b, index{__VA_ARGS__})
#endif
#define SKMM_INLINE [[gnu::always_inline]] static inline

namespace skmm {
namespace {

using i64 = std::int64_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

typedef float f32x4 __attribute__((vector_size(16)));
typedef int i32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));
typedef long long i64x2 __attribute__((vector_size(16)));
typedef float f32x8 __attribute__((vector_size(32)));
typedef float f32x16 __attribute__((vector_size(64)));
typedef u32 u32x8 __attribute__((vector_size(32)));
typedef u32 u32x16 __attribute__((vector_size(64)));
typedef double f64x8 __attribute__((vector_size(64)));
typedef u64 u64x8 __attribute__((vector_size(64)));

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

// One vector of a tile's column, and its sign flips.
template <class T>
struct Tile;
template <>
struct Tile<float> {
    using V = f32x16;
    using Bits = u32x16;
    static constexpr int kSignShift = 0;
};
template <>
struct Tile<double> {
    using V = f64x8;
    using Bits = u64x8;
    static constexpr int kSignShift = 32;
};

template <class T>
SKMM_INLINE typename Tile<T>::V flip(typename Tile<T>::V x, u32 sign) {
    using Bits = typename Tile<T>::Bits;
    const Bits mask = Bits{} + (static_cast<decltype(Bits{}[0] + 0)>(sign) << Tile<T>::kSignShift);
    return (typename Tile<T>::V)((Bits)x ^ mask);
}

// ---- random rows ----------------------------------------------------------------------------

constexpr int kLanes = 16;

// Product of the low 32 bits of every lane with b.
SKMM_INLINE u64x8 mul_low(u64x8 a, u64 b) {
#if defined(__AVX512F__)
    return (u64x8)_mm512_maskz_mul_epu32(0xff, (__m512i)a,
                                         _mm512_set1_epi64(static_cast<long long>(b)));
#elif defined(__AVX2__)
    __m256i half[2];
    __builtin_memcpy(half, &a, sizeof a);
    for (__m256i& h : half) h = _mm256_mul_epu32(h, _mm256_set1_epi64x(static_cast<long long>(b)));
    return load<u64x8>(half);
#elif defined(__SSE2__)
    __m128i quarter[4];
    __builtin_memcpy(quarter, &a, sizeof a);
    for (__m128i& q : quarter) q = _mm_mul_epu32(q, _mm_set1_epi64x(static_cast<long long>(b)));
    return load<u64x8>(quarter);
#else
    return (a & 0xffffffff) * b;
#endif
}

// Random words of kLanes counters (i[l], j[l], embedding), where the last word keeps embeddings of
// different kinds and widths m < 2^24 apart: a sketch of a sketch with one seed stays random.
SKMM_INLINE void philox_lanes(u64 key, Stream kind, i64 m, const u64* i, const u64* j,
                              u32 (&words)[4][kLanes]) {
    const u64 embedding = static_cast<u64>(m) << 8 | kind;
    for (int l = 0; l < kLanes; l += 8) {
        u64x8 w[4] = {load<u64x8>(i + l), load<u64x8>(i + l) >> 32, load<u64x8>(j + l),
                      u64x8{} + embedding};
        philox(w, key, mul_low);
        for (int t = 0; t < 4; ++t) store(words[t] + l, __builtin_convertvector(w[t], u32x8));
    }
}

void sparse_sign(u64 key, const u64* j, int count, i64 m, int zeta, u32 stride, Targets out) {
    for (int c = 0; c < count; c += kLanes) {
        u64 lanes[kLanes];  // the last group repeats its last row
        for (int l = 0; l < kLanes; ++l) lanes[l] = j[c + l < count ? c + l : count - 1];
        for (int b = 0; b < zeta; b += 4) {
            u64 group[kLanes];
            for (u64& g : group) g = static_cast<u64>(b / 4);
            u32 w[4][kLanes];
            philox_lanes(key, kSparseSign, m, lanes, group, w);
            for (int t = b; t < zeta && t < b + 4; ++t) {
                const u64 first = static_cast<u64>(t * m / zeta);
                const u64 width = static_cast<u64>((t + 1) * m / zeta) - first;
                for (int l = 0; l < kLanes; l += 8) {
                    const u32x8 word = load<u32x8>(w[t - b] + l);
                    const u64x8 place =
                        mul_low(__builtin_convertvector(word & ~1u, u64x8), width) >> 32;
                    const i64 at = i64{t} * kTargetBlock + c + l;
                    store(out.target + at,
                          __builtin_convertvector((first + place) * stride, u32x8));
                    store(out.sign + at, word << 31);
                }
            }
        }
    }
}

// Box-Muller on two words: sqrt(-2 ln u) (cos, sin)(2π v), u = (a / 2 + 1/4) / 2^31 (a / 2 rounded
// down), v = b / 2^32.
SKMM_INLINE void box_muller(u32 a, u32 b, float* x, float* y) {
    // u = z 2^e, z in [sqrt(1/2), sqrt(2)); ln(1 + f), f = z - 1, from the odd series in f/(2 + f).
    const float u = (static_cast<float>(static_cast<int>(a >> 1)) + 0.25f) * 0x1p-31f;
    u32 bits;
    __builtin_memcpy(&bits, &u, 4);
    const int e = static_cast<int>(bits - 0x3f3504f3u) >> 23;
    const u32 zbits = bits - (static_cast<u32>(e) << 23);
    float z;
    __builtin_memcpy(&z, &zbits, 4);
    const float f = z - 1.0f;
    const float t = f / (2.0f + f);
    const float t2 = t * t;
    const float series =
        2.0f + t2 * (0.666666687f + t2 * (0.399999917f + t2 * (0.285714298f + t2 * 0.222222224f)));
    const float log_u = static_cast<float>(e) * 0.693147182f + t * series;
    const float neg = -2.0f * log_u;
    const float r = __builtin_sqrtf(neg > 0.0f ? neg : 0.0f);
    // Angle = (quadrant + t) π/2, t in [-1/2, 1/2): sin and cos by their Taylor polynomials.
    const u32 turned = b + 0x20000000u;
    const u32 quadrant = turned >> 30;
    const float h = static_cast<float>(static_cast<int>(turned & 0x3fffffffu) - 0x20000000);
    const float q = h * (1.57079633f * 0x1p-30f);
    const float q2 = q * q;
    const float s =
        q + q * q2 *
                (-0.166666667f + q2 * (8.33333333e-3f + q2 * (-1.98412698e-4f + q2 * 2.75573e-6f)));
    const float c =
        1.0f + q2 * (-0.5f + q2 * (4.16666667e-2f + q2 * (-1.38888889e-3f + q2 * 2.48015873e-5f)));
    const float c1 = quadrant & 1 ? s : c;
    const float s1 = quadrant & 1 ? c : s;
    *x = r * ((quadrant == 1 || quadrant == 2) ? -c1 : c1);
    *y = r * (quadrant & 2 ? -s1 : s1);
}

// Columns 16 c + l, c < 4, of a strip come from counter (j, 16 strip + l): the two Box-Muller
// pairs.
void gaussian(u64 key, const u64* j, int count, i64 m, int strip, float* out) {
    const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(m));
    for (int c = 0; c < count; ++c) {
        u64 row_of_gamma[kLanes], group[kLanes];
        for (int l = 0; l < kLanes; ++l) {
            row_of_gamma[l] = j[c];
            group[l] = static_cast<u64>(strip * kLanes + l);
        }
        u32 w[4][kLanes];
        philox_lanes(key, kGaussian, m, row_of_gamma, group, w);
        float* row = out + c * kStrip;
        for (int l = 0; l < kLanes; ++l) box_muller(w[0][l], w[1][l], row + l, row + kLanes + l);
        for (int l = 0; l < kLanes; ++l)
            box_muller(w[2][l], w[3][l], row + 2 * kLanes + l, row + 3 * kLanes + l);
        for (int k = 0; k < kStrip; ++k) row[k] *= scale;
    }
}

// ---- sparse-sign sketch ---------------------------------------------------------------------

// x[c][i] = rows[i][c] for a square tile, through 4 x 4 (float) or 2 x 2 (double) blocks.
SKMM_INLINE void transpose(const float* const* rows, i64 c0, float* x) {
    constexpr int L = kTileRows<float>;
    for (int i = 0; i < L; i += 4) {
        for (int c = 0; c < L; c += 4) {
            const f32x4 r0 = load<f32x4>(rows[i] + c0 + c), r1 = load<f32x4>(rows[i + 1] + c0 + c);
            const f32x4 r2 = load<f32x4>(rows[i + 2] + c0 + c),
                        r3 = load<f32x4>(rows[i + 3] + c0 + c);
            const f32x4 a = SKMM_SHUFFLE(r0, r1, i32x4, 0, 4, 1, 5);
            const f32x4 b = SKMM_SHUFFLE(r0, r1, i32x4, 2, 6, 3, 7);
            const f32x4 d = SKMM_SHUFFLE(r2, r3, i32x4, 0, 4, 1, 5);
            const f32x4 e = SKMM_SHUFFLE(r2, r3, i32x4, 2, 6, 3, 7);
            store(x + (c + 0) * L + i, SKMM_SHUFFLE(a, d, i32x4, 0, 1, 4, 5));
            store(x + (c + 1) * L + i, SKMM_SHUFFLE(a, d, i32x4, 2, 3, 6, 7));
            store(x + (c + 2) * L + i, SKMM_SHUFFLE(b, e, i32x4, 0, 1, 4, 5));
            store(x + (c + 3) * L + i, SKMM_SHUFFLE(b, e, i32x4, 2, 3, 6, 7));
        }
    }
}

SKMM_INLINE void transpose(const double* const* rows, i64 c0, double* x) {
    constexpr int L = kTileRows<double>;
    for (int i = 0; i < L; i += 2) {
        for (int c = 0; c < L; c += 2) {
            const f64x2 r0 = load<f64x2>(rows[i] + c0 + c), r1 = load<f64x2>(rows[i + 1] + c0 + c);
            store(x + (c + 0) * L + i, SKMM_SHUFFLE(r0, r1, i64x2, 0, 2));
            store(x + (c + 1) * L + i, SKMM_SHUFFLE(r0, r1, i64x2, 1, 3));
        }
    }
}

// Adds tile columns x[0, count) to their targets; zeta is a constant where Z > 0.
template <int Z, class T>
SKMM_INLINE void scatter_columns(const T* x, int c0, int count, int zeta, Targets at, T* acc) {
    using V = typename Tile<T>::V;
    for (int c = 0; c < count; ++c) {
        const V column = load<V>(x + c * kTileRows<T>);
        const u32* target = at.target + c0 + c;
        const u32* sign = at.sign + c0 + c;
        for (int b = 0; b < (Z > 0 ? Z : zeta); ++b) {
            T* a = acc + target[b * kTargetBlock];
            store(a, load<V>(a) + flip<T>(column, sign[b * kTargetBlock]));
        }
    }
}

template <int Z, class T>
void scatter_tile_z(const T* const* rows, int count, int zeta, Targets at, T* acc) {
    constexpr int L = kTileRows<T>;
    constexpr int kPrefetchBytes = 1024;
    alignas(64) T x[L * L];
    int c = 0;
    for (; c + L <= count; c += L) {
        for (int i = 0; i < L; ++i)
            __builtin_prefetch(reinterpret_cast<const char*>(rows[i] + c) + kPrefetchBytes);
        transpose(rows, c, x);
        scatter_columns<Z>(x, c, L, zeta, at, acc);
    }
    for (int t = c; t < count; ++t)
        for (int i = 0; i < L; ++i) x[(t - c) * L + i] = rows[i][t];
    scatter_columns<Z>(x, c, count - c, zeta, at, acc);
}

template <class T>
void scatter_tile(const T* const* rows, int count, int zeta, Targets at, T* acc) {
    switch (zeta) {
        case 1: return scatter_tile_z<1>(rows, count, zeta, at, acc);
        case 2: return scatter_tile_z<2>(rows, count, zeta, at, acc);
        case 4: return scatter_tile_z<4>(rows, count, zeta, at, acc);
        case 8: return scatter_tile_z<8>(rows, count, zeta, at, acc);
        default: return scatter_tile_z<0>(rows, count, zeta, at, acc);
    }
}

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

template <class T>
void scatter_row(const T* values, int count, int zeta, Targets at, T* acc) {
    for (int c = 0; c < count; ++c) {
        const T x = values[c];
        for (int b = 0; b < zeta; ++b)
            acc[at.target[b * kTargetBlock + c]] += flip(x, at.sign[b * kTargetBlock + c]);
    }
}

// ---- Gaussian sketch ------------------------------------------------------------------------

// The widest registers of the level, and the block of rows x vectors whose sums fill them.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kGemmRows = 6, kGemmVectors = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kGemmRows = 4, kGemmVectors = 2;
#else
constexpr int kVectorBytes = 16, kGemmRows = 4, kGemmVectors = 2;
#endif

template <int N>
struct Int {
    static constexpr int value = N;
};

template <class T>
struct Register {
    static constexpr int kSize = kVectorBytes / static_cast<int>(sizeof(T));
    typedef T V __attribute__((vector_size(kSize * sizeof(T))));
    typedef float F __attribute__((vector_size(kSize * sizeof(float))));
};

template <int R, class T>
SKMM_INLINE void gemm_rows(const T* a, i64 a_stride, int depth, const float* strip, T* out,
                           i64 out_stride, int width) {
    using V = typename Register<T>::V;
    constexpr int L = Register<T>::kSize;
    for (int k0 = 0; k0 < width; k0 += L * kGemmVectors) {
        V acc[R][kGemmVectors] = {};
        for (int c = 0; c < depth; ++c) {
            V gamma[kGemmVectors];
            for (int v = 0; v < kGemmVectors; ++v)
                gamma[v] = __builtin_convertvector(
                    load<typename Register<T>::F>(strip + c * kStrip + k0 + L * v), V);
            for (int i = 0; i < R; ++i)
                for (int v = 0; v < kGemmVectors; ++v) acc[i][v] += a[i * a_stride + c] * gamma[v];
        }
        for (int i = 0; i < R; ++i) {
            for (int v = 0; v < kGemmVectors; ++v) {
                const int k = k0 + L * v;
                T* o = out + i * out_stride + k;
                if (k + L <= width)
                    store(o, load<V>(o) + acc[i][v]);
                else
                    for (int t = 0; k + t < width; ++t) o[t] += acc[i][v][t];
            }
        }
    }
}

template <class T>
void gemm_strip(const T* a, i64 a_stride, i64 rows, int depth, const float* strip, T* out,
                i64 out_stride, int width) {
    const auto multiply = [&](auto block, i64 i) {
        gemm_rows<decltype(block)::value>(a + i * a_stride, a_stride, depth, strip,
                                          out + i * out_stride, out_stride, width);
    };
    i64 i = 0;
    for (; i + kGemmRows <= rows; i += kGemmRows) multiply(Int<kGemmRows>{}, i);
    for (; i + 2 <= rows; i += 2) multiply(Int<2>{}, i);
    for (; i < rows; ++i) multiply(Int<1>{}, i);
}

template <class T>
void axpy(T x, const float* row, i64 m, T* out) {
    for (i64 k = 0; k < m; ++k) out[k] += x * static_cast<T>(row[k]);
}

// ---- sums over rows, in double --------------------------------------------------------------

SKMM_INLINE f64x8 eight(const float* p) { return __builtin_convertvector(load<f32x8>(p), f64x8); }
SKMM_INLINE f64x8 eight(const double* p) { return load<f64x8>(p); }

// The first n < 8 entries, zeros after them.
template <class T>
SKMM_INLINE f64x8 eight(const T* p, i64 n) {
    f64x8 v{};
    for (i64 l = 0; l < n; ++l) v[l] = static_cast<double>(p[l]);
    return v;
}

SKMM_INLINE double sum(f64x8 v) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Σ_j x_j y_j, x of any type.
template <class T>
SKMM_INLINE double dot(const T* x, const double* y, i64 k) {
    f64x8 acc{};
    i64 j = 0;
    for (; j + 8 <= k; j += 8) acc += eight(x + j) * eight(y + j);
    if (j < k) acc += eight(x + j, k - j) * eight(y + j, k - j);
    return sum(acc);
}

template <class T>
void weighted_squares(const T* y, i64 rows, i64 k, const double* s, double* p) {
    for (i64 j = 0; j < k; ++j) p[j] = 0.0;
    for (i64 i = 0; i < rows; ++i) {
        const double si = s[i];
        if (si == 0.0) continue;
        const T* row = y + i * k;
        for (i64 j = 0; j < k; ++j) {
            const double x = static_cast<double>(row[j]);
            p[j] += si * (x * x);
        }
    }
}

template <class T>
void square_dots(const T* y, i64 rows, i64 k, const double* u, double* g) {
    for (i64 i = 0; i < rows; ++i) {
        const T* row = y + i * k;
        f64x8 acc{};
        i64 j = 0;
        for (; j + 8 <= k; j += 8) {
            const f64x8 x = eight(row + j);
            acc += eight(u + j) * (x * x);
        }
        if (j < k) {
            const f64x8 x = eight(row + j, k - j);
            acc += eight(u + j, k - j) * (x * x);
        }
        g[i] = -sum(acc);
    }
}

template <class T>
void quadratic(const T* w, i64 rows, i64 k, const double* c, double* p, double* q) {
    for (i64 i = 0; i < rows; ++i) {
        const T* row = w + i * k;
        double pi = 0.0, qi = 0.0;
        for (i64 d = 0; d < k; ++d) {
            const double x = dot(row, c + d * k, k);
            pi += x * static_cast<double>(row[d]);
            qi += x * x;
        }
        p[i] = pi;
        q[i] = qi;
    }
}

template <class T>
void rank_one(const T* w, i64 rows, i64 k, const RankOne* changes, int count, double* p,
              double* q) {
    for (i64 i = 0; i < rows; ++i) {
        const T* row = w + i * k;
        double pi = p[i], qi = q[i];
        for (int t = 0; t < count; ++t) {
            const RankOne& r = changes[t];
            const double a = dot(row, r.u, k), b = dot(row, r.v, k), step = a / r.delta;
            pi -= a * step;
            qi += step * (step * r.uu - 2.0 * b);
        }
        p[i] = pi;
        q[i] = qi;
    }
}

void clipped_sum(const double* v, i64 count, double tau, double cap, double* total, i64* inside) {
    f64x8 acc{};
    i64 n = 0;
    for (i64 i = 0; i < count; i += 8) {
        for (i64 l = 0; l < 8 && i + l < count; ++l) {
            const double x = v[i + l] - tau;
            acc[l] += x > 0.0 ? (x < cap ? x : cap) : 0.0;
            n += x > 0.0 && x < cap;
        }
    }
    *total = sum(acc);
    *inside = n;
}

template <class T>
constexpr TypedKernels<T> typed() {
    return {scatter_tile<T>,     scatter_row<T>, gemm_strip<T>, axpy<T>,
            weighted_squares<T>, square_dots<T>, quadratic<T>,  rank_one<T>};
}

}  // namespace

extern const Kernels SKMM_CONCAT(kernels_, SKMM_LEVEL);
const Kernels SKMM_CONCAT(kernels_, SKMM_LEVEL) = {
    SKMM_STRING(SKMM_LEVEL), {sparse_sign, gaussian, clipped_sum}, typed<float>(), typed<double>()};

}  // namespace skmm
