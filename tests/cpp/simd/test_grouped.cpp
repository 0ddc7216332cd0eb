// The butterflies of grouped signs against rows of Γ, one by one.
#include <cstring>
#include <random>

#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::computed;

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
