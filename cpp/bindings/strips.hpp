// The strips of rows, as an argument of functions that sum over rows.
#pragma once

#include <optional>

#include "arrays.hpp"
#include "initialised.hpp"
#include "skmm/base/strips.hpp"

template <>
struct pybind11::detail::type_caster<skmm::Strips>
    : skmm::bindings::InitialisedCaster<skmm::Strips> {};

namespace skmm::bindings {

// The strips of the n_rows rows here: those given, or those of a matrix that is here as a whole.
inline Strips strips_for(const std::optional<Strips>& given, std::int64_t n_rows) {
    require(!given || given->n_rows() == n_rows, "strips: expected as many rows as there are here");
    return given ? *given : Strips(n_rows);
}

}  // namespace skmm::bindings
