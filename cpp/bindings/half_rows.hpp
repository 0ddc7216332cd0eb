// HalfRows: rows of 16-bit floats as an argument of the functions that take rows.
#pragma once

#include <utility>

#include "arrays.hpp"
#include "initialised.hpp"
#include "skmm/base/half_view.hpp"

namespace skmm::bindings {

// An array of halves and the checked view of it.
struct HalfRows {
    Array<Half> array;
    HalfView view;
};

inline HalfView view_with_columns(const HalfRows& z, const char*) { return z.view; }

// Calls f with a null pointer to each type of an argument that holds rows in memory. This is the
// only list of them.
template <class F>
void for_rows(F&& f) {
    for_floats([&](auto zero) { f(static_cast<Array<decltype(zero)>*>(nullptr)); });
    f(static_cast<HalfRows*>(nullptr));
}

// The type of the elements of the rows Z.
template <class Z>
using ElementOfRows =
    Element<decltype(view_with_columns(std::declval<const Z&>(), std::declval<const char*>()))>;

}  // namespace skmm::bindings

template <>
struct pybind11::detail::type_caster<skmm::bindings::HalfRows>
    : skmm::bindings::InitialisedCaster<skmm::bindings::HalfRows> {};
