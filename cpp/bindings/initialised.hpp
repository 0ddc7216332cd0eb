// A caster for bound classes that refuses objects which were never initialised. C.__new__(C) makes
// one, and pybind11 would lend it memory that nobody has written to.
#pragma once

#include <pybind11/pybind11.h>

namespace skmm::bindings {

// The base of pybind11::detail::type_caster<T> for a bound class T.
template <class T>
struct InitialisedCaster : pybind11::detail::type_caster_base<T> {
    bool load(pybind11::handle src, bool convert) {
        using pybind11::detail::instance;
        if (pybind11::isinstance<T>(src) &&
            !reinterpret_cast<instance*>(src.ptr())->get_value_and_holder().holder_constructed())
            return false;
        return pybind11::detail::type_caster_base<T>::load(src, convert);
    }
};

}  // namespace skmm::bindings
