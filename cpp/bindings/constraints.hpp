// A check of constraints for other bindings. Constraints are checked in themselves when they are
// made; a function that takes them also checks that they fit its rows.
#pragma once

#include "arrays.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm::bindings {

// Raises ValueError unless c has n_rows rows.
void require_for(const Constraints& c, std::int64_t n_rows);

}  // namespace skmm::bindings
