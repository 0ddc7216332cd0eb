// Short names of the integer types, and the conversion of an index for standard containers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skmm {

using i64 = std::int64_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// Converts i >= 0 to an index of a standard container.
constexpr std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

}  // namespace skmm
