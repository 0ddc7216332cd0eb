// Constraints as Python gives them, checked: the core may index by them.
#pragma once

#include <algorithm>
#include <utility>

#include "arrays.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm::bindings {

// Raises where n rows cannot be chosen, or those of include and start are not distinct rows within
// the quotas.
inline Constraints constraints_of(std::int64_t n, std::int64_t n_rows,
                                  const Array<std::int32_t>& group, std::vector<std::int64_t> quota,
                                  std::vector<std::int64_t> include,
                                  const std::vector<std::int64_t>& start = {}) {
    const auto groups = static_cast<std::int64_t>(quota.size());
    const std::int32_t* g = vector_data(group, n_rows, "group: expected (N,)");
    std::vector<std::int64_t> size(quota.size());
    for (std::int64_t i = 0; i < n_rows; ++i) {
        require(g[i] < groups, "group: expected less than the number of quotas");
        if (g[i] >= 0) ++size[static_cast<std::size_t>(g[i])];
    }
    std::int64_t available = 0;
    for (std::size_t k = 0; k < size.size(); ++k) available += std::min(size[k], quota[k]);
    require(1 <= n && n <= available, "n: expected 1..rows that quotas allow");
    std::vector<bool> included(static_cast<std::size_t>(n_rows));
    std::vector<std::int64_t> left = quota;
    for (const auto* chosen : {&std::as_const(include), &start}) {
        for (const std::int64_t i : *chosen) {
            require(0 <= i && i < n_rows && g[i] >= 0 && !included[static_cast<std::size_t>(i)] &&
                        left[static_cast<std::size_t>(g[i])] > 0,
                    "include, start: expected distinct rows within their quotas");
            included[static_cast<std::size_t>(i)] = true;
            --left[static_cast<std::size_t>(g[i])];
        }
    }
    return {g, std::move(quota), std::move(include)};
}

}  // namespace skmm::bindings
