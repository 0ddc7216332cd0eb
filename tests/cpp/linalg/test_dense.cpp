#include <algorithm>
#include <cmath>

#include "../support/check.hpp"
#include "../support/shared.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"

using namespace skmm;
using check::kQuiet;
using check::normals;

// A symmetric positive definite matrix (k, k): the second moment of 3 k rows.
static Vector random_moment(i64 k, unsigned seed) {
    const std::vector<double> r = normals<double>(3 * k * k, seed);
    Vector h(k * k);
    second_moment(MatrixView<double>{r.data(), 3 * k, k, k}, nullptr, 1, kQuiet, h.data());
    return h;
}

// Σ_t a(t, i) b(t, j).
static double column_product(const Vector& a, const Vector& b, i64 k, i64 i, i64 j) {
    double sum = 0.0;
    for (i64 t = 0; t < k; ++t) sum += a[t * k + i] * b[t * k + j];
    return sum;
}

// What lies below the diagonal is no part of the matrix.
static void set_lower(Vector& a, i64 k, double value) {
    for (i64 i = 0; i < k; ++i)
        for (i64 j = 0; j < i; ++j) a[i * k + j] = value;
}

TEST(factors_multiply_to_the_matrix) {
    for (const i64 k : {1, 2, 9, 30}) {
        const Vector a = random_moment(k, 1);
        Vector u = a;
        set_lower(u, k, 7.0);
        CHECK(factor(u));
        for (i64 i = 0; i < k; ++i)
            for (i64 j = 0; j < i; ++j) CHECK(u[i * k + j] == 7.0);
        set_lower(u, k, 0.0);
        for (i64 i = 0; i < k; ++i)
            for (i64 j = 0; j < k; ++j)
                CHECK(std::abs(column_product(u, u, k, i, j) - a[i * k + j]) < 1e-11);
    }
}

TEST(matrices_that_are_not_positive_definite_have_no_factor) {
    Vector indefinite{1.0, 2.0, 2.0, 1.0}, zero(9, 0.0), no_number{std::nan("")};
    CHECK(!factor(indefinite));
    CHECK(!factor(zero));
    CHECK(!factor(no_number));
}

TEST(matrices_that_are_singular_to_rounding_have_no_factor) {
    for (const double e : {0.0, 1e-16, 3e-16, -1e-16, 1e-15}) {  // rows (1, x), x = 3, twice
        Vector a{2.0, 6.0, 6.0, 18.0 * (1.0 + e)};
        CHECK(!factor(a));
    }
    for (const double unit : {1e-140, 1.0, 1e140}) {  // entries of any unit, and of uneven ones
        Vector even{unit, 0.0, 0.0, unit}, uneven{unit * 1e-90, 0.0, 0.0, unit * 1e90};
        CHECK(factor(even));
        CHECK(factor(uneven));
    }
}

TEST(inverse_roots_give_the_identity_and_the_inverse) {
    for (const i64 k : {1, 2, 9, 30}) {
        const Vector a = random_moment(k, 2);
        Vector u = a;
        set_lower(u, k, 7.0);
        CHECK(factor(u));
        const Vector r = inverse_root(u), inverse = gram(r);
        set_lower(u, k, 0.0);
        for (i64 i = 0; i < k; ++i) {
            for (i64 j = 0; j < k; ++j) {
                const double one = i == j ? 1.0 : 0.0;
                CHECK(j <= i || r[i * k + j] == 0.0);
                CHECK(std::abs(column_product(u, r, k, i, j) - one) < 1e-11);  // UᵀR
                CHECK(std::abs(column_product(a, inverse, k, i, j) - one) < 1e-11);
            }
        }
    }
}

TEST(gram_equals_its_definition) {
    const i64 k = 17;
    const Vector r = normals<double>(k * k), a = gram(r);
    for (i64 i = 0; i < k; ++i)
        for (i64 j = 0; j < k; ++j)
            CHECK(std::abs(a[i * k + j] - column_product(r, r, k, i, j)) < 1e-12);
}

TEST(bounded_step_meets_the_conditions_of_its_maximum) {
    const i64 k = 23;
    for (unsigned seed = 0; seed < 40; ++seed) {
        const std::vector<double> g = normals<double>(k, seed + 100);
        const Vector h = random_moment(k, seed);
        Vector u = normals<double>(k, seed + 200);
        for (double& x : u) x = std::max(x, 0.0);
        const Vector d = bounded_step(h, g, u);
        for (i64 i = 0; i < k; ++i) {
            double slope = g[i];
            for (i64 j = 0; j < k; ++j) slope -= h[i * k + j] * d[j];
            CHECK(d[i] >= -u[i]);
            CHECK(d[i] > -u[i] ? std::abs(slope) < 1e-9 : slope < 1e-9);
        }
    }
}

TEST(bounded_step_stays_where_no_step_gains_and_ends_at_the_bound) {
    const Vector h{4.0, 0.0, 0.0, 4.0};
    CHECK(bounded_step(h, {-1.0, -3.0}, {0.0, 0.0}) == (Vector{0.0, 0.0}));
    CHECK(bounded_step(h, {-9.0, 8.0}, {1.0, 0.0}) == (Vector{-1.0, 2.0}));
}
