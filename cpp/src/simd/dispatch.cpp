// The choice of the ISA level. The build defines SKMM_HAVE_<LEVEL> for each level that it contains.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "skmm/simd/kernels.hpp"

namespace skmm {

extern const Kernels kernels_baseline;
#ifdef SKMM_HAVE_AVX2
extern const Kernels kernels_avx2;
#endif
#ifdef SKMM_HAVE_AVX512
extern const Kernels kernels_avx512;
#endif

namespace {

const Kernels& choose() {
    const Kernels* levels[3];
    int n = 0;
#ifdef SKMM_HAVE_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        levels[n++] = &kernels_avx512;
#endif
#ifdef SKMM_HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        levels[n++] = &kernels_avx2;
#endif
    levels[n++] = &kernels_baseline;

    const char* wanted = std::getenv("SKMM_ISA");
    if (wanted == nullptr || *wanted == '\0') return *levels[0];
    std::string had;
    for (int i = 0; i < n; ++i) {
        if (std::string(wanted) == levels[i]->isa) return *levels[i];
        had += std::string(i ? ", " : "") + levels[i]->isa;
    }
    throw std::runtime_error("SKMM_ISA: expected one of " + had +
                             " (what this processor and build have), got '" + wanted + "'");
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

}  // namespace skmm
