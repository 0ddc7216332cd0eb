// V-optimal sequential design: rows of the whitened sketch W (N, k), WᵀW / N = I, that make
// tr((W_SᵀW_S)⁻¹) small.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/base/parallel.hpp"
#include "skmm/base/views.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

enum class Sampler { kGreedy, kLinear, kExp };

// W = Z B, never stored.
template <class T>
struct Whitened {
    RowMatrix<T> z;        // (N, m), asked for row_norms and take
    MatrixView<double> b;  // (m, k)
};

struct DesignOptions {
    std::int64_t block;  // rows added per pass over Z, at most
    Sampler sampler;     // kGreedy: largest gain; kLinear, kExp: at random, with probability
                         // proportional to the gain or to exp(gain / (temperature * largest gain))
    double temperature;
    double ridge;   // the start is ridge * I, so that the first k rows have finite gains
    bool refine;    // exchange rows until no swap helps
    double enough;  // or tr((W_SᵀW_S)⁻¹) is this small
    std::uint64_t seed;
};

struct Design {
    RowList rows;            // in the order chosen; after an exchange, ascending
    std::int64_t swaps = 0;  // exchanges made
};

// From `start` (rows beside those of include, within the quotas): greedy additions by the gain
// ‖Cw‖² / (1 + wᵀCw), C = (W_SᵀW_S + ridge I)⁻¹, then, with `refine`, exchanges: the row with the
// largest gain comes in, the one with the least loss goes out. One pass over Z per block of
// additions; exchanges run in rounds among the rows chosen and those of largest gain, each
// after two products over all rows (O(N k²)). O(N + k²) memory, and a copy of the rows of a round.
// Ties: lowest row.
template <class T>
Design v_optimal(Whitened<T> w, const DesignOptions& options, const Constraints& constraints,
                 const RowList& start, int n_threads, const Tick& tick);

}  // namespace skmm
