// The tick by which long calls of the core let Python handle signals and show progress.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>

#include "gil.hpp"
#include "skmm/base/tick.hpp"

namespace skmm::bindings {

namespace py = pybind11;

// Returns a tick for the core. About ten times a second it takes the GIL, lets Python handle
// signals (Ctrl-C raises here), and calls progress(done) unless `progress` is None.
inline Tick make_tick(py::object progress) {
    using Clock = std::chrono::steady_clock;
    return [progress, next = Clock::now()](std::int64_t done) mutable {
        if (Clock::now() < next) return;
        next = Clock::now() + std::chrono::milliseconds(100);
        const HeldGil gil;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!progress.is_none()) call(progress, py::make_tuple(done));
    };
}

}  // namespace skmm::bindings
