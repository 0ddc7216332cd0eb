// Scratch memory and index arithmetic that several files use.
#pragma once

#include <cstdint>
#include <new>

namespace skmm {

// ⌈a / b⌉ for a >= 0 and b > 0.
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

// An array of n >= 0 uninitialised numbers, aligned to 64 bytes, the size of a cache line and of
// the widest SIMD vector. Throws std::bad_alloc.
template <class T>
class Scratch {
public:
    explicit Scratch(std::int64_t n)
        : data_(static_cast<T*>(::operator new(static_cast<std::size_t>(n) * sizeof(T), kAlign))) {}
    ~Scratch() { ::operator delete(data_, kAlign); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* data() const { return data_; }

private:
    static constexpr std::align_val_t kAlign{64};
    T* data_;
};

}  // namespace skmm
