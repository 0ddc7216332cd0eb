// A check of constraints for other bindings. Constraints are checked in themselves when they are
// made; a function that takes them also checks that they fit its rows.
#pragma once

#include "arrays.hpp"
#include "initialised.hpp"
#include "skmm/select/constraints.hpp"

template <>
struct pybind11::detail::type_caster<skmm::Constraints>
    : skmm::bindings::InitialisedCaster<skmm::Constraints> {};
template <>
struct pybind11::detail::type_caster<skmm::FreeRows>
    : skmm::bindings::InitialisedCaster<skmm::FreeRows> {};

namespace skmm::bindings {

// Raises ValueError unless c has n_rows rows.
void require_for(const Constraints& c, std::int64_t n_rows);

}  // namespace skmm::bindings
