// Rows of Γ: targets and signs in their blocks, the same on every level.
#include <cmath>

#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::computed;

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
