#include <cmath>
#include <numeric>

#include "../../cpp/src/sketch/segments.hpp"
#include "check.hpp"
#include "skmm/sketch/operators.hpp"

using namespace skmm;
using std::int64_t;

static const Tick kQuiet = [](int64_t) {};

template <class S>
static std::vector<float> dense_gamma(const S& s) {
    std::vector<float> g(static_cast<std::size_t>(s.in_dim * s.out_dim));
    rows_of(s, 0, MutableMatrixView<float>{g.data(), s.in_dim, s.out_dim, s.out_dim});
    return g;
}

// |sketch - naive| <= tol * Σ |a γ|, dense and CSR (every third entry kept), at several threads.
template <class T, class S>
static void compare(const S& s, int64_t n, int threads) {
    const int64_t r = s.in_dim, m = s.out_dim;
    const std::vector<float> gamma = dense_gamma(s);
    std::vector<T> a = check::normals<T>(n * r), values;
    std::vector<int64_t> indices, indptr{0};
    std::vector<T> kept(a.size(), T(0));
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t c = i % 3; c < r; c += 3) {
            kept[i * r + c] = a[i * r + c];
            values.push_back(a[i * r + c]);
            indices.push_back(c);
        }
        indptr.push_back(static_cast<int64_t>(values.size()));
    }
    std::vector<T> dense(n * m), csr(n * m);
    sketch(MatrixView<T>{a.data(), n, r, r}, s, 0, false, threads, kQuiet,
           MutableMatrixView<T>{dense.data(), n, m, m});
    sketch(CsrView<T, int64_t>{values.data(), indices.data(), indptr.data(), n, r}, s, 0, false,
           threads, kQuiet, MutableMatrixView<T>{csr.data(), n, m, m});
    const double tol = sizeof(T) == 4 ? 1e-5 : 1e-13;
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t k = 0; k < m; ++k) {
            double all = 0, some = 0, size = 0;
            for (int64_t c = 0; c < r; ++c) {
                const double g = gamma[c * m + k];
                all += a[i * r + c] * g;
                some += kept[i * r + c] * g;
                size += std::abs(a[i * r + c] * g);
            }
            CHECK(std::abs(dense[i * m + k] - all) <= tol * size + 1e-30);
            CHECK(std::abs(csr[i * m + k] - some) <= tol * size + 1e-30);
        }
    }
}

TEST(sketches_equal_the_product_with_gamma) {
    const int64_t shapes[][3] = {{1, 1, 1},   {1, 300, 5},     {17, 259, 33}, {40, 513, 100},
                                 {3, 64, 64}, {2, 17000, 128}, {3, 300, 8}};
    for (const auto& [n, r, m] : shapes) {
        for (const int threads : {1, 3}) {
            const int zeta = static_cast<int>(std::min<int64_t>(m, 7));
            compare<float>(SparseSign{r, m, zeta, 5}, n, threads);
            compare<double>(SparseSign{r, m, std::min(zeta, 4), 5}, n, threads);
            compare<float>(Gaussian{r, m, 5}, n, threads);
            compare<double>(Gaussian{r, m, 5}, n, threads);
            if (m < 8) continue;
            compare<float>(GroupedSign{r, m, 5}, n, threads);
            compare<double>(GroupedSign{r, m, 5}, n, threads);
        }
    }
}

// The products, each rounded once, give the bits; any sizes, part of Γ, rows apart in memory.
template <class T, class S>
static void compare_outer(const S& s, int64_t n, int64_t left, int64_t right, int threads) {
    const int64_t r = left * right, m = s.out_dim, offset = s.in_dim - r;
    const std::vector<T> e = check::normals<T>(n * (left + 1)), x = check::normals<T>(n * right, 1);
    std::vector<T> products;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < left; ++c)
            for (int64_t j = 0; j < right; ++j)
                products.push_back(e[i * (left + 1) + c] * x[i * right + j]);
    std::vector<T> dense(n * m, T(1)), outer(n * m, T(1));
    sketch(MatrixView<T>{products.data(), n, r, r}, s, offset, true, 1, kQuiet,
           MutableMatrixView<T>{dense.data(), n, m, m});
    sketch(OuterView<T>{{e.data(), n, left, left + 1}, {x.data(), n, right, right}}, s, offset,
           true, threads, kQuiet, MutableMatrixView<T>{outer.data(), n, m, m});
    CHECK(dense == outer);
}

TEST(outer_products_have_the_bits_of_the_dense_rows) {
    const int64_t shapes[][3] = {{1, 1, 1},   {2, 1, 300},  {3, 300, 1},      {17, 7, 37},
                                 {40, 37, 7}, {3, 83, 401}, {18, 401, 2 * 83}};
    for (const auto& [n, left, right] : shapes) {
        for (const int threads : {1, 3}) {
            const int64_t r = left * right + 19;
            compare_outer<float>(SparseSign{r, 20, 7, 5}, n, left, right, threads);
            compare_outer<double>(SparseSign{r, 20, 8, 5}, n, left, right, threads);
            compare_outer<float>(GroupedSign{r, 20, 5}, n, left, right, threads);
            compare_outer<double>(GroupedSign{r, 20, 5}, n, left, right, threads);
            compare_outer<float>(Gaussian{r, 20, 5}, n, left, right, threads);
            compare_outer<double>(Gaussian{r, 20, 5}, n, left, right, threads);
        }
    }
}

// More columns than a segment, fewer rows than threads: the waves of segments.
TEST(long_rows_have_the_same_bits_on_any_threads) {
    const int64_t n = 3, r = 100003, m = 24;
    const SparseSign s{r, m, 8, 1};
    const std::vector<float> a = check::normals<float>(n * r);
    std::vector<float> one(n * m), four(n * m), single(m);
    const auto run = [&](int64_t rows, const float* from, int threads, float* out) {
        sketch(MatrixView<float>{from, rows, r, r}, s, 0, false, threads, kQuiet,
               MutableMatrixView<float>{out, rows, m, m});
    };
    run(n, a.data(), 1, one.data());
    run(n, a.data(), 4, four.data());
    run(1, a.data() + 2 * r, 2, single.data());
    CHECK(one == four);
    CHECK(std::equal(single.begin(), single.end(), one.begin() + 2 * m));
}

TEST(sparse_sign_rows_have_one_entry_per_block) {
    const SparseSign s{1000, 37, 5, 3};
    const std::vector<float> g = dense_gamma(s);
    const float entry = 1.0f / std::sqrt(5.0f);
    for (int64_t j = 0; j < s.in_dim; ++j) {
        for (int64_t b = 0; b < 5; ++b) {
            int entries = 0;
            for (int64_t k = b * 37 / 5; k < (b + 1) * 37 / 5; ++k) {
                entries += g[j * 37 + k] != 0.0f;
                CHECK(g[j * 37 + k] == 0.0f || std::abs(g[j * 37 + k]) == entry);
            }
            CHECK(entries == 1);
        }
    }
}

TEST(a_tick_that_throws_stops_the_sketch) {
    const std::vector<float> a(100, 1.0f);
    std::vector<float> out(10);
    bool thrown = false;
    try {
        sketch(
            MatrixView<float>{a.data(), 1, 100, 100}, SparseSign{100, 10, 2, 0}, 0, false, 2,
            [](int64_t) { throw 1; }, MutableMatrixView<float>{out.data(), 1, 10, 10});
    } catch (int) {
        thrown = true;
    }
    CHECK(thrown);
}

// Every thread has a block where there are as many, and no more wait than memory and ticks allow.
TEST(blocks_in_work_occupy_threads_within_bounds) {
    for (const int64_t rows : {1, 2, 16, 17, 300, 5000})
        for (const int64_t segments : {1, 2, 3, 10, 3000})
            for (const int64_t tile : {1, 16})
                for (const int64_t row_bytes : {64, 2048, 1 << 20})
                    for (const int64_t entries : {1, 8, 4096})
                        for (const int threads : {1, 2, 3, 16, 1000}) {
                            const Plan p = plan(rows, segments, tile, row_bytes, entries, threads);
                            CHECK(p.group > 0 && p.group % tile == 0 && p.group <= kGroupRows);
                            CHECK(0 < p.wave && p.wave <= segments);
                            CHECK(0 < p.groups && (p.groups - 1) * p.group < rows);
                            const int64_t blocks = p.groups * p.wave;
                            const int64_t all = ceil_div(rows, p.group) * segments;
                            const int64_t room = kSumBytes / (p.group * row_bytes);
                            const int64_t work = kWork / (p.group * kSegment * entries);
                            CHECK(blocks >= std::min<int64_t>(all, threads));
                            CHECK(blocks <= std::max(std::min(room, work), 5 * threads + p.wave));
                        }
}
