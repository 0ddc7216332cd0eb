// Columns and entries that are added to their targets, against loops.
#include <algorithm>
#include <random>

#include "../support/kernels.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::computed;
using check::normals;

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
static void check_scatter(int L) {
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
                const T* rows[kTileRows<T>];
                for (int i = 0; i < L; ++i) rows[i] = x.data() + i * stride;
                level.of<T>().scatter_tile(rows, rows, L, count, zeta, tile_targets.view(),
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
    for (const int share : {1, 2, 4}) {
        check_scatter<float>(kTileRows<float> / share);
        check_scatter<double>(kTileRows<double> / share);
    }
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
