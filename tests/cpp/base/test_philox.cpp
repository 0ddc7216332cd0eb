#include "../support/check.hpp"
#include "skmm/base/philox.hpp"

using namespace skmm;

static bool gives(std::uint64_t i, std::uint32_t j, std::uint32_t stream, std::uint64_t key,
                  std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    const Words x = philox(key, static_cast<Stream>(stream), i, j);
    return x.w[0] == a && x.w[1] == b && x.w[2] == c && x.w[3] == d;
}

// The published vectors of Random123.
TEST(philox_known_answers) {
    CHECK(gives(0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
    CHECK(gives(~0ull, ~0u, ~0u, ~0ull, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
    CHECK(gives(0x85a308d3243f6a88, 0x13198a2e, 0x03707344, 0x299f31d0a4093822, 0xd16cfe09,
                0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(uniform_is_inside_the_open_interval) {
    double sum = 0.0;
    for (std::uint64_t i = 0; i < 10000; ++i) {
        const double u = uniform(7, kDraw, i);
        CHECK(u > 0.0 && u < 1.0);
        sum += u;
    }
    CHECK(sum > 4900 && sum < 5100);
}

TEST(philox_of_a_vector_gives_the_words_of_each_lane) {
    typedef std::uint64_t Lanes __attribute__((vector_size(32)));
    const std::uint64_t key = 0x299f31d0a4093822, i = 0x85a308d3243f6a88;
    Lanes w[4] = {
        Lanes{} + i, Lanes{} + (i >> 32), {0, 1, 2, ~0u}, Lanes{} + std::uint64_t{kPicks}};
    philox(w, key, [](Lanes a, std::uint64_t b) { return (a & 0xffffffff) * b; });
    for (int lane = 0; lane < 4; ++lane) {
        const Words x = philox(key, kPicks, i, lane < 3 ? static_cast<std::uint32_t>(lane) : ~0u);
        for (int t = 0; t < 4; ++t) CHECK(static_cast<std::uint32_t>(w[t][lane]) == x.w[t]);
    }
}

TEST(uniform_numbers_are_midpoints) {
    for (std::uint64_t i = 0; i < 1000; ++i) {
        const Words x = philox(7, kDraw, i);
        const std::uint64_t bits = std::uint64_t{x.w[0]} << 32 | x.w[1];
        CHECK(uniform(7, kDraw, i) * 0x1p53 == static_cast<double>(bits >> 12 << 1 | 1));
    }
}
