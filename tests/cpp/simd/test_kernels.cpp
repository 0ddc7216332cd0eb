// Each kernel against a naive loop, and the level in use against the baseline, bit for bit.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "../support/check.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
extern const Kernels kernels_baseline;  // every build has it
}

using namespace skmm;
using check::normals;

// f(kernels), a vector of numbers: the same bits from the level in use and from the baseline.
template <class F>
static auto computed(const F& f) {
    const auto out = f(kernels()), plain = f(kernels_baseline);
    CHECK(out.size() == plain.size() &&
          std::memcmp(out.data(), plain.data(), out.size() * sizeof out[0]) == 0);
    return out;
}

// Up to rounding of sums whose terms are of this size.
static bool close(double a, double b, double size) { return std::abs(a - b) <= 1e-14 * size; }

template <class Table>
static void check_filled(const Table& table) {
    std::array<std::uintptr_t, sizeof(Table) / sizeof(std::uintptr_t)> words;
    static_assert(sizeof words == sizeof table, "the table is made of pointers");
    std::memcpy(words.data(), &table, sizeof table);
    for (const std::uintptr_t word : words) CHECK(word != 0);
}

TEST(every_kernel_of_the_table_is_set) {
    for (const Kernels* level : {&kernels(), &kernels_baseline}) {
        check_filled(level->any);
        check_filled(level->f32);
        check_filled(level->f64);
        CHECK(level->f32.grouped_rows_at_once >= 1 && level->f64.grouped_rows_at_once >= 1);
        CHECK(level->f32.grouped_rows_at_once <= kGroupedRows);
        CHECK(level->f64.grouped_rows_at_once <= kGroupedRows);
    }
}

// All 65536 numbers, `count` at a time.
template <class U>
static std::vector<float> widened(void (*TypeFreeKernels::*widen)(const U*, int, float*),
                                  int count) {
    std::vector<U> x;
    for (int bits = 0; bits < 1 << 16; ++bits) x.push_back({static_cast<u16>(bits)});
    return computed([&](const Kernels& level) {
        std::vector<float> out(x.size());
        const int n = static_cast<int>(x.size());
        for (int c = 0; c < n; c += count)
            (level.any.*widen)(x.data() + c, std::min(count, n - c), out.data() + c);
        return out;
    });
}

TEST(halves_are_widened_exactly) {
    for (const int count : {1, 7, 33, 1 << 16}) {
        const std::vector<float> out = widened<Half>(&TypeFreeKernels::widen_half, count);
        for (int bits = 0; bits < 1 << 16; ++bits) {
            const int exponent = bits >> 10 & 31, digits = bits & 1023;
            const float x = out[bits];
            CHECK(std::signbit(x) == (bits >> 15 == 1));
            if (exponent == 31) {
                CHECK(digits == 0 ? std::isinf(x) : std::isnan(x));
            } else {
                const int leading = exponent > 0 ? 1024 : 0;
                CHECK(std::abs(x) == std::ldexp(leading + digits, std::max(exponent, 1) - 25));
            }
        }
    }
}

TEST(bfloat16s_are_widened_exactly) {
    for (const int count : {1, 7, 33, 1 << 16}) {
        const std::vector<float> out = widened<BFloat16>(&TypeFreeKernels::widen_bfloat16, count);
        for (u32 bits = 0; bits < 1 << 16; ++bits) {
            u32 wide;
            std::memcpy(&wide, &out[bits], sizeof wide);
            CHECK(wide == bits << 16);
        }
    }
}

template <class T>
static void check_outer_entries() {
    const std::vector<T> left = normals<T>(200), right = normals<T>(37, 1);
    for (const i64 d : {1, 3, 37})
        for (const i64 c : {0, 5, 40})
            for (const int count : {1, 2, 20, 100}) {
                const auto out = computed([&](const Kernels& level) {
                    std::vector<T> x(count);
                    level.of<T>().outer(left.data(), right.data(), d, c, count, x.data());
                    return x;
                });
                for (int k = 0; k < count; ++k)
                    CHECK(out[k] == left[(c + k) / d] * right[(c + k) % d]);
            }
}

TEST(outer_entries_are_single_products) {
    check_outer_entries<float>();
    check_outer_entries<double>();
}

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

template <class T>
static void check_sums_over_rows() {
    const i64 rows = 5;
    for (const i64 k : {1, 7, 8, 9, 37}) {
        std::vector<T> y = normals<T>(rows * k);
        const std::vector<double> u = normals<double>(k, 1), s{0.5, 2.0, 0.0, 0.25, 3.0};
        const auto each_row = [&](auto TypedKernels<T>::* kernel) {
            return computed([&](const Kernels& level) {
                std::vector<double> out(rows);
                (level.of<T>().*kernel)(y.data(), rows, k, u.data(), out.data());
                return out;
            });
        };
        const auto dots = each_row(&TypedKernels<T>::dots);
        const auto square_dots = each_row(&TypedKernels<T>::square_dots);
        for (i64 i = 0; i < rows; ++i) {
            double dot = 0, size = 0, square_dot = 0, square_size = 0;
            for (i64 j = 0; j < k; ++j) {
                const double x = y[i * k + j];
                dot += u[j] * x;
                size += std::abs(u[j] * x);
                square_dot += u[j] * x * x;
                square_size += std::abs(u[j]) * x * x;
            }
            CHECK(close(dots[i], dot, size));
            CHECK(close(square_dots[i], square_dot, square_size));
        }

        y[2 * k] = std::numeric_limits<T>::quiet_NaN();  // a row of weight zero is not read
        const auto p = computed([&](const Kernels& level) {
            std::vector<double> out(k, -1.0);
            level.of<T>().weighted_squares(y.data(), rows, k, s.data(), out.data());
            return out;
        });
        for (i64 j = 0; j < k; ++j) {
            double sum = 0.0;
            for (const i64 i : {0, 1, 3, 4}) {
                const double x = y[i * k + j];
                sum += s[i] * (x * x);
            }
            CHECK(p[j] == sum);
        }
    }
}

TEST(sums_over_rows_equal_loops) {
    check_sums_over_rows<float>();
    check_sums_over_rows<double>();
}

// C of a few vectors, changed one after another, beside the matrix C itself.
template <class T>
static void check_rank_one() {
    const i64 rows = 6;
    for (const i64 k : {1, 5, 8, 19}) {
        const std::vector<T> w = normals<T>(rows * k);
        std::vector<double> c(k * k);
        for (i64 d = 0; d < k; ++d) c[d * k + d] = 0.25;
        const auto image = [&](const double* x) {
            std::vector<double> y(k);
            for (i64 a = 0; a < k; ++a)
                for (i64 b = 0; b < k; ++b) y[a] += c[a * k + b] * x[b];
            return y;
        };
        const auto seen = [&](std::vector<double>& p, std::vector<double>& q) {
            for (i64 i = 0; i < rows; ++i) {
                const std::vector<double> x(&w[i * k], &w[i * k] + k), y = image(x.data());
                p.push_back(0.0);
                q.push_back(0.0);
                for (i64 a = 0; a < k; ++a) {
                    p.back() += x[a] * y[a];
                    q.back() += y[a] * y[a];
                }
            }
        };
        std::vector<double> p, q, p_after, q_after;
        seen(p, q);

        constexpr int kCount = 4;
        const double signs[kCount] = {1.0, 1.0, -1.0, 1.0};  // the third takes the second back
        const std::vector<double> added = normals<double>(2 * k, 1);
        std::vector<double> u[kCount], v[kCount];
        RankOne changes[kCount];
        for (int t = 0; t < kCount; ++t) {
            const double* x = &added[t == 1 || t == 2 ? k : 0];
            u[t] = image(x);
            v[t] = image(u[t].data());
            double uu = 0, xu = 0;
            for (i64 a = 0; a < k; ++a) {
                uu += u[t][a] * u[t][a];
                xu += x[a] * u[t][a];
            }
            changes[t] = {u[t].data(), v[t].data(), uu, signs[t] * (1.0 + signs[t] * xu)};
            for (i64 a = 0; a < k; ++a)
                for (i64 b = 0; b < k; ++b) c[a * k + b] -= u[t][a] * u[t][b] / changes[t].delta;
        }
        seen(p_after, q_after);
        const auto out = computed([&](const Kernels& level) {
            std::vector<double> both = p;
            both.insert(both.end(), q.begin(), q.end());
            level.of<T>().rank_one(w.data(), rows, k, changes, kCount, both.data(),
                                   both.data() + rows);
            return both;
        });
        for (i64 i = 0; i < rows; ++i) {
            CHECK(std::abs(out[i] - p_after[i]) <= 1e-12 * p[i]);
            CHECK(std::abs(out[rows + i] - q_after[i]) <= 1e-12 * q[i]);
        }
    }
}

TEST(rank_one_changes_equal_those_of_the_matrix) {
    check_rank_one<float>();
    check_rank_one<double>();
}

TEST(norms_are_added) {
    const i64 rows = 5;
    const std::vector<double> y = normals<double>(rows * kPanel), before = normals<double>(rows, 1);
    const auto q = computed([&](const Kernels& level) {
        std::vector<double> out = before;
        level.any.add_norms(y.data(), rows, out.data());
        return out;
    });
    for (i64 i = 0; i < rows; ++i) {
        double norm = 0.0;
        for (i64 k = 0; k < kPanel; ++k) norm += y[i * kPanel + k] * y[i * kPanel + k];
        CHECK(close(q[i], before[i] + norm, norm + 1.0));
    }
}

TEST(clipped_sums_equal_loops) {
    const double tau = 0.1, cap = 0.5;
    for (const i64 count : {1, 7, 8, 9, 100, 4096}) {
        std::vector<double> v = normals<double>(count);
        v[0] = tau;  // neither end of the box is inside
        if (count > 1) v[1] = 1.0;
        const auto out = computed([&](const Kernels& level) {
            double sum;
            i64 inside;
            level.any.clipped_sum(v.data(), count, tau, cap, &sum, &inside);
            return std::vector<double>{sum, static_cast<double>(inside)};
        });
        double sum = 0.0, inside = 0.0;
        for (const double x : v) {
            sum += std::min(std::max(x - tau, 0.0), cap);
            inside += x - tau > 0.0 && x - tau < cap;
        }
        CHECK(close(out[0], sum, sum));
        CHECK(out[1] == inside);
    }
}

static void check_ray_sums(i64 first, i64 last, double tau) {
    const i64 n = 120;
    const std::vector<double> centre = normals<double>(n), g = normals<double>(n, 1),
                              d = normals<double>(n, 2);
    const double a = 0.3, step = 0.7, cap = 0.6;
    const auto out = computed([&](const Kernels& level) {
        RaySums s;
        const Ray ray{centre.data(), g.data(), d.data(), step, cap};
        level.any.ray_sums(ray, first, last, a, tau, &s);
        return std::vector<double>{s.mass, s.inside, s.along, s.d_inside, s.dd_inside};
    });
    double sums[5] = {};
    for (i64 i = first; i < last; ++i) {
        const double v = centre[i] + step * (g[i] + a * d[i]) - tau;
        const double x = std::min(std::max(v, 0.0), cap), inside = v > 0.0 && v < cap;
        const double terms[] = {x, inside, d[i] * x, inside * d[i], inside * d[i] * d[i]};
        for (int t = 0; t < 5; ++t) sums[t] += terms[t];
    }
    for (int t = 0; t < 5; ++t) CHECK(close(out[t], sums[t], static_cast<double>(n)));
    CHECK(out[1] == sums[1]);
}

// Lanes past the end count for nothing, on whichever side of zero the threshold lies.
TEST(ray_sums_equal_loops) {
    for (const i64 first : {0, 3})
        for (const i64 last : {4, 8, 11, 100, 120})
            for (const double tau : {0.2, -0.2, -2.0}) check_ray_sums(first, last, tau);
}

// Rows and columns of A may be exchanged by its strides; rows of the output may lie apart.
TEST(panels_equal_loops) {
    const i64 apart = kPanel + 3;
    for (const i64 rows : {1, 2, 5, 6, 13}) {
        for (const int depth : {1, 4, 37}) {
            const std::vector<double> a = normals<double>(rows * depth),
                                      panel = normals<double>(depth * kPanel, 1),
                                      before = normals<double>(rows * apart, 2);
            for (const bool turned : {false, true}) {
                const i64 a_row = turned ? 1 : depth, a_col = turned ? rows : 1;
                const auto out = computed([&](const Kernels& level) {
                    std::vector<double> y = before;
                    level.any.gemm_panel(a.data(), a_row, a_col, rows, depth, panel.data(),
                                         y.data(), apart);
                    return y;
                });
                for (i64 i = 0; i < rows; ++i) {
                    for (i64 k = 0; k < apart; ++k) {
                        double sum = 0.0;
                        for (int c = 0; c < depth && k < kPanel; ++c)
                            sum += a[i * a_row + c * a_col] * panel[c * kPanel + k];
                        CHECK(out[i * apart + k] == before[i * apart + k] + sum);
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
            const auto out = computed([&](const Kernels& level) {
                std::vector<T> y = before;
                level.of<T>().gemm_strip(a.data(), a_stride, rows, depth, strip.data(), y.data(),
                                         apart, width);
                return y;
            });
            for (i64 i = 0; i < rows; ++i) {
                for (i64 k = 0; k < apart; ++k) {
                    T sum = 0;
                    for (int c = 0; c < depth && k < width; ++c)
                        sum += a[i * a_stride + c] * static_cast<T>(strip[c * kStrip + k]);
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

// Random targets: those of entry b of a row lie in block b of the columns, kWidth of them.
struct RandomTargets {
    static constexpr u32 kWidth = 5;

    RandomTargets(int zeta, u32 stride) : target(zeta * kTargetBlock), sign(target.size()) {
        std::mt19937 engine(6);
        for (std::size_t e = 0; e < target.size(); ++e) {
            const u32 block = static_cast<u32>(e / kTargetBlock);
            target[e] = (kWidth * block + static_cast<u32>(engine()) % kWidth) * stride;
            sign[e] = static_cast<u32>(engine() & 1) << 31;
        }
    }
    Targets view() { return {target.data(), sign.data()}; }

    std::vector<u32> target, sign;
};

template <class T>
static void check_scatter() {
    constexpr int L = kTileRows<T>;
    for (const int zeta : {1, 2, 3, 4, 8}) {
        for (const int count : {1, 3, 8, 15, 16, 100, kTargetBlock}) {
            RandomTargets row_targets(zeta, 1), tile_targets(zeta, L);
            const i64 m = RandomTargets::kWidth * zeta, stride = count + 3;
            const std::vector<T> x = normals<T>(L * stride), before = normals<T>(m * L, 1);

            const auto row = computed([&](const Kernels& level) {
                std::vector<T> acc(before.begin(), before.begin() + m);
                level.of<T>().scatter_row(x.data(), count, zeta, row_targets.view(), acc.data());
                return acc;
            });
            const auto tile = computed([&](const Kernels& level) {
                const Scratch<T> acc(m * L);
                std::copy(before.begin(), before.end(), acc.data());
                const T* rows[L];
                for (int i = 0; i < L; ++i) rows[i] = x.data() + i * stride;
                level.of<T>().scatter_tile(rows, rows, count, zeta, tile_targets.view(),
                                           acc.data());
                return std::vector<T>(acc.data(), acc.data() + m * L);
            });

            std::vector<T> naive_row(before.begin(), before.begin() + m), naive_tile = before;
            for (int c = 0; c < count; ++c) {
                for (int b = 0; b < zeta; ++b) {
                    const int e = b * kTargetBlock + c;
                    const T sign = row_targets.sign[e] ? T(-1) : T(1);
                    naive_row[row_targets.target[e]] += sign * x[c];
                    for (int i = 0; i < L; ++i)
                        naive_tile[tile_targets.target[e] + i] += sign * x[i * stride + c];
                }
            }
            CHECK(row == naive_row);
            CHECK(tile == naive_tile);
        }
    }
}

TEST(scattered_rows_and_tiles_equal_loops) {
    check_scatter<float>();
    check_scatter<double>();
}

template <class T>
static void check_add_tile() {
    constexpr int L = kTileRows<T>;
    const T scale = T(0.3);
    for (const i64 m : {1, 8, 16, 37}) {
        for (const int rows : {1, 3, L}) {
            const i64 stride = m + 2;
            const std::vector<T> acc = normals<T>(m * L), before = normals<T>(rows * stride, 1);
            const auto out = computed([&](const Kernels& level) {
                std::vector<T> y = before;
                level.of<T>().add_tile(acc.data(), m, scale, rows, y.data(), stride);
                return y;
            });
            for (i64 i = 0; i < rows; ++i)
                for (i64 k = 0; k < stride; ++k)
                    CHECK(out[i * stride + k] ==
                          before[i * stride + k] + (k < m ? scale * acc[k * L + i] : T(0)));
        }
    }
}

TEST(tiles_are_added_to_rows) {
    check_add_tile<float>();
    check_add_tile<double>();
}

// Targets and signs of the rows that a kernel of signs writes.
template <class Kernel>
static std::vector<u32> signs_of(int entries, int count, const Kernel& kernel) {
    std::vector<u64> j;
    for (int c = 0; c < count; ++c) j.push_back(static_cast<u64>(c) * 12345);
    return computed([&](const Kernels& level) {
        std::vector<u32> target(entries * kTargetBlock), sign(target.size()), out;
        kernel(level, j.data(), Targets{target.data(), sign.data()});
        for (int b = 0; b < entries; ++b) {
            const u32 first = static_cast<u32>(b * kTargetBlock);
            out.insert(out.end(), target.data() + first, target.data() + first + count);
            out.insert(out.end(), sign.data() + first, sign.data() + first + count);
        }
        return out;
    });
}

static void check_signs(const std::vector<u32>& signs, i64 m, int entries, int count, u32 stride) {
    for (int b = 0; b < entries; ++b) {
        for (int c = 0; c < count; ++c) {
            const u32 target = signs[2 * b * count + c], sign = signs[(2 * b + 1) * count + c];
            CHECK(target % stride == 0 && target / stride >= b * m / entries);
            CHECK(target / stride < (b + 1) * m / entries);
            CHECK(sign == 0 || sign == 1u << 31);
        }
    }
}

TEST(signs_lie_in_their_blocks) {
    for (const u32 stride : {1, 16}) {
        for (const int count : {1, 7, 100, kTargetBlock}) {
            for (const auto& [m, zeta] : {std::pair<i64, int>{37, 5}, {8, 8}, {5000, 2}}) {
                const auto sparse = signs_of(
                    zeta, count,
                    [&, m = m, zeta = zeta](const Kernels& level, const u64* j, Targets out) {
                        level.any.sparse_sign(3, j, count, m, zeta, stride, out);
                    });
                check_signs(sparse, m, zeta, count, stride);
            }
            for (const i64 m : {8, 37, 128}) {
                const auto grouped =
                    signs_of(kParts, count, [&](const Kernels& level, const u64* j, Targets out) {
                        level.any.grouped_sign(3, j, count, m, stride, out);
                    });
                check_signs(grouped, m, kParts, count, stride);
            }
        }
    }
}

TEST(gaussian_rows_are_the_same_on_every_level) {
    const u64 j[] = {0, 5, u64{1} << 40};
    for (const int strip : {0, 3}) {
        const auto rows = computed([&](const Kernels& level) {
            std::vector<float> out(3 * kStrip);
            level.any.gaussian(7, j, 3, 300, strip, out.data());
            return out;
        });
        for (const float x : rows) CHECK(std::abs(x) < 8 / std::sqrt(300.0f) && x != 0.0f);
    }
}

// The columns of a chunk that the steps in question take, beside the rows of Γ one by one. Sums of
// integers are exact in any order.
template <class T>
static void check_grouped_rows(i64 m, int rows, u64 steps) {
    const u64 key = 9, number = 2;
    const auto bytes = computed([&](const Kernels& level) {
        GroupedChunk chunk;
        level.any.grouped_chunk(key, number, m, &chunk);
        std::vector<unsigned char> out(sizeof chunk);
        std::memcpy(out.data(), &chunk, sizeof chunk);
        return out;
    });
    GroupedChunk chunk;
    std::memcpy(&chunk, bytes.data(), sizeof chunk);

    std::mt19937 engine(6);
    std::vector<T> x(rows * kChunk);
    for (T& e : x) e = static_cast<T>(static_cast<int>(engine() % 9) - 4);
    const i64 stride = grouped_stride(m), row_size = kParts * stride;
    const auto acc = computed([&](const Kernels& level) {
        std::vector<T> sums(rows * row_size);
        const T* from[] = {x.data(), x.data() + (rows - 1) * kChunk};
        level.of<T>().grouped_rows(from, from, rows, chunk, steps, sums.data(), row_size);
        return sums;
    });
    std::vector<T> out(rows * m), naive(rows * m);
    for (i64 i = 0; i < rows; ++i) {
        for (int k = 0; k < kParts; ++k) {
            const Block block = grouped_block(k, m);
            for (i64 p = 0; p < stride; ++p)
                out[i * m + block.first + p % block.width] += acc[i * row_size + k * stride + p];
        }
    }

    std::vector<u32> target(kParts * kTargetBlock), sign(target.size());
    for (i64 c = 0; c < kChunk; ++c) {
        const i64 vector = c % kPart / kLanes;
        if ((steps >> (vector + kSteps - chunk.rotation[c / kPart]) % kSteps & 1) == 0) continue;
        const u64 j = number * kChunk + static_cast<u64>(c);
        kernels().any.grouped_sign(key, &j, 1, m, 1, {target.data(), sign.data()});
        for (i64 i = 0; i < rows; ++i) {
            for (int k = 0; k < kParts; ++k) {
                const T e = x[i * kChunk + c];
                naive[i * m + target[k * kTargetBlock]] += sign[k * kTargetBlock] ? -e : e;
            }
        }
    }
    CHECK(out == naive);
}

TEST(butterflies_equal_the_rows_of_gamma_one_by_one) {
    for (const i64 m : {8, 20, 128, 300}) {
        for (int rows = 1; rows <= kGroupedRows; ++rows) {
            for (const u64 steps : {~u64{0}, u64{0x8000000000010f01}, u64{0}}) {
                check_grouped_rows<float>(m, rows, steps);
                check_grouped_rows<double>(m, rows, steps);
            }
        }
    }
}
