// How the processor computes with floats, whatever the program has set for its threads.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace skmm {

// While one lives, its thread rounds to nearest and keeps subnormal numbers, as every thread does
// when it begins; then what was set before holds again. Programs set a thread to flush subnormal
// numbers to zero (torch.set_flush_denormal, -ffast-math at the link), and the threads of a team
// may differ in it. Where the processor is neither x86-64 nor aarch64 it does nothing.
class StandardFloats {
public:
    StandardFloats() : before_(get()) { set(kStandard); }
    ~StandardFloats() { set(before_); }
    StandardFloats(const StandardFloats&) = delete;
    StandardFloats& operator=(const StandardFloats&) = delete;

private:
#if defined(__SSE2__)
    using Mode = unsigned;
    static constexpr Mode kStandard = 0x1f80;  // MXCSR: exceptions are masked, nothing else
    static Mode get() { return _mm_getcsr(); }
    static void set(Mode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
    using Mode = std::uint64_t;
    static constexpr Mode kStandard = 0;  // FPCR
    static Mode get() {
        Mode mode;
        asm volatile("mrs %0, fpcr" : "=r"(mode));
        return mode;
    }
    static void set(Mode mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
    using Mode = int;
    static constexpr Mode kStandard = 0;
    static Mode get() { return 0; }
    static void set(Mode) {}
#endif
    Mode before_;
};

}  // namespace skmm
