#include <functional>
#include <stdexcept>
#include <vector>

#include "../support/check.hpp"
#include "skmm/base/tick.hpp"
#include "skmm/base/types.hpp"
#include "skmm/sketch/operators.hpp"

using namespace skmm;

TEST(an_empty_tick_does_nothing) {
    const Tick none = {}, null = nullptr, function = std::function<void(i64)>();
    for (const Tick& tick : {none, null, function}) tick(1);
}

TEST(a_tick_calls_what_it_holds_and_so_do_its_copies) {
    std::vector<i64> seen;
    Tick tick = [&seen, calls = i64{0}](i64 done) mutable { seen.push_back(100 * ++calls + done); };
    tick(1);
    const Tick copy = tick;
    copy(2);
    tick = Tick();
    tick(3);
    CHECK((seen == std::vector<i64>{101, 202}));
}

TEST(a_call_takes_braces_for_no_tick) {
    const std::vector<double> a{1.0, 2.0, 3.0};
    std::vector<double> z(2);
    sketch(MatrixView<double>{a.data(), 1, 3, 3}, SparseSign{3, 2, 2, 0}, 0, false, 1, {},
           MutableMatrixView<double>{z.data(), 1, 2, 2});
    CHECK(z[0] != 0.0 || z[1] != 0.0);
}

TEST(what_a_tick_throws_comes_out) {
    const Tick tick = [](i64) { throw std::runtime_error("enough"); };
    bool thrown = false;
    try {
        tick(0);
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    CHECK(thrown);
}
