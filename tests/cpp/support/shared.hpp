// What the tests of several rooms share.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "skmm/base/tick.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/select/moment_matching.hpp"
#include "skmm/select/v_optimality.hpp"

namespace check {

using skmm::i64;

inline const skmm::Tick kQuiet{};
inline const skmm::Watch kGoOn{};

// W itself as the rows, with B = I.
struct Identity {
    explicit Identity(i64 k) : k(k), b(k * k) {
        for (i64 d = 0; d < k; ++d) b[d * k + d] = 1.0;
    }
    skmm::MatrixView<double> view() const { return {b.data(), k, k, k}; }
    skmm::Whitened<double> of(const std::vector<double>& w) const {
        const auto n = static_cast<i64>(w.size()) / k;
        return {skmm::row_matrix(skmm::MatrixView<double>{w.data(), n, k, k}, 2), view()};
    }
    i64 k;
    std::vector<double> b;
};

// Rows that are not in memory: the solvers may not look at them.
template <class T>
skmm::RowMatrix<T> elsewhere(skmm::MatrixView<T> z) {
    skmm::RowMatrix<T> all = skmm::row_matrix(z, 2);
    all.block = nullptr;
    return all;
}

// tr((W_SᵀW_S + ridge I)⁻¹) by Gauss-Jordan, for comparison.
inline double trace_inverse(const std::vector<double>& w, i64 k, const std::set<i64>& rows,
                            double ridge) {
    std::vector<double> a(k * 2 * k);
    for (i64 d = 0; d < k; ++d) {
        a[d * 2 * k + d] = ridge;
        a[d * 2 * k + k + d] = 1.0;
        for (const i64 i : rows)
            for (i64 e = 0; e < k; ++e) a[d * 2 * k + e] += w[i * k + d] * w[i * k + e];
    }
    for (i64 d = 0; d < k; ++d) {
        const double pivot = a[d * 2 * k + d];
        for (i64 e = 0; e < 2 * k; ++e) a[d * 2 * k + e] /= pivot;
        for (i64 other = 0; other < k; ++other) {
            const double f = a[other * 2 * k + d];
            for (i64 e = 0; other != d && e < 2 * k; ++e)
                a[other * 2 * k + e] -= f * a[d * 2 * k + e];
        }
    }
    double trace = 0.0;
    for (i64 d = 0; d < k; ++d) trace += a[d * 2 * k + k + d];
    return trace;
}

}  // namespace check
