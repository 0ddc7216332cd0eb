// Z = A Γ for dense and CSR rows A, with Γ (in_dim, out_dim) made from its seed and never stored.
//
// Γ is a matrix of float32 numbers whatever the type of A. Its row j depends on (seed, kind,
// out_dim, zeta, j) alone.
#pragma once

#include <cstdint>

#include "skmm/base/float16.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/views.hpp"

namespace skmm {

// SparseStack / OSNAP: the m columns are cut into zeta blocks of nearly equal width; every row has
// one entry ±1/√zeta at a uniform place (to 2^-8 at worst) of each block. 1 <= zeta <= m < 2^24.
struct SparseSign {
    std::int64_t in_dim, out_dim;
    int zeta;
    std::uint64_t seed;
};

// The same marginals with zeta = 8 and correlated rows: groups of 8 rows, one from each 1024 of
// 8192, share their targets with orthogonal sign patterns, so that one Hadamard butterfly serves
// them together. 8 <= m < 2^24.
struct GroupedSign {
    std::int64_t in_dim, out_dim;
    std::uint64_t seed;
};

// Independent entries N(0, 1/m).
struct Gaussian {
    std::int64_t in_dim, out_dim;
    std::uint64_t seed;
};

// out (A.rows, m) = A Γ[col_offset : col_offset + A.cols], or out += that where `accumulate`.
// The bits of a row of `out` depend on that row of A (and `out`), Γ and col_offset alone.
// The tick counts entries of A. 16-bit elements are summed as float. Dense rows are a MatrixView,
// or an OuterView: the bits are those of a MatrixView of its products.
template <template <class> class Rows, class U>
void sketch(Rows<U> a, const SparseSign&, std::int64_t col_offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out);
template <template <class> class Rows, class U>
void sketch(Rows<U> a, const GroupedSign&, std::int64_t col_offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out);
template <template <class> class Rows, class U>
void sketch(Rows<U> a, const Gaussian&, std::int64_t col_offset, bool accumulate, int n_threads,
            const Tick& tick, MutableMatrixView<Sum<U>> out);
template <class T, class I>
void sketch(CsrView<T, I> a, const SparseSign&, std::int64_t col_offset, bool accumulate,
            int n_threads, const Tick& tick, MutableMatrixView<T> out);
template <class T, class I>
void sketch(CsrView<T, I> a, const GroupedSign&, std::int64_t col_offset, bool accumulate,
            int n_threads, const Tick& tick, MutableMatrixView<T> out);
template <class T, class I>
void sketch(CsrView<T, I> a, const Gaussian&, std::int64_t col_offset, bool accumulate,
            int n_threads, const Tick& tick, MutableMatrixView<T> out);

// out = rows [start, start + out.rows) of Γ.
void rows_of(const SparseSign&, std::int64_t start, MutableMatrixView<float> out);
void rows_of(const GroupedSign&, std::int64_t start, MutableMatrixView<float> out);
void rows_of(const Gaussian&, std::int64_t start, MutableMatrixView<float> out);

}  // namespace skmm
