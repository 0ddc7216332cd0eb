#include <map>

#include "../support/sketches.hpp"

using namespace skmm;
using namespace check;

TEST(grouped_sign_equals_the_product_with_gamma) {
    const i64 shapes[][3] = {
        {17, 259, 33}, {40, 513, 100}, {3, 64, 64}, {2, 17000, 128}, {3, 300, 8}};
    for (const auto& [n, r, m] : shapes) {
        check_dense<float>(GroupedSign{r, m, 5}, n);
        check_dense<double>(GroupedSign{r, m, 5}, n);
    }
}

TEST(grouped_sign_takes_columns_in_pieces) {
    check_pieces<float>(GroupedSign{1000, 24, 6}, 5);
    check_pieces<double>(GroupedSign{20000, 9, 6}, 3);
}

TEST(grouped_sign_of_outer_products_has_the_bits_of_the_dense_rows) {
    check_outer_products([](i64 r) { return GroupedSign{r, 20, 5}; });
}

TEST(grouped_sign_of_16_bit_rows_has_the_bits_of_float_rows) {
    for (const i64 n : {1, 2, 21}) check_16_bits(GroupedSign{777, 20, 5}, n);
}

TEST(grouped_sign_of_long_rows_has_the_same_bits_on_any_threads) {
    check_long_rows(GroupedSign{100003, 24, 1});
}

TEST(grouped_sign_rows_have_one_entry_per_block) {
    for (const i64 m : {8, 37, 128}) check_blocks(gamma_of(GroupedSign{1000, m, 3}), m, kParts);
}

// The rows that share their targets: one from each part of a chunk, orthogonal to each other.
TEST(grouped_sign_rows_that_share_targets_are_orthogonal) {
    const i64 m = 1024;
    const std::vector<float> gamma = gamma_of(GroupedSign{kChunk, m, 3});
    std::map<std::vector<i64>, std::vector<i64>> groups;  // rows by targets
    for (i64 j = 0; j < kChunk; ++j) {
        std::vector<i64> targets;
        for (i64 k = 0; k < m; ++k)
            if (gamma[j * m + k] != 0.0f) targets.push_back(k);
        groups[targets].push_back(j);
    }
    CHECK(static_cast<int>(groups.size()) == kPart);
    for (const auto& [targets, rows] : groups) {
        CHECK(static_cast<int>(rows.size()) == kParts);
        for (std::size_t a = 0; a < rows.size(); ++a) {
            CHECK(rows[a] / kPart == static_cast<i64>(a));
            for (std::size_t b = 0; b < a; ++b) {
                int agree = 0;
                for (const i64 k : targets)
                    agree += gamma[rows[a] * m + k] == gamma[rows[b] * m + k];
                CHECK(agree == kParts / 2);
            }
        }
    }
}
