// The SIMD kernels. This file is compiled once for each ISA level, with SKMM_LEVEL set to the
// level's name, and defines the table of kernels of that level.
//
// Every level gives the same bits, but for what fused() rounds (vectors.hpp). For that the kernels
// use element-wise operations, are compiled without contraction to fused multiply-add, and take
// every sum in an order that the source states.
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
namespace SKMM_LEVEL {

static constexpr TypeFreeKernels type_free() {
    TypeFreeKernels k{};
    k.widen_half = widen_half;
    k.widen_bfloat16 = widen_bfloat16;
    k.sparse_sign = sparse_sign;
    k.grouped_sign = grouped_sign;
    k.grouped_chunk = grouped_chunk;
    k.gaussian = gaussian;
    k.gemm_panel = gemm_panel;
    k.add_norms = add_norms;
    k.clipped_sum = clipped_sum;
    k.ray_sums = ray_sums;
    return k;
}

template <class T>
static constexpr TypedKernels<T> typed() {
    TypedKernels<T> k{};
    k.outer = outer<T>;
    k.scatter_tile = scatter_tile<T>;
    k.add_tile = add_tile<T>;
    k.scatter_row = scatter_row<T>;
    k.grouped_rows = grouped_rows<T>;
    k.grouped_rows_at_once = kRowsAtOnce;
    k.gemm_strip = gemm_strip<T>;
    k.axpy = axpy<T>;
    k.weighted_squares = weighted_squares<T>;
    k.square_dots = square_dots<T>;
    k.dots = dots<T>;
    k.rank_one = rank_one<T>;
    return k;
}

static constexpr Kernels table() {
    Kernels k{};
    k.isa = SKMM_STRING(SKMM_LEVEL);
    k.fuses = kFuses;
    k.any = type_free();
    k.f32 = typed<float>();
    k.f64 = typed<double>();
    return k;
}

}  // namespace SKMM_LEVEL

extern const Kernels SKMM_CONCAT(kernels_, SKMM_LEVEL);
constexpr Kernels SKMM_CONCAT(kernels_, SKMM_LEVEL) = SKMM_LEVEL::table();

}  // namespace skmm
