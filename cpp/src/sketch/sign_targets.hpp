// The rows of Γ of both sign families, in one interface: a row has a few entries of equal
// magnitude, and its targets are their columns and signs.
#pragma once

#include <cmath>
#include <cstdint>

#include "skmm/base/memory.hpp"
#include "skmm/simd/kernels.hpp"
#include "skmm/sketch/operators.hpp"

namespace skmm {

// The number of nonzero entries in a row of Γ.
inline int entries_of(const SparseSign& g) { return g.zeta; }
inline int entries_of(const GroupedSign&) { return kParts; }

// The absolute value of the nonzero entries of Γ.
template <class S>
float entry_of(const S& g) {
    return 1.0f / std::sqrt(static_cast<float>(entries_of(g)));
}

// Writes the targets of the rows j[0], ..., j[count - 1] of Γ. Columns are multiplied by stride.
inline void targets(const SparseSign& g, const std::uint64_t* j, int count, std::uint32_t stride,
                    Targets out) {
    kernels().any.sparse_sign(g.seed, j, count, g.out_dim, g.zeta, stride, out);
}
inline void targets(const GroupedSign& g, const std::uint64_t* j, int count, std::uint32_t stride,
                    Targets out) {
    kernels().any.grouped_sign(g.seed, j, count, g.out_dim, stride, out);
}

// Scratch memory for the targets of kTargetBlock rows of Γ, with one table for each slot.
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
