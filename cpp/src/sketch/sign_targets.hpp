// What both sign families know of their rows of Γ: a few targets, each with a sign.
#pragma once

#include <cmath>
#include <cstdint>

#include "skmm/base/memory.hpp"
#include "skmm/simd/kernels.hpp"
#include "skmm/sketch/operators.hpp"

namespace skmm {

inline int entries_of(const SparseSign& g) { return g.zeta; }
inline int entries_of(const GroupedSign&) { return kParts; }

// The absolute value of an entry.
template <class S>
float entry_of(const S& g) {
    return 1.0f / std::sqrt(static_cast<float>(entries_of(g)));
}

// Targets of the rows j[0, count) of Γ, times stride.
inline void targets(const SparseSign& g, const std::uint64_t* j, int count, std::uint32_t stride,
                    Targets out) {
    kernels().any.sparse_sign(g.seed, j, count, g.out_dim, g.zeta, stride, out);
}
inline void targets(const GroupedSign& g, const std::uint64_t* j, int count, std::uint32_t stride,
                    Targets out) {
    kernels().any.grouped_sign(g.seed, j, count, g.out_dim, stride, out);
}

// Room for the targets of kTargetBlock rows of Γ, one table per slot.
class TargetTables {
public:
    TargetTables(int entries, int slots)
        : size_(std::int64_t{entries} * kTargetBlock), words_(2 * size_ * slots) {}
    Targets operator[](int slot) const {
        std::uint32_t* at = words_.data() + 2 * size_ * slot;
        return {at, at + size_};
    }

private:
    std::int64_t size_;
    Scratch<std::uint32_t> words_;
};

}  // namespace skmm
