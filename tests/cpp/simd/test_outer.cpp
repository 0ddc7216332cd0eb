// Entries of outer products against a loop.
#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;
using check::computed;
using check::normals;

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
