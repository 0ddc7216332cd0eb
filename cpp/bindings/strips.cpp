// Binding of the strips of rows.
#include "strips.hpp"

#include <memory>

#include "gil.hpp"

namespace skmm::bindings {
namespace {

// The ranks that a Python object describes: its members size and rank, and its gather(numbers) ->
// (size, count). The object may be let go of without the GIL.
Ranks ranks_of(py::object ranks) {
    for (const char* name : {"size", "rank", "gather"})
        if (!py::hasattr(ranks, name))
            throw py::type_error("ranks: expected an object with size, rank and gather");
    const auto size = ranks.attr("size").cast<std::int64_t>();
    const auto rank = ranks.attr("rank").cast<std::int64_t>();
    require(0 <= rank && rank < size && size <= std::int64_t{1} << 32,
            "ranks: expected a rank below size");
    const std::shared_ptr<py::object> kept(new py::object(std::move(ranks)), [](py::object* old) {
        const HeldGil gil;
        delete old;
    });
    return {size, rank, [kept, size](const double* mine, std::int64_t count, double* all) {
                const HeldGil gil;
                const py::array_t<double> numbers(count, mine);
                const auto found = call(kept->attr("gather"), py::make_tuple(numbers))
                                       .cast<py::array_t<double, py::array::c_style>>();
                require(found.size() == size * count,
                        "ranks: expected gather to return (size, count) numbers");
                std::copy_n(found.data(), found.size(), all);
            }};
}

}  // namespace

void strips(py::module_& m) {
    py::class_<Strips>(m, "Strips")
        .def(py::init([](std::int64_t n_rows, py::object ranks) {
                 require(0 <= n_rows && n_rows <= std::int64_t{1} << 62,
                         "n_rows: expected 0..2^62");
                 if (ranks.is_none()) return Strips(n_rows);
                 return Strips(n_rows, ranks_of(std::move(ranks)));
             }),
             "n_rows"_a, "ranks"_a = py::none())
        .def_property_readonly("n_rows", &Strips::n_rows)
        .def(
            "of_some",
            [](const Strips& all, Array<std::int64_t> rows) {
                const auto listed =
                    indices(rows, rows.size(), "rows: expected a contiguous vector");
                require(all_below(listed, all.n_rows()), "rows: expected 0..n_rows-1");
                std::vector<std::int64_t> bounds{0};
                std::size_t next = 0;
                for (std::int64_t t = 0; t < all.count(); ++t) {
                    const Range strip = all.strip(t);
                    while (next < listed.size() && strip.first <= listed[next] &&
                           listed[next] < strip.last)
                        ++next;
                    bounds.push_back(static_cast<std::int64_t>(next));
                }
                require(next == listed.size(), "rows: expected them strip by strip");
                return all.of_some(std::move(bounds));
            },
            "rows"_a);
    m.def(
        "rows_of_rank",
        [](std::int64_t n_rows, std::int64_t size, std::int64_t rank) {
            require(0 <= n_rows && n_rows <= std::int64_t{1} << 62 && 0 <= rank && rank < size &&
                        size <= std::int64_t{1} << 32,
                    "rank: expected a rank below size, of rows");
            const Range rows = rows_of_rank(n_rows, size, rank);
            return std::pair(rows.first, rows.last);
        },
        "n_rows"_a, "size"_a, "rank"_a);
}

}  // namespace skmm::bindings
