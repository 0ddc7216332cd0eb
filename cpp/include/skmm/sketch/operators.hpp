// Sketches Z = A Γ of dense and CSR rows A. Γ (in_dim, out_dim) is generated from a seed and never
// stored.
//
// Γ is a matrix of float32 numbers, whatever the type of A. Row j of Γ depends only on the seed,
// the kind of sketch, out_dim, zeta and j. Below, m is out_dim. Requires 1 <= in_dim <= 2^62.
#pragma once

#include <cstdint>

#include "skmm/base/float16.hpp"
#include "skmm/base/tick.hpp"
#include "skmm/base/views.hpp"

namespace skmm {

// Sparse sign embedding (SparseStack, OSNAP). The m columns are cut into zeta blocks of nearly
// equal width. Every row of Γ has one entry ±1/√zeta in each block, at a uniformly distributed
// column; the probabilities of the columns are equal to a relative 2^-8 or better.
// Requires 1 <= zeta <= m < 2^24.
struct SparseSign {
    std::int64_t in_dim, out_dim;
    int zeta;
    std::uint64_t seed;
};

// Grouped sign embedding. A single row of Γ is distributed as in SparseSign with zeta = 8, but rows
// are correlated: 8192 consecutive rows form 1024 groups of 8, with one row from each 1024. The
// rows of a group have their entries in the same columns, with orthogonal sign patterns, so that
// one Hadamard butterfly computes their contributions together. Requires 8 <= m < 2^24.
struct GroupedSign {
    std::int64_t in_dim, out_dim;
    std::uint64_t seed;
};

// Gaussian embedding: the entries of Γ are independent N(0, 1/m).
struct Gaussian {
    std::int64_t in_dim, out_dim;
    std::uint64_t seed;
};

// out (A.rows, m) = A Γ[col_offset : col_offset + A.cols]; with `accumulate` the product is added
// to out instead. A has at least one row and one column, col_offset is in [0, in_dim - A.cols], and
// rows of A and out may have any stride. The bits of a row of out depend only on that row of A (and
// of out), on Γ and on col_offset. 16-bit elements are summed as float. The tick counts entries of
// A. Dense rows come as a MatrixView or an OuterView; an OuterView gives the same bits as a
// MatrixView of its products.
//
// The indices of a CSR matrix may be changed by another thread during the call: the sums are then
// of no use, but nothing outside the arrays is read or written. Sign sketches only hash an index;
// the Gaussian sketch reads it once and leaves the entry for later if it does not fit.
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

// Writes the rows [start, start + out.rows) of Γ to out.
void rows_of(const SparseSign&, std::int64_t start, MutableMatrixView<float> out);
void rows_of(const GroupedSign&, std::int64_t start, MutableMatrixView<float> out);
void rows_of(const Gaussian&, std::int64_t start, MutableMatrixView<float> out);

}  // namespace skmm
