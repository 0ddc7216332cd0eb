// Kernels that sum over rows or vectors in double. Sums with eight lanes are folded by sum(), in
// one order on every level.
#pragma once

#include "skmm/simd/kernels.hpp"
#include "vectors.hpp"

namespace skmm::SKMM_LEVEL {

// Returns p[0], ..., p[7] in double.
template <class T>
SKMM_INLINE f64x8 eight(const T* p) {
    f64x8 v;
    for (int i = 0; i < f64x8::kParts; ++i) v.part[i] = doubles(p + i * kDoubles);
    return v;
}

// Returns p[0], ..., p[n - 1] in double for n < 8. The other lanes are zero.
template <class T>
SKMM_INLINE f64x8 eight(const T* p, i64 n) {
    double lanes[8] = {};
    for (i64 l = 0; l < n; ++l) lanes[l] = static_cast<double>(p[l]);
    return eight(lanes);
}

// Returns the sum of the eight lanes.
SKMM_INLINE double sum(f64x8 v) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Writes out[i] = Σ_j u_j term(x_ij) over j < k for R rows x_i, float or double. The term is given
// eight numbers in double at a time. Several rows are summed together because a sum must wait for
// each of its additions.
template <int R, class T, class Term>
SKMM_INLINE void sum_rows(const T* x, i64 k, const double* u, double* out, const Term& term) {
    f64x8 acc[R] = {};
    i64 j = 0;
    for (; j + 8 <= k; j += 8) {
        const f64x8 y = eight(u + j);
        for (int i = 0; i < R; ++i) acc[i] = fused(term(eight(x + i * k + j)), y, acc[i]);
    }
    if (j < k) {
        const f64x8 y = eight(u + j, k - j);
        for (int i = 0; i < R; ++i) acc[i] = fused(term(eight(x + i * k + j, k - j)), y, acc[i]);
    }
    for (int i = 0; i < R; ++i) out[i] = sum(acc[i]);
}

constexpr int kRowsTogether = 4;

// Writes out[i] = Σ_j u_j term(x_ij) over j < k for i < rows.
template <class T, class Term>
SKMM_INLINE void sum_each_row(const T* x, i64 rows, i64 k, const double* u, double* out,
                              const Term& term) {
    i64 i = 0;
    for (; i + kRowsTogether <= rows; i += kRowsTogether)
        sum_rows<kRowsTogether>(x + i * k, k, u, out + i, term);
    for (; i < rows; ++i) sum_rows<1>(x + i * k, k, u, out + i, term);
}

template <class T>
static void weighted_squares(const T* y, i64 rows, i64 k, const double* s, double* p) {
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
    sum_each_row(y, rows, k, u, g, [](f64x8 x) { return x * x; });
}

template <class T>
static void dots(const T* z, i64 rows, i64 k, const double* u, double* t) {
    sum_each_row(z, rows, k, u, t, [](f64x8 x) { return x; });
}

template <class T>
static void rank_one(const T* w, i64 rows, i64 k, const RankOne* changes, int count, double* p,
                     double* q, double* along) {
    for (i64 first = 0; first < rows; first += kRowsTogether) {
        const i64 n = rows - first < kRowsTogether ? rows - first : kRowsTogether;
        for (int t = 0; t < count; ++t) {
            const RankOne& r = changes[t];
            double a[kRowsTogether], b[kRowsTogether];
            dots(w + first * k, n, k, r.u, a);
            dots(w + first * k, n, k, r.v, b);
            for (i64 i = 0; i < n; ++i) {
                const double step = a[i] / r.delta;
                p[first + i] -= a[i] * step;
                q[first + i] += step * (step * r.uu - 2.0 * b[i]);
                if (along == nullptr) continue;
                along[2 * (count * (first + i) + t)] = a[i];
                along[2 * (count * (first + i) + t) + 1] = b[i];
            }
        }
    }
}

static void add_norms(const double* y, i64 rows, double* q) {
    for (i64 i = 0; i < rows; ++i) {
        f64x8 acc{};
        for (i64 k = 0; k < kPanel; k += 8) {
            const f64x8 x = load<f64x8>(y + i * kPanel + k);
            acc = fused(x, x, acc);
        }
        q[i] += sum(acc);
    }
}

// A mask for each lane of Vector<double>: all bits set, or none.
using Mask = Vector<i64>;

// Returns the lanes where the mask is set, and 0 in the others.
SKMM_INLINE Vector<double> masked(Mask mask, Vector<double> lanes) {
    return (Vector<double>)((Mask)lanes & mask);
}

// Returns the mask of the lanes l with l < n.
SKMM_INLINE Mask first_lanes(int n) {
    Mask mask{};
    for (int l = 0; l < kDoubles; ++l) mask[l] = l < n ? -1 : 0;
    return mask;
}

// Calls f(part, i, n) for the positions [first, last), eight at a time: lane l < n of this part of
// the eight is position i + l.
template <class F>
SKMM_INLINE void for_eights(i64 first, i64 last, const F& f) {
    i64 i = first;
    for (; i + 8 <= last; i += 8)
        for (int part = 0; part < f64x8::kParts; ++part) f(part, i + part * kDoubles, kDoubles);
    for (int part = 0; i < last; ++part, i += kDoubles)
        f(part, i, last - i < kDoubles ? static_cast<int>(last - i) : kDoubles);
}

// Returns p[0], ..., p[n - 1] for n <= kDoubles. The other lanes are zero.
SKMM_INLINE Vector<double> some(const double* p, int n) {
    if (n == kDoubles) return load<Vector<double>>(p);
    Vector<double> v{};
    for (int l = 0; l < n; ++l) v[l] = p[l];
    return v;
}

// x = min(max(v, 0), cap) in the valid lanes and 0 in the others, and the mask of the valid lanes
// whose v is strictly between 0 and cap.
struct Clipped {
    Vector<double> x;
    Mask within;
};
SKMM_INLINE Clipped clip(Vector<double> v, Vector<double> cap, Mask valid) {
    const Mask above = (Mask)(v > Vector<double>{}) & valid, within = above & (Mask)(v < cap);
    return {masked(within, v) + masked(above & ~within, cap), within};
}

static void clipped_sum(const double* v, i64 count, double tau, double cap, double* total,
                        i64* inside) {
    f64x8 acc{};
    Mask n{};
    const Vector<double> caps = Vector<double>{} + cap;
    for_eights(0, count, [&](int part, i64 i, int lanes) {
        const Clipped c = clip(some(v + i, lanes) - tau, caps, first_lanes(lanes));
        acc.part[part] += c.x;
        n -= c.within;
    });
    *total = sum(acc);
    *inside = 0;
    for (int l = 0; l < kDoubles; ++l) *inside += n[l];
}

static void ray_sums(const Ray& ray, i64 first, i64 last, double a, double tau, RaySums* sums) {
    f64x8 mass{}, inside{}, along{}, d_inside{}, dd_inside{};
    const Vector<double> one = Vector<double>{} + 1.0, caps = Vector<double>{} + ray.cap;
    for_eights(first, last, [&](int part, i64 i, int lanes) {
        const Vector<double> d = some(ray.d + i, lanes);
        const Vector<double> v =
            some(ray.centre + i, lanes) + ray.step * (some(ray.g + i, lanes) + a * d) - tau;
        const Clipped c = clip(v, caps, first_lanes(lanes));
        mass.part[part] += c.x;
        inside.part[part] += masked(c.within, one);
        along.part[part] += d * c.x;
        d_inside.part[part] += masked(c.within, d);
        dd_inside.part[part] += masked(c.within, d * d);
    });
    *sums = {sum(mass), sum(inside), sum(along), sum(d_inside), sum(dd_inside)};
}

}  // namespace skmm::SKMM_LEVEL
