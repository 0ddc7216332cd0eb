// Mean matching: exchanges inside cells that bring a weighted sum of rows near a target.
#pragma once

#include "skmm/base/views.hpp"

namespace skmm {

// Candidates in cells, and the slots that hold some of them. Cell c has the candidates
// [first[c], first[c + 1]) and the slots [first_slot[c], first_slot[c + 1]). Slot t holds candidate
// slot[t] of its cell with weight weight[t] > 0. No two slots hold the same candidate.
struct CellSlots {
    std::int64_t cells;
    const std::int64_t* first;       // (cells + 1) ascending from 0
    const std::int64_t* first_slot;  // (cells + 1) ascending from 0
    const double* weight;            // (slots)
    std::int64_t* slot;              // (slots) numbers of candidates
};

// One sweep over the slots, in order. Each slot takes the candidate of its cell, free or its own,
// that makes ‖r‖² least. Here r = Σ_t weight[t] b_slot[t] - target (k) is the residual of all slots
// of the problem, those outside these cells too. It is brought up to date after each exchange.
// Returns the number of exchanges. Ties go to the lowest candidate, and to no exchange.
template <class T>
std::int64_t exchange_in_cells(MatrixView<T> b, const CellSlots& cells, double* r);

}  // namespace skmm
