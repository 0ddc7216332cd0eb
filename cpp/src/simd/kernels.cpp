// The SIMD leaf: compiled once per ISA level, with SKMM_LEVEL set to the level's name.
//
// Same bits on every level: element-wise operations, no contraction, and every sum in an order that
// the source spells out.
#include "skmm/simd/kernels.hpp"

#include "gemm.hpp"
#include "grouped.hpp"
#include "outer.hpp"
#include "random_rows.hpp"
#include "scatter.hpp"
#include "sums.hpp"
#include "widen.hpp"

#define SKMM_CONCAT_(a, b) a##b
#define SKMM_CONCAT(a, b) SKMM_CONCAT_(a, b)
#define SKMM_STRING_(a) #a
#define SKMM_STRING(a) SKMM_STRING_(a)

namespace skmm {
namespace {

template <class T>
constexpr TypedKernels<T> typed() {
    return {outer<T>,    scatter_tile<T>, add_tile<T>, scatter_row<T>,      grouped_rows<T>,
            kRowsAtOnce, gemm_strip<T>,   axpy<T>,     weighted_squares<T>, square_dots<T>,
            dots<T>,     rank_one<T>};
}

}  // namespace

extern const Kernels SKMM_CONCAT(kernels_, SKMM_LEVEL);
const Kernels SKMM_CONCAT(kernels_, SKMM_LEVEL) = {
    SKMM_STRING(SKMM_LEVEL),
    {widen_half, widen_bfloat16, sparse_sign, grouped_sign, grouped_chunk, gaussian, gemm_panel,
     add_norms, clipped_sum, ray_sums},
    typed<float>(),
    typed<double>()};

}  // namespace skmm
