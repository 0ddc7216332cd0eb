// What the tests of the sketches share: each check takes any kind of Γ, rows of float or double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "check.hpp"
#include "shared.hpp"
#include "skmm/base/float16.hpp"
#include "skmm/base/views.hpp"
#include "skmm/simd/kernels.hpp"
#include "skmm/sketch/operators.hpp"

namespace check {

// Γ itself, (in_dim, out_dim).
template <class S>
std::vector<float> gamma_of(const S& s) {
    std::vector<float> g(s.in_dim * s.out_dim);
    rows_of(s, 0, skmm::MutableMatrixView<float>{g.data(), s.in_dim, s.out_dim, s.out_dim});
    return g;
}

template <class T>
skmm::MatrixView<T> dense_view(const std::vector<T>& a, i64 n) {
    const i64 r = static_cast<i64>(a.size()) / n;
    return {a.data(), n, r, r};
}

// out (+)= A Γ[offset:] for rows A of any kind.
template <class T, class View, class S>
void sketch_into(std::vector<T>& out, View a, const S& s, int threads, i64 offset = 0,
                 bool accumulate = false) {
    sketch(a, s, offset, accumulate, threads, kQuiet,
           skmm::MutableMatrixView<T>{out.data(), a.rows, s.out_dim, s.out_dim});
}

template <class T, class View, class S>
std::vector<T> sketched(View a, const S& s, int threads) {
    std::vector<T> out(a.rows * s.out_dim);
    sketch_into(out, a, s, threads);
    return out;
}

// Every third entry of n dense rows, as CSR and as dense rows.
template <class T>
struct Thinned {
    Thinned(const std::vector<T>& a, i64 n)
        : n(n), r(static_cast<i64>(a.size()) / n), dense(a.size()) {
        for (i64 i = 0; i < n; ++i) {
            for (i64 c = i % 3; c < r; c += 3) {
                dense[i * r + c] = a[i * r + c];
                values.push_back(a[i * r + c]);
                indices.push_back(c);
            }
            indptr.push_back(static_cast<i64>(values.size()));
        }
    }
    skmm::CsrView<T, i64> csr() const {
        return {values.data(), indices.data(), indptr.data(), n, r};
    }

    i64 n, r;
    std::vector<T> dense, values;
    std::vector<i64> indices, indptr{0};
};

// |z - A Γ| <= tol Σ |a γ|, where A Γ is a naive sum in double.
template <class T, class S>
void check_product(const std::vector<T>& z, const std::vector<T>& a, const S& s) {
    const i64 r = s.in_dim, m = s.out_dim, n = static_cast<i64>(a.size()) / r;
    const std::vector<float> gamma = gamma_of(s);
    const double tol = sizeof(T) == 4 ? 1e-5 : 1e-13;
    for (i64 i = 0; i < n; ++i) {
        for (i64 k = 0; k < m; ++k) {
            double sum = 0, size = 0;
            for (i64 c = 0; c < r; ++c) {
                const double g = gamma[c * m + k];
                sum += a[i * r + c] * g;
                size += std::abs(a[i * r + c] * g);
            }
            CHECK(std::abs(z[i * m + k] - sum) <= tol * size + 1e-30);
        }
    }
}

// Dense rows give the product with Γ, the same bits on any number of threads.
template <class T, class S>
void check_dense(const S& s, i64 n) {
    const std::vector<T> a = normals<T>(n * s.in_dim);
    const std::vector<T> z = sketched<T>(dense_view(a, n), s, 1);
    check_product(z, a, s);
    CHECK(sketched<T>(dense_view(a, n), s, 3) == z);
}

// So do CSR rows with indices of either type, and the dense rows that they stand for.
template <class T, class S>
void check_csr(const S& s, i64 n) {
    const Thinned<T> a(normals<T>(n * s.in_dim), n);
    const std::vector<T> z = sketched<T>(a.csr(), s, 1);
    check_product(z, a.dense, s);
    check_product(sketched<T>(dense_view(a.dense, n), s, 1), a.dense, s);
    CHECK(sketched<T>(a.csr(), s, 3) == z);
    const std::vector<std::int32_t> indices(a.indices.begin(), a.indices.end());
    const std::vector<std::int32_t> indptr(a.indptr.begin(), a.indptr.end());
    const skmm::CsrView<T, std::int32_t> narrow{a.values.data(), indices.data(), indptr.data(), n,
                                                a.r};
    CHECK(sketched<T>(narrow, s, 2) == z);
}

// Columns in two pieces, each with its part of Γ, the second added to the first; CSR rows of the
// second piece alone, then twice.
template <class T, class S>
void check_pieces(const S& s, i64 n) {
    const i64 r = s.in_dim, cut = r / 3;
    const std::vector<T> a = normals<T>(n * r);
    std::vector<T> left, right, z(n * s.out_dim);
    for (i64 e = 0; e < n * r; ++e) (e % r < cut ? left : right).push_back(a[e]);
    sketch_into(z, dense_view(left, n), s, 2);
    sketch_into(z, dense_view(right, n), s, 2, cut, true);
    check_product(z, a, s);

    const Thinned<T> rest(right, n);
    std::vector<T> late(n * r);
    for (i64 e = 0, from = 0; e < n * r; ++e)
        if (e % r >= cut) late[e] = rest.dense[from++];
    sketch_into(z, rest.csr(), s, 2, cut);
    check_product(z, late, s);
    sketch_into(z, rest.csr(), s, 2, cut, true);
    for (T& x : late) x += x;
    check_product(z, late, s);
}

// The products, each rounded once, give the bits; any sizes, part of Γ, rows apart in memory.
template <class T, class S>
void check_outer(const S& s, i64 n, i64 left, i64 right) {
    const i64 r = left * right, m = s.out_dim, offset = s.in_dim - r;
    const std::vector<T> e = normals<T>(n * (left + 1)), x = normals<T>(n * right, 1);
    std::vector<T> products;
    for (i64 i = 0; i < n; ++i)
        for (i64 c = 0; c < left; ++c)
            for (i64 j = 0; j < right; ++j)
                products.push_back(e[i * (left + 1) + c] * x[i * right + j]);
    std::vector<T> dense(n * m, T(1));
    sketch_into(dense, dense_view(products, n), s, 1, offset, true);
    for (const int threads : {1, 3}) {
        std::vector<T> outer(n * m, T(1));
        sketch_into(outer,
                    skmm::OuterView<T>{{e.data(), n, left, left + 1}, {x.data(), n, right, right}},
                    s, threads, offset, true);
        CHECK(dense == outer);
    }
}

// All sizes and both types; make(in_dim) gives the sketch.
template <class Make>
void check_outer_products(const Make& make) {
    const i64 shapes[][3] = {{1, 1, 1},   {2, 1, 300},  {3, 300, 1},      {17, 7, 37},
                             {40, 37, 7}, {3, 83, 401}, {18, 401, 2 * 83}};
    for (const auto& [n, left, right] : shapes) {
        const i64 r = left * right + 19;
        check_outer<float>(make(r), n, left, right);
        check_outer<double>(make(r), n, left, right);
    }
}

// 16-bit rows give the bits of the same rows in float.
template <class U, class S, class Widen>
void check_narrow(const S& s, i64 n, const Widen& widen) {
    std::mt19937 engine(3);
    std::vector<U> a(n * s.in_dim);
    for (U& x : a) x.bits = static_cast<std::uint16_t>(engine() & 0xbfff);  // |x| < 2
    std::vector<float> wide(a.size());
    widen(a.data(), static_cast<int>(a.size()), wide.data());
    for (const int threads : {1, 3})
        CHECK(sketched<float>(dense_view(a, n), s, threads) ==
              sketched<float>(dense_view(wide, n), s, 1));
}
template <class S>
void check_16_bits(const S& s, i64 n) {
    check_narrow<skmm::Half>(s, n, [](const skmm::Half* x, int count, float* out) {
        skmm::kernels().any.widen_half(x, count, 1.0F, out);
    });
    check_narrow<skmm::BFloat16>(s, n, skmm::kernels().any.widen_bfloat16);
}

// Long rows, fewer than threads: for signs, of more columns than a segment, the waves of segments.
// A row by itself has the bits that it has among others.
template <class S>
void check_long_rows(const S& s) {
    const i64 n = 3, r = s.in_dim, m = s.out_dim;
    const std::vector<float> a = normals<float>(n * r);
    const std::vector<float> one = sketched<float>(dense_view(a, n), s, 1);
    const std::vector<float> four = sketched<float>(dense_view(a, n), s, 4);
    const skmm::MatrixView<float> last{a.data() + 2 * r, 1, r, r};
    const std::vector<float> single = sketched<float>(last, s, 2);
    CHECK(one == four);
    CHECK(std::equal(single.begin(), single.end(), one.begin() + 2 * m));
}

// Sums of integers are exact in any order: CSR rows give the bits of the dense ones.
template <class T, class S>
void check_csr_of_integers(const S& s, i64 n) {
    std::mt19937 engine(4);
    std::vector<T> all(n * s.in_dim);
    for (T& x : all) x = static_cast<T>(static_cast<int>(engine() % 9) - 4);
    const Thinned<T> a(all, n);
    CHECK(sketched<T>(a.csr(), s, 2) == sketched<T>(dense_view(a.dense, n), s, 2));
}

// A Γ of signs has one entry ±1/√blocks in each block of columns of each row.
inline void check_blocks(const std::vector<float>& gamma, i64 m, i64 blocks) {
    const float entry = 1.0f / std::sqrt(static_cast<float>(blocks));
    for (i64 j = 0; j < static_cast<i64>(gamma.size()) / m; ++j) {
        for (i64 b = 0; b < blocks; ++b) {
            int entries = 0;
            for (i64 k = b * m / blocks; k < (b + 1) * m / blocks; ++k) {
                entries += gamma[j * m + k] != 0.0f;
                CHECK(gamma[j * m + k] == 0.0f || std::abs(gamma[j * m + k]) == entry);
            }
            CHECK(entries == 1);
        }
    }
}

}  // namespace check
