// Bindings of the sketches.
#include "arrays.hpp"
#include "gil.hpp"
#include "initialised.hpp"
#include "skmm/sketch/operators.hpp"
#include "tick.hpp"

template <>
struct pybind11::detail::type_caster<skmm::SparseSign>
    : skmm::bindings::InitialisedCaster<skmm::SparseSign> {};
template <>
struct pybind11::detail::type_caster<skmm::GroupedSign>
    : skmm::bindings::InitialisedCaster<skmm::GroupedSign> {};
template <>
struct pybind11::detail::type_caster<skmm::Gaussian>
    : skmm::bindings::InitialisedCaster<skmm::Gaussian> {};

namespace skmm::bindings {
namespace {

void require_shape(std::int64_t rows, std::int64_t cols, std::int64_t col_offset,
                   std::int64_t in_dim) {
    require(rows > 0 && cols > 0, "expected at least one row and one column");
    require(0 <= col_offset && cols <= in_dim - col_offset,
            "col_offset: expected columns inside the embedding");
}

// Raises ValueError unless Γ has 1..2^62 rows: sums of row numbers must not overflow.
void require_rows(std::int64_t r) {
    require(0 < r && r <= std::int64_t{1} << 62, "in_dim: expected 1..2^62");
}

template <class S, class U>
void def_dense(py::class_<S>& c) {
    c.def(
        "sketch_dense",
        [](const S& s, Array<U> a, std::int64_t col_offset, bool accumulate, int n_threads,
           Array<Sum<U>> out, py::object progress) {
            const auto rows = view(a, "a: expected rows of contiguous elements");
            const auto z =
                mutable_view(out, rows.rows, s.out_dim, "out: expected contiguous (N, m)");
            require_shape(rows.rows, rows.cols, col_offset, s.in_dim);
            threads(n_threads);
            const Tick tick = make_tick(std::move(progress));
            const ReleasedGil released;
            sketch(rows, s, col_offset, accumulate, n_threads, tick, z);
        },
        "a"_a.noconvert(), "col_offset"_a, "accumulate"_a, "n_threads"_a, "out"_a.noconvert(),
        "progress"_a = py::none());
}

template <class S, class T>
void def_outer(py::class_<S>& c) {
    c.def(
        "sketch_outer",
        [](const S& s, Array<T> left, Array<T> right, std::int64_t col_offset, bool accumulate,
           int n_threads, Array<T> out, py::object progress) {
            const auto by_left = view(left, "left: expected rows of contiguous elements");
            const auto by_right = view(right, "right: expected rows of contiguous elements");
            require(by_right.rows == by_left.rows, "right: expected as many rows as left");
            require(by_right.cols == 0 || by_left.cols <= s.in_dim / by_right.cols,
                    "col_offset: expected columns inside the embedding");
            const OuterView<T> rows{by_left, by_right};
            const auto z =
                mutable_view(out, rows.rows, s.out_dim, "out: expected contiguous (N, m)");
            require_shape(rows.rows, rows.cols, col_offset, s.in_dim);
            threads(n_threads);
            const Tick tick = make_tick(std::move(progress));
            const ReleasedGil released;
            sketch(rows, s, col_offset, accumulate, n_threads, tick, z);
        },
        "left"_a.noconvert(), "right"_a.noconvert(), "col_offset"_a, "accumulate"_a, "n_threads"_a,
        "out"_a.noconvert(), "progress"_a = py::none());
}

// Returns why a CSR matrix of nnz entries is unsafe to read, or null if it is safe.
template <class T, class I>
const char* fault_in(const CsrView<T, I>& a, std::int64_t nnz) {
    if (a.indptr[0] != 0 || a.indptr[a.rows] != nnz) return "indptr: expected to run from 0 to nnz";
    for (std::int64_t i = 0; i < a.rows; ++i)
        if (a.indptr[i] > a.indptr[i + 1] || a.indptr[i + 1] > nnz)
            return "indptr: expected no row to end before it begins";
    bool inside = true, ascending = true;
    for (std::int64_t i = 0; i < a.rows; ++i) {
        bool rising = true;
        for (std::int64_t e = a.indptr[i] + 1; e < a.indptr[i + 1]; ++e)
            rising &= a.indices[e - 1] < a.indices[e];
        ascending &= rising;
        // If the indices of a row are ascending, checking the first and the last one is enough.
        const std::int64_t n = a.indptr[i + 1] - a.indptr[i];
        for (std::int64_t e = 0; e < n; e += rising && n > 1 ? n - 1 : 1)
            inside &= 0 <= a.indices[a.indptr[i] + e] && a.indices[a.indptr[i] + e] < a.cols;
    }
    if (!inside) return "indices: expected 0 <= index < number of columns";
    return ascending ? nullptr : "indices: expected strictly ascending within a row";
}

template <class S, class T, class I>
void def_csr(py::class_<S>& c) {
    c.def(
        "sketch_csr",
        [](const S& s, Array<T> values, Array<I> indices, Array<I> indptr, std::int64_t cols,
           std::int64_t col_offset, bool accumulate, int n_threads, Array<T> out,
           py::object progress) {
            const std::int64_t n = out.ndim() == 2 ? out.shape(0) : 0, nnz = values.size();
            // `indices` are checked where they lie, since a copy would take as much memory as
            // the matrix. The sketches stay inside their arrays whatever becomes of them later.
            const auto ends = bindings::indices(indptr, n + 1, "indptr: expected N + 1 entries");
            const CsrView<T, I> a{vector_data(values, nnz, "values: expected a contiguous vector"),
                                  vector_data(indices, nnz, "indices: expected as many as values"),
                                  ends.data(), n, cols};
            const auto z = mutable_view(out, n, s.out_dim, "out: expected contiguous (N, m)");
            require_shape(n, cols, col_offset, s.in_dim);
            threads(n_threads);
            const Tick tick = make_tick(std::move(progress));
            const ReleasedGil released;
            const char* const fault = fault_in(a, nnz);
            if (fault != nullptr) throw py::value_error(fault);
            sketch(a, s, col_offset, accumulate, n_threads, tick, z);
        },
        "values"_a.noconvert(), "indices"_a.noconvert(), "indptr"_a.noconvert(), "cols"_a,
        "col_offset"_a, "accumulate"_a, "n_threads"_a, "out"_a.noconvert(),
        "progress"_a = py::none());
}

template <class S>
void def_family(py::class_<S>& c) {
    def_dense<S, Half>(c);
    def_dense<S, BFloat16>(c);
    for_floats([&](auto zero) {
        using T = decltype(zero);
        def_dense<S, T>(c);
        def_outer<S, T>(c);
        def_csr<S, T, std::int32_t>(c);
        def_csr<S, T, std::int64_t>(c);
    });
    c.def(
        "rows",
        [](const S& s, std::int64_t start, Array<float> out) {
            const auto z = mutable_view(out, out.ndim() == 2 ? out.shape(0) : 0, s.out_dim,
                                        "out: expected contiguous (rows, m)");
            require(0 <= start && z.rows <= s.in_dim - start,
                    "start: expected rows of the embedding");
            const ReleasedGil released;
            rows_of(s, start, z);
        },
        "start"_a, "out"_a.noconvert());
}

}  // namespace

void sketch(py::module_& m) {
    py::class_<SparseSign> sparse_sign(m, "SparseSign");
    sparse_sign.def(py::init([](std::int64_t r, std::int64_t k, int zeta, std::uint64_t seed) {
                        require_rows(r);
                        require(1 <= zeta && zeta <= k && k < (1 << 24),
                                "expected 1 <= nnz_per_row <= out_dim < 2^24");
                        return SparseSign{r, k, zeta, seed};
                    }),
                    "in_dim"_a, "out_dim"_a, "nnz_per_row"_a, "seed"_a);
    def_family(sparse_sign);

    py::class_<GroupedSign> grouped_sign(m, "GroupedSign");
    grouped_sign.def(py::init([](std::int64_t r, std::int64_t k, std::uint64_t seed) {
                         require_rows(r);
                         require(8 <= k && k < (1 << 24), "expected 8 <= out_dim < 2^24");
                         return GroupedSign{r, k, seed};
                     }),
                     "in_dim"_a, "out_dim"_a, "seed"_a);
    def_family(grouped_sign);

    py::class_<Gaussian> gaussian(m, "Gaussian");
    gaussian.def(py::init([](std::int64_t r, std::int64_t k, std::uint64_t seed) {
                     require_rows(r);
                     require(0 < k && k < (1 << 24), "expected 1 <= out_dim < 2^24");
                     return Gaussian{r, k, seed};
                 }),
                 "in_dim"_a, "out_dim"_a, "seed"_a);
    def_family(gaussian);
}

}  // namespace skmm::bindings
