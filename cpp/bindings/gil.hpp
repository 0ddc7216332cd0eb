// The GIL: released while the core works, and held again where the core calls Python.
//
// When the interpreter ends, a daemon thread may still be in a call. Before Python 3.14 such a
// thread is unwound when it asks for the GIL: destructors of Python objects would run without the
// GIL, and unwinding out of a destructor ends the process. Here the thread stays where it is
// instead, and ends with the process.
#pragma once

#include <pybind11/pybind11.h>
#ifdef __GLIBCXX__
#include <cxxabi.h>
#include <unistd.h>
#endif

namespace skmm::bindings {

namespace py = pybind11;

// Returns f(). If the interpreter ends this thread meanwhile, the call never returns.
template <class F>
auto or_stay(const F& f) {
#ifdef __GLIBCXX__
    try {
        return f();
    } catch (abi::__forced_unwind&) {
        for (;;) pause();
    }
#else
    return f();
#endif
}

// Releases the GIL, which the thread holds, until the end of the scope.
class ReleasedGil {
public:
    ReleasedGil() : state_(PyEval_SaveThread()) {}
    ~ReleasedGil() {
        or_stay([this] { PyEval_RestoreThread(state_); });
    }
    ReleasedGil(const ReleasedGil&) = delete;
    ReleasedGil& operator=(const ReleasedGil&) = delete;

private:
    PyThreadState* state_;
};

// Holds the GIL until the end of the scope.
class HeldGil {
public:
    HeldGil() : state_(or_stay([] { return PyGILState_Ensure(); })) {}
    ~HeldGil() { PyGILState_Release(state_); }
    HeldGil(const HeldGil&) = delete;
    HeldGil& operator=(const HeldGil&) = delete;

private:
    PyGILState_STATE state_;
};

// Returns f(*args). The thread holds the GIL.
inline py::object call(const py::object& f, const py::tuple& args) {
    PyObject* const result = or_stay([&] { return PyObject_CallObject(f.ptr(), args.ptr()); });
    if (result == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(result);
}

}  // namespace skmm::bindings
