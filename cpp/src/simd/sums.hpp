// Kernels that sum over rows or vectors in double. Sums with eight lanes are folded by sum(), in
// one order on every level.
#pragma once

#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

// Returns p[0], ..., p[7] in double.
SKMM_INLINE f64x8 eight(const float* p) { return __builtin_convertvector(load<f32x8>(p), f64x8); }
SKMM_INLINE f64x8 eight(const double* p) { return load<f64x8>(p); }

// Returns p[0], ..., p[n - 1] in double for n < 8. The other lanes are zero.
template <class T>
SKMM_INLINE f64x8 eight(const T* p, i64 n) {
    f64x8 v{};
    for (i64 l = 0; l < n; ++l) v[l] = static_cast<double>(p[l]);
    return v;
}

// Returns the sum of the eight lanes.
SKMM_INLINE double sum(f64x8 v) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Returns Σ_j x_j y_j over j < k. x is float or double.
template <class T>
SKMM_INLINE double dot(const T* x, const double* y, i64 k) {
    f64x8 acc{};
    i64 j = 0;
    for (; j + 8 <= k; j += 8) acc += eight(x + j) * eight(y + j);
    if (j < k) acc += eight(x + j, k - j) * eight(y + j, k - j);
    return sum(acc);
}

template <class T>
static void weighted_squares(const T* y, i64 rows, i64 k, const double* s, double* p) {
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
static void square_dots(const T* y, i64 rows, i64 k, const double* u, double* g) {
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
        g[i] = sum(acc);
    }
}

template <class T>
static void dots(const T* z, i64 rows, i64 k, const double* u, double* t) {
    for (i64 i = 0; i < rows; ++i) t[i] = dot(z + i * k, u, k);
}

template <class T>
static void rank_one(const T* w, i64 rows, i64 k, const RankOne* changes, int count, double* p,
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

static void add_norms(const double* y, i64 rows, double* q) {
    for (i64 i = 0; i < rows; ++i) {
        f64x8 acc{};
        for (i64 k = 0; k < kPanel; k += 8) {
            const f64x8 x = load<f64x8>(y + i * kPanel + k);
            acc += x * x;
        }
        q[i] += sum(acc);
    }
}

static void clipped_sum(const double* v, i64 count, double tau, double cap, double* total,
                        i64* inside) {
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

// Returns the lanes where the mask is set, and 0 in the others.
SKMM_INLINE f64x8 masked(i64x8 mask, f64x8 lanes) { return (f64x8)((i64x8)lanes & mask); }

static void ray_sums(const Ray& ray, i64 first, i64 last, double a, double tau, RaySums* sums) {
    f64x8 mass{}, inside{}, along{}, d_inside{}, dd_inside{};
    const f64x8 zero{}, one = zero + 1.0, cap = zero + ray.cap;
    const auto add = [&](f64x8 centre, f64x8 g, f64x8 d, i64x8 valid) {
        const f64x8 v = centre + ray.step * (g + a * d) - tau;
        const i64x8 above = (v > zero) & valid, within = above & (v < cap);
        const f64x8 x = masked(within, v) + masked(above & ~within, cap);
        mass += x;
        inside += masked(within, one);
        along += d * x;
        d_inside += masked(within, d);
        dd_inside += masked(within, d * d);
    };
    i64 i = first;
    for (; i + 8 <= last; i += 8)
        add(load<f64x8>(ray.centre + i), load<f64x8>(ray.g + i), load<f64x8>(ray.d + i),
            i64x8{} - 1);
    if (i < last) {
        i64x8 valid{};
        for (i64 l = 0; i + l < last; ++l) valid[l] = -1;
        add(eight(ray.centre + i, last - i), eight(ray.g + i, last - i), eight(ray.d + i, last - i),
            valid);
    }
    *sums = {sum(mass), sum(inside), sum(along), sum(d_inside), sum(dd_inside)};
}

}  // namespace skmm::SKMM_LEVEL
