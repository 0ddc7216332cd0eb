#include "../support/sketches.hpp"

using namespace skmm;
using namespace check;

TEST(gaussian_equals_the_product_with_gamma) {
    const i64 shapes[][3] = {{1, 1, 1},   {1, 300, 5},     {17, 259, 33}, {40, 513, 100},
                             {3, 64, 64}, {2, 17000, 128}, {3, 300, 8}};
    for (const auto& [n, r, m] : shapes) {
        check_dense<float>(Gaussian{r, m, 5}, n);
        check_dense<double>(Gaussian{r, m, 5}, n);
        check_csr<float>(Gaussian{r, m, 5}, n);
        check_csr<double>(Gaussian{r, m, 5}, n);
    }
}

TEST(gaussian_takes_columns_in_pieces) {
    check_pieces<float>(Gaussian{1000, 24, 6}, 5);
    check_pieces<double>(Gaussian{1000, 65, 6}, 20);
}

TEST(gaussian_of_outer_products_has_the_bits_of_the_dense_rows) {
    check_outer_products([](i64 r) { return Gaussian{r, 20, 5}; });
}

TEST(gaussian_of_16_bit_rows_has_the_bits_of_float_rows) {
    for (const i64 n : {1, 2, 21}) check_16_bits(Gaussian{777, 20, 5}, n);
}

TEST(gaussian_of_long_rows_has_the_same_bits_on_any_threads) {
    check_long_rows(Gaussian{5003, 24, 1});
}

// Moments of N(0, 1/m), within four standard deviations of their estimates; columns are
// uncorrelated.
TEST(gaussian_entries_have_the_moments_of_normals) {
    const i64 r = 20000, m = 10;
    const std::vector<float> gamma = gamma_of(Gaussian{r, m, 3});
    for (i64 k = 0; k < m; ++k) {
        double first = 0, second = 0, fourth = 0, next = 0;
        for (i64 j = 0; j < r; ++j) {
            const double x = gamma[j * m + k] * std::sqrt(static_cast<double>(m));
            first += x / r;
            second += x * x / r;
            fourth += x * x * x * x / r;
            next += x * gamma[j * m + (k + 1) % m] * std::sqrt(static_cast<double>(m)) / r;
        }
        CHECK(std::abs(first) < 4 * std::sqrt(1.0 / r));
        CHECK(std::abs(second - 1) < 4 * std::sqrt(2.0 / r));
        CHECK(std::abs(fourth - 3) < 4 * std::sqrt(96.0 / r));
        CHECK(std::abs(next) < 4 * std::sqrt(1.0 / r));
    }
}

// What another thread may have written since the indices were checked.
TEST(gaussian_of_indices_that_changed_stays_inside_its_arrays) {
    const Gaussian g{1000, 24, 6};
    const std::vector<i64> wild = {5, -1, 0, 700, 6, INT64_MIN, 999, 1000, INT64_MAX, 3, 3, 261};
    const std::vector<double> values(wild.size(), 1.0);
    const std::vector<i64> indptr = {0, 3, 3, 12};
    for (const int threads : {1, 2}) {
        const CsrView<double, i64> a{values.data(), wild.data(), indptr.data(), 3, 1000};
        const std::vector<double> z = sketched<double>(a, g, threads);
        CHECK(std::all_of(z.begin() + 24, z.begin() + 48, [](double x) { return x == 0.0; }));
    }
}
