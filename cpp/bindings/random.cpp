// Bindings of the random number generator.
#include "arrays.hpp"
#include "gil.hpp"
#include "skmm/base/philox.hpp"

namespace skmm::bindings {

void random(py::module_& m) {
    m.def(
        "philox",
        [](std::array<std::uint32_t, 4> counter, std::uint64_t key) {
            const Words x = philox(key, static_cast<Stream>(counter[3]),
                                   std::uint64_t{counter[1]} << 32 | counter[0], counter[2]);
            return std::array<std::uint32_t, 4>{x.w[0], x.w[1], x.w[2], x.w[3]};
        },
        "counter"_a, "key"_a);
    m.def(
        "random_target_uniforms",
        [](Array<std::int64_t> ids, std::uint64_t seed, std::uint32_t entries) {
            const std::int64_t* id =
                vector_data(ids, ids.size(), "ids: expected a contiguous vector");
            const std::int64_t n = ids.size();
            py::array_t<double> out({n, std::int64_t{entries}});
            double* u = out.mutable_data();
            const ReleasedGil released;
            for (std::int64_t i = 0; i < n; ++i)
                for (std::uint32_t j = 0; j < entries; ++j)
                    *u++ = uniform(seed, kRandomTargets, static_cast<std::uint64_t>(id[i]), j);
            return out;
        },
        "ids"_a.noconvert(), "seed"_a, "entries"_a);
}

}  // namespace skmm::bindings
