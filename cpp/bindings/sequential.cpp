// Bindings of the methods that choose rows one after another.
#include "skmm/select/sequential.hpp"

#include <optional>
#include <utility>

#include "arrays.hpp"
#include "constraints.hpp"
#include "gil.hpp"
#include "row_matrix.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

std::vector<double> vector_of(const Array<double>& a, std::int64_t size, const char* what) {
    const double* const x = vector_data(a, size, what);
    return {x, x + size};
}

// Calls rows() without the GIL and returns its result as an array.
template <class F>
py::array_t<std::int64_t> choose(const F& rows) {
    RowList chosen;
    {
        const ReleasedGil released;
        chosen = rows();
    }
    return to_array(chosen);
}

template <class T, class Z>
void def_sequential(py::module_& m) {
    m.def(
        "herding_pursuit",
        [](const Z& z, const Constraints& constraints, Array<double> q, Array<double> drift,
           std::optional<Array<double>> response, Array<double> penalty, int n_threads,
           py::object progress) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const std::int64_t N = rows.rows, k = rows.cols;
            const double* const by = vector_data(penalty, N, "penalty: expected (N,)");
            Target target{vector_of(q, k, "q: expected (m,)"),
                          vector_of(drift, k, "drift: expected (m,)"), nullptr};
            if (response) {
                const auto view = contiguous_view(*response, "response: expected contiguous");
                require(view.rows == k && view.cols == k, "response: expected (m, m)");
                target.response = view.data;
            }
            require_for(constraints, N);
            const Tick tick = make_tick(std::move(progress));
            return choose([&] {
                return herding_pursuit(rows, std::move(target), by, constraints, n_threads, tick);
            });
        },
        "z"_a.noconvert(), "constraints"_a, "q"_a.noconvert(), "drift"_a.noconvert(),
        "response"_a.noconvert(), "penalty"_a.noconvert(), "n_threads"_a,
        "progress"_a = py::none());
    m.def(
        "k_center",
        [](const Z& z, const Constraints& constraints, std::int64_t turn, Array<double> own,
           std::uint64_t seed, int n_threads, py::object progress) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const double* const own_of = vector_data(own, rows.rows, "own: expected (N,)");
            const std::int64_t k = rows.cols;
            require(turn == 0 || (k % 2 == 0 && turn == k / 2), "turn: expected 0 or m / 2");
            require_for(constraints, rows.rows);
            const Tick tick = make_tick(std::move(progress));
            return choose(
                [&] { return k_center(rows, turn, own_of, constraints, seed, n_threads, tick); });
        },
        "z"_a.noconvert(), "constraints"_a, "turn"_a, "own"_a.noconvert(), "seed"_a, "n_threads"_a,
        "progress"_a = py::none());
    m.def(
        "random_pivoting",
        [](const Z& z, const Constraints& constraints, Array<double> norm, std::uint64_t seed,
           int n_threads, py::object progress) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const double* const norms = vector_data(norm, rows.rows, "norm: expected (N,)");
            require_for(constraints, rows.rows);
            const Tick tick = make_tick(std::move(progress));
            return choose(
                [&] { return random_pivoting(rows, norms, constraints, seed, n_threads, tick); });
        },
        "z"_a.noconvert(), "constraints"_a, "norm"_a.noconvert(), "seed"_a, "n_threads"_a,
        "progress"_a = py::none());
}

}  // namespace

void sequential(py::module_& m) {
    for_rows([&](auto* rows) {
        using Rows = std::decay_t<decltype(*rows)>;
        def_sequential<ElementOfRows<Rows>, Rows>(m);
    });
    def_sequential<double, py::object>(m);
}

}  // namespace skmm::bindings
