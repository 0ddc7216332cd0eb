#include "../support/sketches.hpp"

using namespace skmm;
using namespace check;

TEST(signs_of_csr_rows_equal_the_product_with_gamma) {
    const i64 shapes[][3] = {{1, 1, 1},   {1, 300, 5},     {17, 259, 33}, {40, 513, 100},
                             {3, 64, 64}, {2, 17000, 128}, {3, 300, 8},   {7, 2, 9}};
    for (const auto& [n, r, m] : shapes) {
        const int zeta = static_cast<int>(std::min<i64>(m, 7));
        check_csr<float>(SparseSign{r, m, zeta, 5}, n);
        check_csr<double>(SparseSign{r, m, std::min(zeta, 4), 5}, n);
        if (m < 8) continue;
        check_csr<float>(GroupedSign{r, m, 5}, n);
        check_csr<double>(GroupedSign{r, m, 5}, n);
    }
}

// Grouped signs have one sum for each column where all blocks are multiples of kLanes wide.
TEST(signs_of_csr_rows_of_integers_have_the_bits_of_the_dense_rows) {
    for (const i64 n : {1, 2, 40}) {
        check_csr_of_integers<float>(SparseSign{2000, 37, 5, 3}, n);
        check_csr_of_integers<double>(SparseSign{2000, 37, 8, 3}, n);
        check_csr_of_integers<float>(GroupedSign{9000, 128, 3}, n);
        check_csr_of_integers<double>(GroupedSign{9000, 256, 3}, n);
    }
}

template <class S>
static void check_start(const S& s) {
    const i64 m = s.out_dim, start = 123;
    const std::vector<float> all = gamma_of(s);
    std::vector<float> rest(all.size() - start * m, -1.0f);
    rows_of(s, start, MutableMatrixView<float>{rest.data(), s.in_dim - start, m, m});
    CHECK(std::equal(rest.begin(), rest.end(), all.begin() + start * m));
}

TEST(rows_of_gamma_may_begin_anywhere) {
    check_start(SparseSign{300, 37, 5, 3});
    check_start(GroupedSign{300, 37, 3});
    check_start(Gaussian{300, 70, 3});
}
