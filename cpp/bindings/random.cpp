#include "arrays.hpp"
#include "skmm/philox.hpp"

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
        [](Array<std::int64_t> ids, std::uint64_t seed) {
            const std::int64_t* id =
                vector_data(ids, ids.size(), "ids: expected a contiguous vector");
            py::array_t<double> out(ids.size());
            double* u = out.mutable_data();
            const std::int64_t n = ids.size();
            const py::gil_scoped_release release;
            for (std::int64_t i = 0; i < n; ++i)
                u[i] = uniform(seed, kRandomTargets, static_cast<std::uint64_t>(id[i]));
            return out;
        },
        "ids"_a.noconvert(), "seed"_a);
}

}  // namespace skmm::bindings
