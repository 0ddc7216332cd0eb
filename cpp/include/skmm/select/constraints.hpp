// Which rows may be chosen, and how many of each group of them.
#pragma once

#include <cstdint>
#include <vector>

namespace skmm {

// Rows may be chosen only while the quota of their group lasts; group < 0: never.
struct Constraints {
    const std::int32_t* group;          // (N)
    std::vector<std::int64_t> quota;    // of each group
    std::vector<std::int64_t> include;  // chosen first, never exchanged; counted in their quotas
};

}  // namespace skmm
