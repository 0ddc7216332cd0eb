// What the fuzzers of the core share. An input of libFuzzer is read as a stream of decisions, each
// of them valid, so that nearly every input is a whole problem.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "skmm/base/philox.hpp"
#include "skmm/base/types.hpp"

namespace skmm::fuzz {

// Ends the process unless `holds`, so that libFuzzer keeps the input.
inline void check(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "\nbroken: %s\n", what);
    std::abort();
}

// Counts the inputs and those that were a whole problem, and prints both when the process ends.
class Runs {
public:
    Runs() { std::atexit(print); }
    void begin() { ++all; }
    void valid() { ++whole; }

private:
    static void print() {
        std::fprintf(
            stderr, "executions: %llu, valid: %llu (%.1f%%)\n", all, whole,
            all == 0 ? 0.0 : 100.0 * static_cast<double>(whole) / static_cast<double>(all));
    }
    static inline unsigned long long all = 0, whole = 0;
};

// The decisions of one input. Past its end every decision is the least one.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : data_(data, size) {}

    // An integer in [least, most].
    i64 integer(i64 least, i64 most) { return data_.ConsumeIntegralInRange<i64>(least, most); }
    bool coin() { return data_.ConsumeBool(); }
    bool one_in(i64 n) { return integer(0, n - 1) == 1; }
    u64 seed() { return data_.ConsumeIntegral<u64>(); }
    double real(double least, double most) {
        return data_.ConsumeFloatingPointInRange<double>(least, most);
    }
    bool ended() { return data_.remaining_bytes() == 0; }

private:
    FuzzedDataProvider data_;
};

// A source of numbers for arrays: read from the input one by one, or drawn from a seed, so that a
// short input can be a large problem too.
class Numbers {
public:
    explicit Numbers(Input& in, bool finite = false)
        : in_(in), kind_(in.integer(0, finite || !in.one_in(12) ? 3 : 4)), seed_(in.seed()) {}

    // Whether all numbers are finite and moderate, so that results can be compared.
    bool moderate() const { return kind_ != kBits; }

    template <class T = double>
    T next() {
        switch (kind_) {
            case kRead: return static_cast<T>(in_.integer(-32, 31)) / 8;
            case kFew: return static_cast<T>(static_cast<i64>(word() % 7) - 3);
            case kSparse: return word() % 4 == 0 ? static_cast<T>(uniform_() - 0.5) : T(0);
            case kReal: return static_cast<T>(8.0 * uniform_() - 4.0);
            default: break;
        }
        const u64 bits = u64{word()} << 32 | word();  // any bits: also NaN, infinite, subnormal
        T x;
        std::memcpy(&x, &bits, sizeof x);
        return x;
    }
    template <class T = double>
    std::vector<T> vector(i64 n) {
        std::vector<T> x(at(n));
        for (T& e : x) e = next<T>();
        return x;
    }

private:
    enum : i64 { kRead, kFew, kSparse, kReal, kBits };
    u32 word() { return philox(seed_, kSubset, count_++).w[0]; }
    double uniform_() { return uniform(seed_, kSubset, count_++); }

    Input& in_;
    i64 kind_;
    u64 seed_, count_ = 0;
};

// Whether two vectors have the same bits.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace skmm::fuzz
