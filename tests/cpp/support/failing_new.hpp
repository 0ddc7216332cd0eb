// An operator new that fails on demand, for the whole test program.
#pragma once

#include <cstdint>

namespace check {

// From now on the allocation after `successes` others, in any thread, throws std::bad_alloc; those
// after it succeed. A negative number lets all succeed.
void fail_after(std::int64_t successes);

// Whether the allocation that fail_after() asked for has failed.
bool has_failed();

}  // namespace check
