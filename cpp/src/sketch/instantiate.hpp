// Macros that instantiate sketch() for a kind of Γ. They hold the only list of its row types,
// element types and index types.
#pragma once

#include "skmm/sketch/operators.hpp"

#define SKMM_ROWS_OF(S, Rows, U)                                                  \
    template void sketch(Rows<U>, const S&, std::int64_t, bool, int, const Tick&, \
                         MutableMatrixView<Sum<U>>);
#define SKMM_CSR_OF(S, T, I)                                                            \
    template void sketch(CsrView<T, I>, const S&, std::int64_t, bool, int, const Tick&, \
                         MutableMatrixView<T>);

#define SKMM_ROWS(S)                      \
    SKMM_ROWS_OF(S, MatrixView, float)    \
    SKMM_ROWS_OF(S, MatrixView, double)   \
    SKMM_ROWS_OF(S, MatrixView, Half)     \
    SKMM_ROWS_OF(S, MatrixView, BFloat16) \
    SKMM_ROWS_OF(S, OuterView, float)     \
    SKMM_ROWS_OF(S, OuterView, double)
#define SKMM_CSR(S)                      \
    SKMM_CSR_OF(S, float, std::int32_t)  \
    SKMM_CSR_OF(S, float, std::int64_t)  \
    SKMM_CSR_OF(S, double, std::int32_t) \
    SKMM_CSR_OF(S, double, std::int64_t)
