// Cholesky factors and the bounded Newton step, mostly in plain loops.
#include "skmm/linalg/dense.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "skmm/linalg/products.hpp"

namespace skmm {
namespace {

constexpr int kRounds = 20;  // largest number of active sets tried; three to five are usual

// The k of a matrix (k, k).
std::size_t order(const Vector& a) {
    return static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(a.size()))));
}

// Solves UᵀU x = b. x replaces b.
void solve(const Vector& u, Vector& b) {
    const std::size_t k = b.size();
    for (std::size_t j = 0; j < k; ++j) {
        b[j] /= u[j * k + j];
        for (std::size_t i = j + 1; i < k; ++i) b[i] -= u[j * k + i] * b[j];
    }
    for (std::size_t j = k; j-- > 0;) {
        for (std::size_t c = j + 1; c < k; ++c) b[j] -= u[j * k + c] * b[c];
        b[j] /= u[j * k + j];
    }
}

}  // namespace

bool factor(Vector& a) {
    const std::size_t k = order(a);
    Vector least(k);
    for (std::size_t j = 0; j < k; ++j)
        least[j] = static_cast<double>(k) * kSumRounding * a[j * k + j];
    for (std::size_t j = 0; j < k; ++j) {
        if (!(a[j * k + j] > std::max(least[j], 0.0))) return false;
        const double pivot = std::sqrt(a[j * k + j]);
        for (std::size_t c = j; c < k; ++c) a[j * k + c] /= pivot;
        for (std::size_t i = j + 1; i < k; ++i) {
            const double factor = a[j * k + i];
            for (std::size_t c = i; c < k; ++c) a[i * k + c] -= factor * a[j * k + c];
        }
    }
    return true;
}

Vector inverse_root(const Vector& u) {
    const std::size_t k = order(u);
    Vector r(k * k);  // the solution of UᵀR = I, computed row by row
    for (std::size_t i = 0; i < k; ++i) {
        r[i * k + i] = 1.0;
        for (std::size_t j = 0; j < i; ++j)
            for (std::size_t c = 0; c <= j; ++c) r[i * k + c] -= u[j * k + i] * r[j * k + c];
        for (std::size_t c = 0; c <= i; ++c) r[i * k + c] /= u[i * k + i];
    }
    return r;
}

Vector gram(const Vector& r) {
    const std::size_t k = order(r);
    const auto n = static_cast<std::int64_t>(k);
    Vector a(k * k);
    second_moment(MatrixView<double>{r.data(), n, n, n}, nullptr, 1, {}, a.data());
    return a;
}

Vector bounded_step(const Vector& h, const Vector& g, const Vector& u) {
    const std::size_t k = g.size();
    std::vector<bool> held(k);  // whether d_j is held at its bound, d_j = -u_j
    for (std::size_t j = 0; j < k; ++j) held[j] = u[j] <= 0.0 && g[j] <= 0.0;
    Vector d(k), rest(k), a, b;
    std::vector<std::size_t> free;
    for (int round = 0; round < kRounds; ++round) {
        free.clear();
        for (std::size_t j = 0; j < k; ++j) {
            d[j] = held[j] ? -u[j] : 0.0;
            if (!held[j]) free.push_back(j);
        }
        a.clear();
        b.clear();
        for (const std::size_t i : free) {
            double right = g[i];
            for (std::size_t j = 0; j < k; ++j) right -= h[i * k + j] * d[j];
            b.push_back(right);
            for (const std::size_t j : free) a.push_back(h[i * k + j]);
        }
        if (!factor(a)) break;
        solve(a, b);
        for (std::size_t t = 0; t < free.size(); ++t) d[free[t]] = b[t];
        bool changed = false;
        for (std::size_t i = 0; i < k; ++i) {
            bool hold;
            if (held[i]) {  // i is released if the slope at its bound points inside
                double slope = g[i];
                for (std::size_t j = 0; j < k; ++j) slope -= h[i * k + j] * d[j];
                hold = !(slope > 0.0);
            } else {
                hold = u[i] + d[i] < 0.0;
            }
            changed = changed || hold != held[i];
            held[i] = hold;
        }
        if (!changed) break;
    }
    for (std::size_t j = 0; j < k; ++j) d[j] = std::max(d[j], -u[j]);
    return d;
}

}  // namespace skmm
