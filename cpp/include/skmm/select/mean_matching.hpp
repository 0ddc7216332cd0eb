// Mean matching: exchanges inside cells that bring a weighted sum of rows near a target.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/base/views.hpp"

namespace skmm {

// Rows in cells, and slots that hold some of them. Cell c has the places [first[c], first[c + 1])
// of `rows` and the slots [first_slot[c], first_slot[c + 1]).
struct CellRows {
    std::int64_t cells;
    const std::int64_t* first;       // (cells + 1) ascending from 0
    const std::int64_t* first_slot;  // (cells + 1) ascending from 0
    const std::int64_t* rows;        // row numbers, ascending within a cell
};

// Candidates of cells (the first three are the members of CellRows), and which of them each slot
// holds.
struct Candidates {
    std::vector<std::int64_t> first, rows, slot;
};

// The candidates for the slots, which hold the rows held[t] of their cells. They are all rows of a
// cell that has at most `most` for each of its slots, else so many drawn as subset number which + c
// of the key seed, and the rows held. A cell without slots has none.
Candidates draw_candidates(const CellRows& cells, const std::int64_t* held, std::int64_t most,
                           std::uint64_t seed, std::uint32_t which);

// One sweep over the slots, in order. Slot t has the weight weight[t] > 0 and holds place slot[t]
// of its cell, a place in `rows`; no two hold the same. Each takes the place of its cell, free or
// its own, that makes ‖r‖² least. Here r (k) is the residual Σ_t weight[t] b_t - target of all
// slots of the problem, those outside these cells too, where b_t is the row of B that slot t holds.
// It and `slot` are brought up to date after each exchange. Returns the number of exchanges. Ties
// go to the lowest place, and to no exchange. It runs on the calling thread.
template <class T>
std::int64_t exchange_in_cells(MatrixView<T> b, const CellRows& cells, const double* weight,
                               std::int64_t* slot, double* r);

}  // namespace skmm
