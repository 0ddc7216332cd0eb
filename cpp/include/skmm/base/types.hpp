// Short names of the integers, and of the vectors that select/ and linalg/ pass around.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skmm {

using i64 = std::int64_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// An index of a standard container.
constexpr std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

}  // namespace skmm
