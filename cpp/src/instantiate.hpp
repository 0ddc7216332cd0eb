// The element and index types of sketches, listed once.
#pragma once

#include "skmm/sketch.hpp"

#define SKMM_DENSE_OF(S, U)                                                             \
    template void sketch(MatrixView<U>, const S&, std::int64_t, bool, int, const Tick&, \
                         MutableMatrixView<Sum<U>>);
#define SKMM_CSR_OF(S, T, I)                                                            \
    template void sketch(CsrView<T, I>, const S&, std::int64_t, bool, int, const Tick&, \
                         MutableMatrixView<T>);

#define SKMM_DENSE(S)        \
    SKMM_DENSE_OF(S, float)  \
    SKMM_DENSE_OF(S, double) \
    SKMM_DENSE_OF(S, Half)   \
    SKMM_DENSE_OF(S, BFloat16)
#define SKMM_CSR(S)                      \
    SKMM_CSR_OF(S, float, std::int32_t)  \
    SKMM_CSR_OF(S, float, std::int64_t)  \
    SKMM_CSR_OF(S, double, std::int32_t) \
    SKMM_CSR_OF(S, double, std::int64_t)
