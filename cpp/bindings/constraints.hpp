// Constraints were checked when they were made; what is left is that they fit the rows at hand.
#pragma once

#include "arrays.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm::bindings {

// Returns c, which must be of n_rows rows.
const Constraints& require_for(const Constraints& c, std::int64_t n_rows);

}  // namespace skmm::bindings
