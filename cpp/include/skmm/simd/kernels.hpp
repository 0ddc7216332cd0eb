// The SIMD leaf functions: one table of function pointers per ISA level, the same bits from each.
//
// Every level compiles the same source (kernels.cpp), written in element-wise IEEE operations on a
// fixed number of lanes and built without contraction, so the level changes speed and nothing else.
#pragma once

#include <cstdint>

#include "skmm/base/float16.hpp"

namespace skmm {

// Rows of a dense tile: one 64-byte vector holds one column of the tile.
template <class T>
constexpr int kTileRows = 64 / static_cast<int>(sizeof(T));

constexpr int kTargetBlock = 256;  // columns of G whose targets are tabulated together
constexpr int kPairWidth = 2048;   // up to this mean width of its blocks, two entries of a
                                   // sparse-sign Γ share a random word
constexpr int kStrip = 64;         // columns of a Gaussian strip
constexpr int kPanel = 32;         // columns of a panel of doubles

// Grouped signs: a chunk of Γ is kParts parts of kSteps vectors of kLanes rows. A step takes one
// vector from each part; lane by lane, the kParts rows share their targets.
constexpr int kLanes = 16;
constexpr int kParts = 8;
constexpr int kSteps = 64;
constexpr int kPart = kSteps * kLanes;
constexpr int kChunk = kParts * kPart;
constexpr int kGroupedRows = 2;  // rows of G that go through a chunk together, at most

// Where the entries of up to kTargetBlock rows of a sparse-sign Γ lie:
// row c has an entry of sign bit sign[b][c] (0 or 1 << 31) in column target[b][c] / stride.
struct Targets {
    std::uint32_t* target;  // (zeta, kTargetBlock)
    std::uint32_t* sign;    // (zeta, kTargetBlock)
};

// Where a step of a chunk puts its kParts outputs: place p of the kLanes from start[k] takes lane
// lane[k][p] of output k, its sign flipped where bit p of output_signs[k] is set.
struct GroupedStep {
    std::uint16_t column_signs[kParts];  // of the vector of a part, its lanes arranged
    std::uint16_t output_signs[kParts];
    std::uint32_t start[kParts];  // in the accumulators of a row
    std::uint8_t lane[kParts][kLanes];
};

// Step t takes vector (t + rotation[s]) % kSteps of part s, and reads its lanes as lane[s] says.
struct GroupedChunk {
    std::uint8_t lane[kParts][kLanes];
    std::uint32_t rotation[kParts];
    GroupedStep step[kSteps];
};

// Block k of the m columns of Γ, kParts of them.
struct Block {
    std::int64_t first, width;
};
constexpr Block grouped_block(int k, std::int64_t m) {
    return {k * m / kParts, (k + 1) * m / kParts - k * m / kParts};
}

// Accumulators of a row for each block of width w: places from w on belong to column p % w of the
// block. Where kLanes divides the widths, starts are multiples of kLanes and nothing runs over.
constexpr bool grouped_aligned(std::int64_t m) { return m % (kParts * kLanes) == 0; }
constexpr std::int64_t grouped_stride(std::int64_t m) {
    return grouped_aligned(m) ? m / kParts : ((m + kParts - 1) / kParts / kLanes + 2) * kLanes;
}

// One symmetric rank-one change C' = C - u uᵀ / delta, seen from the rows w of W.
struct RankOne {
    const double* u;  // (k)  C w*
    const double* v;  // (k)  C u
    double uu;        // uᵀu
    double delta;     // 1 + w*ᵀu when w* is added, -(1 - w*ᵀu) when it leaves
};

// A ray in the dual of a capped simplex, seen from its points, and sums over these.
struct Ray {
    const double *centre, *g, *d;  // (N)
    double step, cap;
};
struct RaySums {
    double mass;      // Σ x_i
    double inside;    // how many 0 < x_i < cap
    double along;     // Σ d_i x_i
    double d_inside;  // Σ d_i, Σ d_i² over those inside
    double dd_inside;
};

struct TypeFreeKernels {
    // out[c] = x[c], exactly.
    void (*widen_half)(const Half* x, int count, float* out);
    void (*widen_bfloat16)(const BFloat16* x, int count, float* out);

    // Targets of the rows j[0, count) of Γ, times stride.
    void (*sparse_sign)(std::uint64_t key, const std::uint64_t* j, int count, std::int64_t m,
                        int zeta, std::uint32_t stride, Targets out);

    // The same for a grouped-sign Γ, of kParts entries a row.
    void (*grouped_sign)(std::uint64_t key, const std::uint64_t* j, int count, std::int64_t m,
                         std::uint32_t stride, Targets out);

    // What the chunk of rows [kChunk chunk, kChunk (chunk + 1)) of a grouped-sign Γ does.
    void (*grouped_chunk)(std::uint64_t key, std::uint64_t chunk, std::int64_t m,
                          GroupedChunk* out);

    // out[c][k] = entry (j[c], kStrip * strip + k) of a Gaussian Γ with m columns.
    void (*gaussian)(std::uint64_t key, const std::uint64_t* j, int count, std::int64_t m,
                     int strip, float* out);

    // out[i][k] += Σ_c a[i a_row + c a_col] panel[c][k] for i < rows, k < kPanel, in order of c.
    void (*gemm_panel)(const double* a, std::int64_t a_row, std::int64_t a_col, std::int64_t rows,
                       int depth, const double* panel, double* out, std::int64_t out_row);

    // q[i] += Σ_k y[i][k]², k < kPanel.
    void (*add_norms)(const double* y, std::int64_t rows, double* q);

    // Σ min(max(v_i - tau, 0), cap) over a block, and how many terms lie strictly inside.
    void (*clipped_sum)(const double* v, std::int64_t count, double tau, double cap, double* sum,
                        std::int64_t* inside);

    // The sums of x_i = min(max(centre_i + step (g_i + a d_i) - tau, 0), cap) over a block.
    void (*ray_sums)(const Ray& ray, std::int64_t first, std::int64_t last, double a, double tau,
                     RaySums* sums);
};

template <class T>
struct TypedKernels {
    // out[k] = left[(c + k) / d] * right[(c + k) % d], k < count.
    void (*outer)(const T* left, const T* right, std::int64_t d, std::int64_t c, int count, T* out);

    // acc[target][lane] += ± row_lane[c] over the columns c of a tile; acc is (m, kTileRows<T>),
    // 64-byte aligned; targets carry the stride kTileRows<T>. Prefetches as much of `next`.
    void (*scatter_tile)(const T* const* rows, const T* const* next, int count, int zeta, Targets,
                         T* acc);

    // out[i][k] += scale * acc[k][i] for i < rows <= kTileRows<T>, k < m: back from a tile to rows.
    void (*add_tile)(const T* acc, std::int64_t m, T scale, int rows, T* out, std::int64_t stride);

    // acc[target] += ± values[c].
    void (*scatter_row)(const T* values, int count, int zeta, Targets, T* acc);

    // acc[i] += √kParts x[i] Γ over the rows of Γ in those steps of a chunk whose bit is set, for
    // up to kGroupedRows rows x[i] (kChunk), acc[i] = acc + i row_size, best in lots of
    // grouped_rows_at_once. Prefetches as much of next[i].
    void (*grouped_rows)(const T* const* x, const T* const* next, int rows, const GroupedChunk&,
                         std::uint64_t steps, T* acc, std::int64_t row_size);
    int grouped_rows_at_once;

    // out[i][k] += Σ_c a[i][c] strip[c][k] for i < rows, k < width <= kStrip, in order of c.
    void (*gemm_strip)(const T* a, std::int64_t a_stride, std::int64_t rows, int depth,
                       const float* strip, T* out, std::int64_t out_stride, int width);

    // out[k] += x * row[k], k < m.
    void (*axpy)(T x, const float* row, std::int64_t m, T* out);

    // p[j] = Σ_i s_i y_ij² over a block of rows.
    void (*weighted_squares)(const T* y, std::int64_t rows, std::int64_t k, const double* s,
                             double* p);

    // g[i] = Σ_j u_j y_ij².
    void (*square_dots)(const T* y, std::int64_t rows, std::int64_t k, const double* u, double* g);

    // t[i] = Σ_j u_j z_ij.
    void (*dots)(const T* z, std::int64_t rows, std::int64_t k, const double* u, double* t);

    // p_i = wᵀCw and q_i = ‖Cw‖² of a block of rows after `count` changes of C in sequence.
    void (*rank_one)(const T* w, std::int64_t rows, std::int64_t k, const RankOne* changes,
                     int count, double* p, double* q);
};

struct Kernels {
    const char* isa;
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

// The level in use: the best one that this processor and build have, or the one that the
// environment variable SKMM_ISA names ("baseline", "avx2", "avx512").
// Throws std::runtime_error where that name is unknown or not to be had.
const Kernels& kernels();

}  // namespace skmm
