#include "../support/sketches.hpp"

using namespace skmm;
using namespace check;

TEST(sparse_sign_equals_the_product_with_gamma) {
    const i64 shapes[][3] = {{1, 1, 1},   {1, 300, 5},     {17, 259, 33}, {40, 513, 100},
                             {3, 64, 64}, {2, 17000, 128}, {3, 300, 8}};
    for (const auto& [n, r, m] : shapes) {
        const int zeta = static_cast<int>(std::min<i64>(m, 7));
        check_dense<float>(SparseSign{r, m, zeta, 5}, n);
        check_dense<double>(SparseSign{r, m, std::min(zeta, 4), 5}, n);
    }
}

// Wide blocks take a random word for each entry, narrow ones share it.
TEST(sparse_sign_of_wide_blocks_equals_the_product_with_gamma) {
    const SparseSign s{100, 2 * kPairWidth + 1, 2, 5};
    check_dense<float>(s, 5);
    check_blocks(gamma_of(s), s.out_dim, s.zeta);
}

TEST(sparse_sign_takes_columns_in_pieces) {
    check_pieces<float>(SparseSign{1000, 24, 8, 6}, 5);
    check_pieces<double>(SparseSign{1000, 24, 3, 6}, 20);
}

TEST(sparse_sign_of_outer_products_has_the_bits_of_the_dense_rows) {
    for (const int zeta : {7, 8})
        check_outer_products([&](i64 r) { return SparseSign{r, 20, zeta, 5}; });
}

TEST(sparse_sign_of_16_bit_rows_has_the_bits_of_float_rows) {
    for (const i64 n : {1, 2, 21}) check_16_bits(SparseSign{777, 20, 7, 5}, n);
}

TEST(sparse_sign_of_long_rows_has_the_same_bits_on_any_threads) {
    check_long_rows(SparseSign{100003, 24, 8, 1});
}

TEST(sparse_sign_rows_have_one_entry_per_block) {
    check_blocks(gamma_of(SparseSign{1000, 37, 5, 3}), 37, 5);
}

TEST(a_tick_that_throws_stops_the_sketch) {
    const std::vector<float> a(100, 1.0f);
    std::vector<float> out(10);
    bool thrown = false;
    try {
        sketch(
            MatrixView<float>{a.data(), 1, 100, 100}, SparseSign{100, 10, 2, 0}, 0, false, 2,
            [](i64) { throw 1; }, MutableMatrixView<float>{out.data(), 1, 10, 10});
    } catch (int) {
        thrown = true;
    }
    CHECK(thrown);
}
