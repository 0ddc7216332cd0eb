#include <cmath>

#include "../support/check.hpp"
#include "../support/halves.hpp"
#include "../support/shared.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/linalg/row_matrix.hpp"

using namespace skmm;
using check::kQuiet;
using check::normals;

template <class T>
static void check_products(const double* s) {
    const i64 n = 301, k = 37, d = 40;
    const std::vector<T> z = normals<T>(n * k);
    const std::vector<double> by = normals<double>(k * d, 5), u = normals<double>(k, 6);
    std::vector<double> m(k * k), q(n), p(k), g(n), t(n);
    std::vector<T> out(n * d);
    const MatrixView<T> rows{z.data(), n, k, k};
    const MatrixView<double> right{by.data(), k, d, d};
    second_moment(rows, s, 2, kQuiet, m.data());
    row_norms(rows, nullptr, n, right, 2, kQuiet, q.data());
    multiply(rows, nullptr, right, 2, kQuiet, MutableMatrixView<T>{out.data(), n, d, d});
    column_squares(rows, s, 2, kQuiet, p.data());
    square_dots(rows, u.data(), 2, kQuiet, g.data());
    dots(rows, u.data(), 2, kQuiet, t.data());
    for (i64 a = 0; a < k; ++a) {
        for (i64 b = 0; b < k; ++b) {
            double sum = 0.0;
            for (i64 i = 0; i < n; ++i)
                sum += (s == nullptr ? 1.0 : s[i]) * double(z[i * k + a]) * z[i * k + b];
            CHECK(std::abs(m[a * k + b] - sum) < 1e-9);
            if (a == b) CHECK(std::abs(p[a] - sum) < 1e-9);
        }
    }
    for (i64 i = 0; i < n; ++i) {
        double norm = 0.0, dot = 0.0, square_dot = 0.0;
        for (i64 c = 0; c < d; ++c) {
            double x = 0.0;
            for (i64 j = 0; j < k; ++j) x += z[i * k + j] * by[j * d + c];
            CHECK(std::abs(x - out[i * d + c]) < 1e-5);
            norm += x * x;
        }
        for (i64 j = 0; j < k; ++j) {
            dot += u[j] * z[i * k + j];
            square_dot += u[j] * double(z[i * k + j]) * z[i * k + j];
        }
        CHECK(std::abs(norm - q[i]) < 1e-9 * norm);
        CHECK(std::abs(dot - t[i]) < 1e-9);
        CHECK(std::abs(square_dot - g[i]) < 1e-9);
    }
}

TEST(products_equal_their_definitions) {
    std::vector<double> s(301);
    for (std::size_t i = 0; i < s.size(); ++i) s[i] = static_cast<double>(i % 3) / 7.0;
    for (const double* weights : {static_cast<const double*>(s.data()), (const double*)nullptr}) {
        check_products<float>(weights);
        check_products<double>(weights);
    }
}

TEST(products_of_listed_rows_are_those_of_all_rows) {
    const i64 n = 400, k = 9, d = 35, apart = k + 2;
    const std::vector<float> z = normals<float>(n * apart);
    const std::vector<double> by = normals<double>(k * d, 5);
    const MatrixView<float> rows{z.data(), n, k, apart};
    const MatrixView<double> right{by.data(), k, d, d};
    std::vector<i64> list;
    for (i64 t = 0; t < 150; ++t) list.push_back(t * 7 % n);
    const i64 count = static_cast<i64>(list.size());
    std::vector<double> all(n), some(count);
    std::vector<float> all_products(n * d), some_products(count * d);
    row_norms(rows, nullptr, n, right, 2, kQuiet, all.data());
    row_norms(rows, list.data(), count, right, 2, kQuiet, some.data());
    multiply(rows, nullptr, right, 2, kQuiet,
             MutableMatrixView<float>{all_products.data(), n, d, d});
    multiply(rows, list.data(), right, 2, kQuiet,
             MutableMatrixView<float>{some_products.data(), count, d, d});
    for (i64 t = 0; t < count; ++t) {
        CHECK(some[t] == all[list[t]]);
        for (i64 c = 0; c < d; ++c)
            CHECK(some_products[t * d + c] == all_products[list[t] * d + c]);
    }
}

TEST(products_have_the_same_bits_on_any_threads) {
    const i64 n = 20011, k = 13;
    const std::vector<float> z = normals<float>(n * k);
    const MatrixView<float> rows{z.data(), n, k, k};
    const std::vector<double> by = normals<double>(k * k, 5);
    std::vector<std::vector<double>> found;
    for (const int threads : {1, 3}) {
        std::vector<double> m(k * k), q(n), p(k), g(n), t(n);
        second_moment(rows, nullptr, threads, kQuiet, m.data());
        row_norms(rows, nullptr, n, {by.data(), k, k, k}, threads, kQuiet, q.data());
        column_squares(rows, nullptr, threads, kQuiet, p.data());
        square_dots(rows, by.data(), threads, kQuiet, g.data());
        dots(rows, by.data(), threads, kQuiet, t.data());
        for (auto* x : {&m, &q, &p, &g, &t}) found.push_back(*x);
    }
    for (std::size_t e = 0; e < 5; ++e) CHECK(found[e] == found[e + 5]);
}

TEST(inner_products_are_the_same_on_any_threads) {
    for (const i64 n : {i64{0}, i64{1}, i64{3 * 4096 + 5}}) {
        const std::vector<double> a = normals<double>(n), b = normals<double>(n, 3);
        double plain = 0.0;
        for (i64 i = 0; i < n; ++i) plain += a[i] * b[i];
        const double one = inner(a.data(), b.data(), Strips(n), 1);
        CHECK(std::abs(one - plain) < 1e-9);
        for (const int threads : {2, 3})
            CHECK(inner(a.data(), b.data(), Strips(n), threads) == one);
    }
}

TEST(rows_of_weight_zero_are_not_read) {
    const i64 n = 10, k = 3;
    std::vector<double> z = normals<double>(n * k), s(n, 1.0), m(k * k), p(k);
    z[4 * k] = std::nan("");
    s[4] = 0.0;
    const MatrixView<double> rows{z.data(), n, k, k};
    second_moment(rows, s.data(), 2, kQuiet, m.data());
    column_squares(rows, s.data(), 2, kQuiet, p.data());
    for (const double x : m) CHECK(std::isfinite(x));
    for (const double x : p) CHECK(std::isfinite(x));
}

TEST(a_row_matrix_takes_rows_in_the_order_asked_for) {
    const i64 n = 6, k = 3;
    const std::vector<float> z = normals<float>(n * k);
    const RowMatrix<float> rows = row_matrix(MatrixView<float>{z.data(), n, k, k}, 1);
    std::vector<float> taken(3 * k);
    rows.take({4, 0, 4}, taken.data());
    for (i64 j = 0; j < k; ++j)
        CHECK(taken[j] == z[4 * k + j] && taken[k + j] == z[j] && taken[2 * k + j] == z[4 * k + j]);
}

template <class T>
static void check_unit_sums() {
    const i64 n = 900, k = 11, d = 45;
    std::vector<T> z = normals<T>(n * k);
    std::fill_n(z.begin() + 3 * k, k, T(0));  // a row of zeros
    std::vector<i64> list, cell;
    for (i64 t = 0; t < 700; ++t) {
        list.push_back(t * 7 % n);
        cell.push_back(t * t % d);
    }
    const i64 count = static_cast<i64>(list.size());
    const MatrixView<T> rows{z.data(), n, k, k};
    std::vector<double> sums(d * k), expected(d * k), one_thread(d * k);
    sum_unit_rows(rows, list.data(), count, cell.data(), d, 2, kQuiet, sums.data());
    for (i64 t = 0; t < count; ++t) {
        double square = 0.0;
        for (i64 j = 0; j < k; ++j) square += double(z[list[t] * k + j]) * z[list[t] * k + j];
        if (square == 0.0) continue;
        for (i64 j = 0; j < k; ++j)
            expected[cell[t] * k + j] += double(z[list[t] * k + j]) / std::sqrt(square);
    }
    for (i64 e = 0; e < d * k; ++e) CHECK(std::abs(sums[e] - expected[e]) < 1e-9);
    sum_unit_rows(rows, list.data(), count, cell.data(), d, 1, kQuiet, one_thread.data());
    CHECK(sums == one_thread);
}

TEST(sums_of_unit_rows_equal_their_definition) {
    check_unit_sums<float>();
    check_unit_sums<double>();
}

// D of any size, dense or an upper triangle.
template <class T>
static void check_rounded(double size) {
    const i64 n = 300, k = 70, d = 83;
    const std::vector<T> z = normals<T>(n * k);
    std::vector<double> by = normals<double>(k * d, 5);
    for (i64 j = 0; j < k; ++j)
        for (i64 c = 0; c < d; ++c) by[j * d + c] *= size > 1.0 && j > c ? 0.0 : size;
    std::vector<i64> list;
    for (i64 t = 0; t < 200; ++t) list.push_back(t * 7 % n);
    std::vector<T> out(200 * d), one_thread(200 * d);
    const MatrixView<T> rows{z.data(), n, k, k};
    const MatrixView<double> right{by.data(), k, d, d};
    multiply_rounded(rows, list.data(), right, 2, kQuiet,
                     MutableMatrixView<T>{out.data(), 200, d, d});
    for (i64 t = 0; t < 200; ++t) {
        for (i64 c = 0; c < d; ++c) {
            double x = 0.0, most = 0.0;
            for (i64 j = 0; j < k; ++j) {
                const double term = double(z[list[t] * k + j]) * by[j * d + c];
                x += term;
                most += std::abs(term);
            }
            CHECK(std::abs(x - double(out[t * d + c])) <= 1e-6 * most);
        }
    }
    multiply_rounded(rows, list.data(), right, 1, kQuiet,
                     MutableMatrixView<T>{one_thread.data(), 200, d, d});
    CHECK(out == one_thread);
}

TEST(rounded_products_have_the_digits_of_a_float) {
    for (const double size : {1.0, 1e30, 1e-30}) {
        check_rounded<float>(size);
        check_rounded<double>(size);
    }
    check_rounded<double>(1e150);
}

// The results of all products over rows, one after another.
template <class View>
static std::vector<double> all_products(View z, int threads) {
    const i64 n = z.rows, k = z.cols, d = 35;
    const std::vector<double> by = normals<double>(k * d, 5), u = normals<double>(k, 6);
    std::vector<double> s(n), m(k * k), q(n), sums(3 * k), p(k), g(n), t(n), results;
    std::vector<i64> list, cell;
    for (i64 i = 0; i < n; ++i) {
        s[i] = static_cast<double>(i % 3) / 7.0;
        list.push_back(i * 7 % n);
        cell.push_back(i % 3);
    }
    std::vector<float> products(n * d), rounded(n * d), taken(n * k), room(200 * k);
    const MatrixView<double> right{by.data(), k, d, d};
    second_moment(z, s.data(), threads, kQuiet, m.data());
    row_norms(z, list.data(), n, right, threads, kQuiet, q.data());
    multiply(z, list.data(), right, threads, kQuiet,
             MutableMatrixView<float>{products.data(), n, d, d});
    multiply_rounded(z, list.data(), right, threads, kQuiet, {rounded.data(), n, d, d});
    take(z, list.data(), n, threads, taken.data());
    sum_unit_rows(z, list.data(), n, cell.data(), 3, threads, kQuiet, sums.data());
    column_squares(z, s.data(), threads, kQuiet, p.data());
    square_dots(z, u.data(), threads, kQuiet, g.data());
    dots(z, u.data(), threads, kQuiet, t.data());
    for (const auto& x : {m, q, sums, p, g, t}) results.insert(results.end(), x.begin(), x.end());
    for (const auto& x : {products, rounded, taken})
        results.insert(results.end(), x.begin(), x.end());
    const float* const rows = block(z, i64{77}, i64{200}, room.data());
    results.insert(results.end(), rows, rows + 200 * k);
    return results;
}

TEST(products_of_halves_are_those_of_the_same_floats) {
    for (const bool scaled : {false, true}) {
        const check::HalfMatrix z(9001, 19, scaled);
        const std::vector<double> expected = all_products(z.wide_view(), 1);
        for (const int threads : {1, 3}) CHECK(all_products(z.view(), threads) == expected);
    }
}

TEST(any_bits_are_rows) {
    std::vector<Half> bits;
    for (int b = 0; b < 1 << 16; ++b) {
        bits.push_back({0x3c00});  // 1
        bits.push_back({static_cast<u16>(b)});
    }
    std::vector<float> scales(1 << 16);
    take(HalfView{bits.data(), 1 << 16, 1, 2, true}, nullptr, 1 << 16, 2, scales.data());
    for (int b = 0; b < 1 << 16; ++b) {
        const bool finite = (b >> 10 & 31) < 31, nan = !finite && (b & 1023) != 0;
        double e = finite ? check::value({static_cast<u16>(b)}) : b >> 15 || nan ? -1e9 : 1e9;
        e = std::max(std::min(std::trunc(e), 127.0), -126.0);
        CHECK(scales[b] == std::ldexp(1.0F, static_cast<int>(e)));
    }
}
