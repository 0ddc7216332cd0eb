// Products of small matrices against loops.
#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::computed;
using check::fused;
using check::normals;

template <class T>
static void check_axpy() {
    const T x = T(0.7);
    for (const i64 m : {1, 7, 16, 37}) {
        const std::vector<float> row = normals<float>(m);
        const std::vector<T> before = normals<T>(m, 1);
        const auto out = computed([&](const Kernels& level) {
            std::vector<T> y = before;
            level.of<T>().axpy(x, row.data(), m, y.data());
            return y;
        });
        for (i64 k = 0; k < m; ++k) CHECK(out[k] == before[k] + x * static_cast<T>(row[k]));
    }
}

TEST(axpy_equals_a_loop) {
    check_axpy<float>();
    check_axpy<double>();
}

// Rows and columns of A may be exchanged by its strides; rows of the output may lie apart.
TEST(panels_equal_loops) {
    const i64 apart = kPanel + 3;
    for (const i64 rows : {1, 2, 5, 6, 13}) {
        for (const int depth : {1, 4, 37, kSummed + 5}) {
            const std::vector<double> a = normals<double>(rows * depth),
                                      panel = normals<double>(depth * kPanel, 1),
                                      before = normals<double>(rows * apart, 2);
            for (const bool turned : {false, true}) {
                const i64 a_row = turned ? 1 : depth, a_col = turned ? rows : 1;
                const auto out = computed(
                    [&](const Kernels& level) {
                        std::vector<double> y = before;
                        level.any.gemm_panel(a.data(), a_row, a_col, rows, depth, panel.data(),
                                             y.data(), apart);
                        return y;
                    },
                    true);
                for (i64 i = 0; i < rows; ++i) {
                    for (i64 k = 0; k < apart; ++k) {
                        double total = before[i * apart + k], sum = 0.0;
                        for (int c = 0; c < depth && k < kPanel; ++c) {
                            sum = fused(a[i * a_row + c * a_col], panel[c * kPanel + k], sum);
                            if (c + 1 == depth || c + 1 == kSummed) {
                                total += sum;
                                sum = 0.0;
                            }
                        }
                        CHECK(out[i * apart + k] == total);
                    }
                }
            }
        }
    }
}

template <class T>
static void check_strips() {
    const i64 apart = kStrip + 3;
    for (const i64 rows : {1, 2, 5, 6, 13}) {
        for (const int width : {1, 5, 16, 33, 63, kStrip}) {
            const int depth = 19;
            const i64 a_stride = depth + 2;
            const std::vector<T> a = normals<T>(rows * a_stride),
                                 before = normals<T>(rows * apart, 2);
            const std::vector<float> strip = normals<float>(depth * kStrip, 1);
            const auto out = computed(
                [&](const Kernels& level) {
                    std::vector<T> y = before;
                    level.of<T>().gemm_strip(a.data(), a_stride, rows, depth, strip.data(),
                                             y.data(), apart, width);
                    return y;
                },
                true);
            for (i64 i = 0; i < rows; ++i) {
                for (i64 k = 0; k < apart; ++k) {
                    T sum = 0;
                    for (int c = 0; c < depth && k < width; ++c)
                        sum =
                            fused(a[i * a_stride + c], static_cast<T>(strip[c * kStrip + k]), sum);
                    CHECK(out[i * apart + k] == before[i * apart + k] + sum);
                }
            }
        }
    }
}

TEST(strips_equal_loops) {
    check_strips<float>();
    check_strips<double>();
}
