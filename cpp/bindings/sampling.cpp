// Bindings of the random samples.
#include "skmm/select/sampling.hpp"

#include <optional>
#include <vector>

#include "arrays.hpp"
#include "gil.hpp"
#include "strips.hpp"

namespace skmm::bindings {
namespace {

// The type of draw_systematic and draw_pivotal.
using Method = std::vector<std::int64_t> (*)(const double*, std::int64_t, std::int64_t,
                                             std::uint64_t, const std::int64_t*);

void def_draw(py::module_& m, const char* name, Method draw) {
    m.def(
        name,
        [draw](Array<double> pi, std::int64_t n, std::uint64_t seed,
               std::optional<Array<std::int64_t>> order) {
            const std::int64_t rows = pi.size();
            const double* const p = vector_data(pi, rows, "pi: expected a contiguous vector");
            require(1 <= n && n <= rows, "n: expected 1..N");
            std::vector<std::int64_t> in_order;
            if (order) in_order = indices(*order, rows, "order: expected contiguous (N,)");
            require(all_below(in_order, rows), "order: expected rows in 0..N-1");
            std::vector<std::int64_t> drawn;
            {
                const ReleasedGil released;
                drawn = draw(p, rows, n, seed, order ? in_order.data() : nullptr);
            }
            return to_array(drawn);
        },
        "pi"_a.noconvert(), "n"_a, "seed"_a, "order"_a.noconvert() = py::none());
}

}  // namespace

void sampling(py::module_& m) {
    def_draw(m, "draw_systematic", &draw_systematic);
    def_draw(m, "draw_pivotal", &draw_pivotal);
    m.def(
        "draw_systematic_on_ranks",
        [](Array<double> pi, Array<std::int64_t> key, std::int64_t n, std::uint64_t seed,
           const Strips& strips) {
            const std::int64_t rows = pi.size();
            const double* const p = vector_data(pi, rows, "pi: expected a contiguous vector");
            const auto keys = indices(key, rows, "key: expected contiguous (N,)");
            constexpr std::int64_t kMost = std::int64_t{1} << 53;
            for (const std::int64_t k : keys)
                require(-kMost < k && k < kMost, "key: expected numbers within 2^53");
            const double all = strips.sum({static_cast<double>(rows)}).front();
            require(1 <= n && static_cast<double>(n) <= all, "n: expected 1..N");
            std::vector<std::int64_t> drawn;
            {
                const ReleasedGil released;
                drawn = draw_systematic_on_ranks(p, keys.data(), rows, n, seed, strips);
            }
            return to_array(drawn);
        },
        "pi"_a.noconvert(), "key"_a.noconvert(), "n"_a, "seed"_a, "strips"_a);
    m.def(
        "draw_subset",
        [](std::int64_t n_rows, std::int64_t n, std::uint64_t seed, std::uint32_t which) {
            require(0 <= n && n <= n_rows, "n: expected 0..N");
            std::vector<std::int64_t> drawn;
            {
                const ReleasedGil released;
                drawn = draw_subset(n_rows, n, seed, which);
            }
            return to_array(drawn);
        },
        "n_rows"_a, "n"_a, "seed"_a, "which"_a = 0);
    m.def(
        "random_order",
        [](std::int64_t n_rows, std::uint64_t seed, std::uint32_t which) {
            require(0 <= n_rows, "n_rows: expected at least 0");
            std::vector<std::int64_t> order;
            {
                const ReleasedGil released;
                order = random_order(n_rows, seed, which);
            }
            return to_array(order);
        },
        "n_rows"_a, "seed"_a, "which"_a = 0);
}

}  // namespace skmm::bindings
