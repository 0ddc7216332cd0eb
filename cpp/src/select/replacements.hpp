// Replacements: what a selection gains if some of its rows leave and others enter in their place.
#pragma once

#include <algorithm>

#include "information_matrix.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/dense.hpp"

namespace skmm {

// The gains of the rows `entering` after a row of `leaving` has left the selection, for each such
// row alone. They follow from d = w_jᵀC w_t and e = w_jᵀC² w_t for w_j that leaves and w_t that
// enters. A swap changes d and e by products that it reports.
template <class T>
class Replacements {
public:
    Replacements(const InformationMatrix<T>& info, const RowList& leaving, const RowList& entering,
                 const Tick& tick, i64 done)
        : info_(info), leaving_(leaving), entering_(entering) {
        info.cross(leaving, entering, tick, done, d_, e_);
    }

    // The gain of row entering[t] after row leaving[j] has left, which grows C by u uᵀ / (1 - p_j)
    // with u = C w_j.
    double gain(i64 j, i64 t) const {
        const i64 out = leaving_[at(j)], in = entering_[at(t)];
        const double d = d_[at(place(j, t))], step = d / (1.0 - info_.p(out));
        const double after = info_.q(in) + step * (step * info_.q(out) + 2.0 * e_[at(place(j, t))]);
        return std::max(after, 0.0) / (1.0 + info_.p(in) + d * step);
    }

    // Brings the gains for leaving[j], ... up to date after a swap.
    void update(const typename InformationMatrix<T>::Swap& swap, i64 j) {
        const i64 in = static_cast<i64>(entering_.size()), out = static_cast<i64>(leaving_.size());
        Vector a(at(in)), b(at(in));
        for (int c = 0; c < 2; ++c) {
            for (i64 t = 0; t < in; ++t) {
                const double* along = &swap.along[at(4 * entering_[at(t)] + 2 * c)];
                a[at(t)] = along[0] / swap.delta[c];
                b[at(t)] = along[1] / swap.delta[c];
            }
            for (i64 l = j; l < out; ++l) {
                const double* along = &swap.along[at(4 * leaving_[at(l)] + 2 * c)];
                const double x = along[0];
                const double y = along[1] - x * swap.uu[c] / swap.delta[c];
                double *const d = &d_[at(place(l, 0))], *const e = &e_[at(place(l, 0))];
                for (i64 t = 0; t < in; ++t) {
                    d[t] -= x * a[at(t)];
                    e[t] -= y * a[at(t)] + x * b[at(t)];
                }
            }
        }
    }

private:
    i64 place(i64 j, i64 t) const { return j * static_cast<i64>(entering_.size()) + t; }

    const InformationMatrix<T>& info_;
    const RowList &leaving_, &entering_;
    Vector d_, e_;  // (leaving, entering)
};

}  // namespace skmm
