// Tick: how a long computation tells its caller how far it is, and how the caller stops it.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace skmm {

// A callback that long computations call now and then with the amount of work done so far. It is
// called from the calling thread, outside parallel regions, and may throw to stop the computation.
// An empty one, `{}`, does nothing.
class Tick {
public:
    Tick() = default;
    template <class F>
    Tick(F f) : f_(std::move(f)) {}

    void operator()(std::int64_t done) const {
        if (f_) f_(done);
    }

private:
    std::function<void(std::int64_t done)> f_;
};

}  // namespace skmm
