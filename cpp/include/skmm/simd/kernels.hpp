// The SIMD kernels: one table of function pointers per ISA level. All levels give the same bits,
// with one exception: kernels marked "fused" round once for a multiplication and an addition on all
// levels but the baseline of x86, which agrees with the others to rounding.
//
// Every level is compiled from the same source, simd/kernels.cpp. It uses only element-wise IEEE
// operations, sums with a fixed number of lanes, and no contraction to fused multiply-add but where
// the source asks for it. So the level changes the speed and nothing else.
//
// The rest of the core calls them from its blocks; a caller of the core needs none. They use the
// calling thread, allocate nothing, and throw nothing.
#pragma once

#include <cstdint>

#include "skmm/base/float16.hpp"

namespace skmm {

// The number of rows of a dense tile. One column of a tile fills 64 bytes.
template <class T>
constexpr int kTileRows = 64 / static_cast<int>(sizeof(T));

constexpr int kTargetBlock = 256;  // columns of G whose targets are tabulated together
constexpr int kPairWidth = 2048;   // two entries of a row of a sparse-sign Γ share a random word if
                                   // the mean width of its blocks, m / zeta, is at most this
constexpr int kStrip = 64;         // columns of a strip, the unit in which a Gaussian Γ is made
constexpr int kPanel = 32;         // columns of a panel, the unit of matrix products in double
constexpr int kSummed = 256;       // products that a matrix product sums before it adds the sum

// Grouped signs: a chunk is kChunk consecutive rows of Γ. It has kParts parts, each of kSteps
// vectors of kLanes rows. A step of the computation takes one vector from each part. The kParts
// rows in the same lane of these vectors form a group: their entries lie in the same columns.
constexpr int kLanes = 16;
constexpr int kParts = 8;
constexpr int kSteps = 64;
constexpr int kPart = kSteps * kLanes;
constexpr int kChunk = kParts * kPart;
constexpr int kGroupedRows = 2;  // largest number of rows of G that grouped_rows() takes at once

// The targets (columns and signs of the entries) of up to kTargetBlock rows of a sign matrix Γ.
// Entry b of row c lies in column target[b][c] / stride. Its sign bit is sign[b][c].
struct Targets {
    std::uint32_t* target;  // (zeta, kTargetBlock) column times a stride that the caller chooses
    std::uint32_t* sign;    // (zeta, kTargetBlock) 0 or 1 << 31
};

// One step of a chunk. Its inputs are one vector of each part s, with the lanes already permuted by
// GroupedChunk; lane p of input s is negated if bit p of column_signs[s] is set. A Hadamard
// butterfly turns the inputs into kParts outputs. Accumulator start[k] + p, for p < kLanes,
// receives lane lane[k][p] of output k, negated if bit p of output_signs[k] is set.
struct GroupedStep {
    std::uint16_t column_signs[kParts];
    std::uint16_t output_signs[kParts];
    std::uint32_t start[kParts];  // indices into the accumulators of a row
    std::uint8_t lane[kParts][kLanes];
};

// One chunk. Step t takes vector (t + rotation[s]) % kSteps of each part s; lane p of the permuted
// vector is lane lane[s][p] of that vector.
struct GroupedChunk {
    std::uint8_t lane[kParts][kLanes];
    std::uint32_t rotation[kParts];
    GroupedStep step[kSteps];
};

// The m columns of Γ are cut into kParts blocks. Block k is the columns [first, first + width).
struct Block {
    std::int64_t first, width;
};
constexpr Block grouped_block(int k, std::int64_t m) {
    return {k * m / kParts, (k + 1) * m / kParts - k * m / kParts};
}

// The number of accumulators that a row has for each block of columns. Accumulator p of a block of
// width w belongs to column p % w of the block, so that kLanes places may run over its end. If
// kLanes divides all widths (grouped_aligned), every start is a multiple of kLanes and no place
// runs over.
constexpr bool grouped_aligned(std::int64_t m) { return m % (kParts * kLanes) == 0; }
constexpr std::int64_t grouped_stride(std::int64_t m) {
    return grouped_aligned(m) ? m / kParts : ((m + kParts - 1) / kParts / kLanes + 2) * kLanes;
}

// A symmetric rank-one change C' = C - u uᵀ / delta with u = C w*, made when row w* is added to a
// selection or removed from it. A kernel may take rows z with w = Bᵀz instead of the rows w. Then
// the vectors are B u and B v, since wᵀu = zᵀB u.
struct RankOne {
    const double* u;  // (k) C w*
    const double* v;  // (k) C u
    double uu;        // uᵀu for u = C w*
    double delta;     // 1 + w*ᵀu if w* is added, -(1 - w*ᵀu) if it is removed
};

// A ray of points x(a) in a capped simplex:
// x_i = min(max(centre_i + step (g_i + a d_i) - tau, 0), cap).
// The threshold tau is not part of the ray; it is chosen so that Σ x_i has a given value.
struct Ray {
    const double *centre, *g, *d;  // (N)
    double step, cap;
};

// Sums over a range of rows at one point x(a).
struct RaySums {
    double mass;       // Σ x_i
    double inside;     // the number of i with 0 < x_i < cap
    double along;      // Σ d_i x_i
    double d_inside;   // Σ d_i over the i with 0 < x_i < cap
    double dd_inside;  // Σ d_i² over the i with 0 < x_i < cap
};

// The kernels whose types do not depend on the element type of a sketch or a matrix.
struct TypeFreeKernels {
    // out[c] = scale * x[c], or x[c], for c < count. The conversion is exact.
    void (*widen_half)(const Half* x, int count, float scale, float* out);
    void (*widen_bfloat16)(const BFloat16* x, int count, float* out);

    // Writes the targets of the rows j[0], ..., j[count - 1] of a sparse-sign Γ. Columns are
    // multiplied by stride.
    void (*sparse_sign)(std::uint64_t key, const std::uint64_t* j, int count, std::int64_t m,
                        int zeta, std::uint32_t stride, Targets out);

    // Writes the targets of these rows of a grouped-sign Γ, which has kParts entries in each row.
    void (*grouped_sign)(std::uint64_t key, const std::uint64_t* j, int count, std::int64_t m,
                         std::uint32_t stride, Targets out);

    // Writes the tables of the rows [kChunk * chunk, kChunk * (chunk + 1)) of a grouped-sign Γ.
    void (*grouped_chunk)(std::uint64_t key, std::uint64_t chunk, std::int64_t m,
                          GroupedChunk* out);

    // out[c][k] = entry (j[c], kStrip * strip + k) of a Gaussian Γ with m columns, for k < kStrip.
    void (*gaussian)(std::uint64_t key, const std::uint64_t* j, int count, std::int64_t m,
                     int strip, float* out);

    // out[i][k] += Σ_c a[i a_row + c a_col] panel[c][k] over c < depth, for i < rows and k <
    // kPanel. Sums of kSummed products are taken in order, fused; then they are added to out.
    void (*gemm_panel)(const double* a, std::int64_t a_row, std::int64_t a_col, std::int64_t rows,
                       int depth, const double* panel, double* out, std::int64_t out_row);

    // q[i] += Σ_k y[i][k]² for i < rows, over k < kPanel. Fused.
    void (*add_norms)(const double* y, std::int64_t rows, double* q);

    // sum = Σ_i min(max(v_i - tau, 0), cap) over i < count, and inside = the number of terms that
    // are strictly between 0 and cap.
    void (*clipped_sum)(const double* v, std::int64_t count, double tau, double cap, double* sum,
                        std::int64_t* inside);

    // The sums over the rows [first, last) at the point x(a) of a ray with threshold tau.
    void (*ray_sums)(const Ray& ray, std::int64_t first, std::int64_t last, double a, double tau,
                     RaySums* sums);
};

// The kernels for elements of type T, float or double.
template <class T>
struct TypedKernels {
    // out[k] = left[(c + k) / d] * right[(c + k) % d] for k < count: entries of an outer product.
    void (*outer)(const T* left, const T* right, std::int64_t d, std::int64_t c, int count, T* out);

    // acc[target + lane] += ± rows[lane][c] for every lane < width, every c < count and every
    // target of row c of Γ. The width is kTileRows<T>, a half or a quarter of it. Prefetches
    // `count` columns of the rows `next`.
    void (*scatter_tile)(const T* const* rows, const T* const* next, int width, int count, int zeta,
                         Targets, T* acc);

    // out[i][k] += scale * acc[k][i] for i < rows <= kTileRows<T> and k < m. This transposes a tile
    // of sums back to rows.
    void (*add_tile)(const T* acc, std::int64_t m, T scale, int rows, T* out, std::int64_t stride);

    // acc[target] += ± values[c] for every c < count and every target of row c of Γ.
    void (*scatter_row)(const T* values, int count, int zeta, Targets, T* acc);

    // Adds √kParts x[i] Γ to the accumulators acc + i * row_size, for i < rows <= kGroupedRows.
    // x[i] (kChunk) holds the columns of a row of G that belong to the chunk. Only the rows of Γ in
    // steps whose bit is set in `steps` take part. Prefetches the same columns of next[i].
    void (*grouped_rows)(const T* const* x, const T* const* next, int rows, const GroupedChunk&,
                         std::uint64_t steps, T* acc, std::int64_t row_size);
    int grouped_rows_at_once;  // the number of rows for which grouped_rows() is fastest per row

    // out[i][k] += Σ_c a[i][c] strip[c][k] over c < depth, for i < rows and k < width <= kStrip.
    // Sums of kSummed products are taken in order, fused; then they are added to out.
    void (*gemm_strip)(const T* a, std::int64_t a_stride, std::int64_t rows, int depth,
                       const float* strip, T* out, std::int64_t out_stride, int width);

    // out[k] += x * row[k] for k < m.
    void (*axpy)(T x, const float* row, std::int64_t m, T* out);

    // p[j] += s_i y_ij² for j < k and i < rows, one row after another.
    void (*weighted_squares)(const T* y, std::int64_t rows, std::int64_t k, const double* s,
                             double* p);

    // g[i] = Σ_j u_j y_ij² for i < rows, over j < k. Fused.
    void (*square_dots)(const T* y, std::int64_t rows, std::int64_t k, const double* u, double* g);

    // t[i] = Σ_j u_j z_ij for i < rows, over j < k. Fused.
    void (*dots)(const T* z, std::int64_t rows, std::int64_t k, const double* u, double* t);

    // Updates p_i = w_iᵀ C w_i and q_i = ‖C w_i‖² for i < rows, after C has gone through `count`
    // rank-one changes in sequence. The products of w_i with u and v of change c are fused; they
    // are written to along[i][2 c] and along[i][2 c + 1] unless `along` is null.
    void (*rank_one)(const T* w, std::int64_t rows, std::int64_t k, const RankOne* changes,
                     int count, double* p, double* q, double* along);
};

// The kernels of one ISA level.
struct Kernels {
    const char* isa;  // "baseline", "avx2" or "avx512"
    bool fuses;       // whether its fused kernels round once
    TypeFreeKernels any;
    TypedKernels<float> f32;
    TypedKernels<double> f64;

    template <class T>
    const TypedKernels<T>& of() const {
        if constexpr (sizeof(T) == 4)
            return f32;
        else
            return f64;
    }
};

// The kernels of the level in use. This is the best level that both the processor and the build
// have, or the one that the environment variable SKMM_ISA names ("baseline", "avx2", "avx512").
// Throws std::runtime_error if that name is unknown or its level is not available.
const Kernels& kernels();

}  // namespace skmm
