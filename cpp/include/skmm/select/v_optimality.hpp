// V-optimal selection: chooses rows S of the whitened sketch W (N, k), WᵀW / N = I, so that
// tr((W_SᵀW_S)⁻¹) is small.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/base/tick.hpp"
#include "skmm/base/views.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

enum class Sampler { kGreedy, kLinear, kExp };

// The whitened sketch W = Z B. It is never stored.
template <class T>
struct Whitened {
    RowMatrix<T> z;        // (N, m); uses row_norms and take
    MatrixView<double> b;  // (m, k), stride k
};

struct DesignOptions {
    std::int64_t block = 1;              // largest number of rows added per pass over Z
    Sampler sampler = Sampler::kGreedy;  // kGreedy adds the row of largest gain; kLinear and kExp
                                         // draw a row with probability proportional to its gain, or
                                         // to exp(gain / (temperature * largest gain))
    double temperature = 0.1;            // > 0, for kExp
    double ridge = 1.0;   // > 0; M starts as ridge * I, so that the first k rows have finite gains
    bool refine = true;   // whether to exchange rows afterwards
    double pays = 3e-4;   // exchanges stop once a round, or a sweep over the rows chosen, reduces
                          // tr((W_SᵀW_S)⁻¹) by no more than this share: with 0, when no swap helps
    double enough = 0.0;  // they also stop once tr((W_SᵀW_S)⁻¹) <= enough
    std::uint64_t seed = 0;
};

struct Design {
    RowList rows;            // in the order they were chosen; with `refine`, in ascending order
    std::int64_t swaps = 0;  // number of exchanges made
};

// Selects constraints.n() rows, or fewer if W is not finite. The selection begins with
// constraints.include and `start`, which holds other distinct rows within the counts. Rows are
// added by their gain ‖Cw‖² / (1 + wᵀCw), where C = (W_SᵀW_S + ridge I)⁻¹. With `refine`, exchanges
// follow: the row of largest gain is added and the row of least loss, ‖Cw‖² / (1 - wᵀCw), is
// removed. Ties go to the lowest row.
//
// Additions make one pass over Z per block. Exchanges run in rounds. A round computes two products
// over all rows, O(N k²), and then works on a copy of the chosen rows and the rows of largest gain.
// Memory is O(N + k²) and that copy. The tick is called with the number of rows chosen, and during
// exchanges with n + 1 + the number of exchanges made.
//
// Where other ranks have more of the rows, w and the constraints are about those here, `strips` say
// which they are, and `start` and the result have numbers in the whole matrix; the sampler is
// kGreedy. A block of additions sends its candidates; a round sends the copy, no more.
template <class T>
Design v_optimal(Whitened<T> w, const DesignOptions& options, const Constraints& constraints,
                 const Strips& strips, const RowList& start, int n_threads, const Tick& tick);
template <class T>
Design v_optimal(Whitened<T> w, const DesignOptions& options, const Constraints& constraints,
                 const RowList& start, int n_threads, const Tick& tick) {
    return v_optimal(w, options, constraints, Strips(w.z.rows), start, n_threads, tick);
}

}  // namespace skmm
