// InformationMatrix: the state of greedy additions and exchanges in V-optimal selection.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "candidate_set.hpp"
#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/select/v_optimality.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

// The information matrix M = W_SᵀW_S + ridge I of a set S of rows of W = Z B, its inverse C, and
// two numbers for every row w of W: p = wᵀCw and q = ‖Cw‖². They give the change of tr C if the row
// is added or removed.
//
// p and q are out of date after some changes of S. Call refresh() before gain() and loss().
// remove(), swap(), cross() and the updates of p and q need Z in memory. Lists of rows have their
// numbers in the whole matrix, of which a rank keeps p and q of the rows here; M and C are the same
// on all ranks.
template <class T>
class InformationMatrix {
public:
    InformationMatrix(Whitened<T> w, const Strips& strips, double ridge, int n_threads)
        : w_(w), strips_(strips), threads_(n_threads), m_(at(k() * k())), p_(at(n())), q_(at(n())) {
        for (i64 d = 0; d < k(); ++d) m_[at(d * k() + d)] = ridge;
        bt_ = transposed({w.b.data, w.b.data + m() * k()}, m(), k());
        invert();
    }

    // gain(i) is the decrease of tr C if row i is added, and loss(i) its increase if row i is
    // removed, where the row is here. loss(i) is infinite if M would become nearly singular.
    double gain(i64 i) const { return std::max(q(i), 0.0) / (1.0 + p(i)); }
    double loss(i64 i) const {
        const double left = 1.0 - p(i);
        return left > kSingular ? std::max(q(i), 0.0) / left
                                : std::numeric_limits<double>::infinity();
    }
    // Returns tr C.
    double trace() const {
        double sum = 0.0;
        for (i64 d = 0; d < k(); ++d) sum += c_[at(d * k() + d)];
        return sum;
    }

    // Brings p and q of all rows up to date, as gain() and loss() need them. Here and below, the
    // functions that take a tick call it with `done`.
    void refresh(const Tick& tick, i64 done) {
        if (fresh_) return;
        const Tick quiet = [&](i64) { tick(done); };
        norms_of(root_, quiet, p_);
        norms_of(c_, quiet, q_);
        fresh_ = true;
    }

    // Adds rows to S. If Z is in memory and the rows are few, p and q are updated. Otherwise only M
    // and C change, and p and q are out of date until the next refresh().
    void add(const RowList& rows, const Tick& tick, i64 done) {
        const bool many = rows.size() > 1 && 3 * static_cast<i64>(rows.size()) > k();
        if (many || !w_.z.block) {
            add_moment(rows, tick, done);
            invert();
            return;
        }
        for (const i64 i : rows) change(i, 1.0);
        apply(tick, done);
    }
    void remove(i64 i, const Tick& tick, i64 done) {
        change(i, -1.0);
        apply(tick, done);
    }

    // A swap adds row `in` to S and removes row `out`. These are two changes of C, C' = C - u uᵀ /
    // delta with u = C w*. They are reported with the products of u and of Cu with every row of W.
    struct Swap {
        double uu[2], delta[2];  // uᵀu; delta
        Vector along;            // (n, 4) wᵀu and wᵀCu of the first change, then of the second
    };
    // Makes a swap and reports it. Returns false, with nothing reported, if p and q were computed
    // afresh rather than updated. The row is added first, so that M stays far from singular.
    bool swap(i64 in, i64 out, const Tick& tick, i64 done, Swap& made) {
        change(in, 1.0);
        change(out, -1.0);
        for (int c = 0; c < 2; ++c) {
            made.uu[c] = changes_[at(c)].uu;
            made.delta[c] = changes_[at(c)].delta;
        }
        made.along.resize(at(4 * n()));
        return apply(tick, done, made.along.data());
    }

    // p = wᵀCw and q = ‖Cw‖² of row i, which is here.
    double p(i64 i) const { return p_[at(i - strips_.first_row())]; }
    double q(i64 i) const { return q_[at(i - strips_.first_row())]; }

    // Writes wᵀC w_t and wᵀC² w_t for every row w of `leaving` and w_t of `entering`, to d and e
    // (leaving, entering). Z must be in memory.
    void cross(const RowList& leaving, const RowList& entering, const Tick& tick, i64 done,
               Vector& d, Vector& e) const {
        const i64 out = static_cast<i64>(leaving.size()), in = static_cast<i64>(entering.size());
        const Tick quiet = [&](i64) { tick(done); };
        const auto product = [&](auto rows, const double* d, i64 cols) {
            Vector result(at(rows.rows * cols));
            multiply(rows, nullptr, MatrixView<double>{d, rows.cols, cols, cols}, threads_, quiet,
                     MutableMatrixView<double>{result.data(), rows.rows, cols, cols});
            return result;
        };
        const auto all = [&](const Vector& rows, i64 count, const Vector& d, i64 cols) {
            return product(MatrixView<double>{rows.data(), count, k(), k()}, d.data(), cols);
        };
        const auto rows_times = [&](const RowList& rows, const double* d, i64 cols) {
            const std::vector<T> z = taken(rows);
            return product(MatrixView<T>{z.data(), static_cast<i64>(rows.size()), m(), m()}, d,
                           cols);
        };
        // The rows wᵀC, then wᵀC², of those that leave; times Bᵀ they are the vectors whose
        // products with a row z are wᵀC w_z and wᵀC² w_z.
        const Vector w = rows_times(leaving, w_.b.data, k());
        Vector uv = all(w, out, c_, k());
        const Vector v = all(uv, out, c_, k());
        uv.insert(uv.end(), v.begin(), v.end());
        const Vector by_rows = all(uv, 2 * out, bt_, m());
        const Vector de = rows_times(entering, transposed(by_rows, 2 * out, m()).data(), 2 * out);
        d = transposed(de, in, 2 * out);
        e.assign(d.begin() + out * in, d.end());
        d.resize(at(out * in));
    }

    // Subtracts ridge I from M and returns true. If M would be singular to rounding, or tr C would
    // grow by more than `factor`, changes nothing and returns false. The error of M is at most
    // kSumRounding tr M, and its least eigenvalue at least 1 / tr C.
    bool drop_ridge(double ridge, double factor) {
        Vector u = m_;
        double error = 0.0;
        for (i64 d = 0; d < k(); ++d) {
            error += kSumRounding * u[at(d * k() + d)];
            u[at(d * k() + d)] -= ridge;
        }
        const Vector without = u;
        if (!skmm::factor(u)) return false;
        const Vector root = inverse_root(u);
        const double grown = std::inner_product(root.begin(), root.end(), root.begin(), 0.0);
        if (!(grown <= factor * trace() && error * grown < 1.0)) return false;
        m_ = without;
        invert();
        return true;
    }

    // Returns a copy of this state in which Z consists of the listed rows only. They are copied to
    // `storage`, which must outlive the result. p and q must be up to date.
    InformationMatrix among(const RowList& rows, std::vector<T>& storage) const {
        const i64 count = static_cast<i64>(rows.size());
        storage = taken(rows);
        InformationMatrix some(
            *this, {row_matrix(MatrixView<T>{storage.data(), count, m(), m()}, threads_), w_.b});
        const Vector pq = strips_.of_rows(rows, 2, [&](i64 i, double* out) {
            out[0] = p_[at(i)];
            out[1] = q_[at(i)];
        });
        for (i64 i = 0; i < count; ++i) {
            some.p_[at(i)] = pq[at(2 * i)];
            some.q_[at(i)] = pq[at(2 * i + 1)];
        }
        return some;
    }
    // Takes over M from `other`. p and q are out of date until the next refresh().
    void adopt(const InformationMatrix& other) {
        m_ = other.m_;
        invert();
    }

private:
    // A row with 1 - p <= kSingular cannot be removed.
    static constexpr double kSingular = 1e-6;
    // p and q have lost digits to cancellation, and are computed afresh, when tr C has fallen below
    // this part of its value when they were last computed, or after this many updates.
    static constexpr double kFallen = 1e-5;
    static constexpr i64 kStale = 10'000;

    // The state `all` for other rows of W, with p and q not yet set.
    InformationMatrix(const InformationMatrix& all, Whitened<T> some)
        : w_(some),
          strips_(some.z.rows),
          threads_(all.threads_),
          m_(all.m_),
          c_(all.c_),
          bt_(all.bt_),
          p_(at(n())),
          q_(at(n())),
          fresh_(true),
          fresh_trace_(all.fresh_trace_) {}

    i64 n() const { return w_.z.rows; }
    i64 m() const { return w_.z.cols; }
    i64 k() const { return w_.b.cols; }

    // A copy of the listed rows of Z.
    std::vector<T> taken(const RowList& rows) const {
        std::vector<T> z(rows.size() * at(m()));
        if (strips_.ranks().size == 1) {
            w_.z.take(rows, z.data());
            return z;
        }
        std::vector<T> room(at(m()));
        const Vector all = strips_.of_rows(rows, m(), [&](i64 i, double* out) {
            const T* const here = w_.z.block(i, 1, room.data());
            std::copy_n(here, m(), out);
        });
        std::transform(all.begin(), all.end(), z.begin(),
                       [](double x) { return static_cast<T>(x); });
        return z;
    }

    // Returns w = Bᵀz.
    Vector row(const T* z) const {
        Vector w(at(k()));
        for (i64 j = 0; j < m(); ++j) {
            const double zj = static_cast<double>(z[j]);
            for (i64 d = 0; d < k(); ++d) w[at(d)] += zj * w_.b.row(j)[d];
        }
        return w;
    }

    // Adds w wᵀ to M for each of the listed rows. C is not updated.
    void add_moment(const RowList& rows, const Tick& tick, i64 done) {
        constexpr i64 kChunk = 4096;
        Vector part(at(k() * k())), w;
        const i64 count = static_cast<i64>(rows.size());
        for (i64 from = 0; from < count; from += kChunk) {
            tick(done);
            const i64 here = std::min(kChunk, count - from);
            w.resize(at(here * k()));
            const std::vector<T> z = taken({rows.begin() + from, rows.begin() + from + here});
            multiply(
                MatrixView<T>{z.data(), here, m(), m()}, nullptr, w_.b, threads_,
                [&](i64) { tick(done); }, MutableMatrixView<double>{w.data(), here, k(), k()});
            second_moment(MatrixView<double>{w.data(), here, k(), k()}, nullptr, threads_, tick,
                          part.data());
            std::transform(m_.begin(), m_.end(), part.begin(), m_.begin(), std::plus<>());
        }
    }

    // The change of C if w wᵀ is added to M (sign = 1) or subtracted (sign = -1). By the formula of
    // Sherman and Morrison, C' = C - u uᵀ / delta with u = C w.
    struct Change {
        Vector u, uv;      // (k) u; (2 m) B u and B C u, from which p and q follow by rows of Z
        double uu, delta;  // uᵀu; delta
    };
    Change changed(const Vector& w, double sign) const {
        Vector u = times(c_.data(), k(), w), uv = times(w_.b.data, m(), u);
        const Vector v = times(w_.b.data, m(), times(c_.data(), k(), u));
        uv.insert(uv.end(), v.begin(), v.end());
        const double uu = inner(u, u), delta = sign * (1.0 + sign * inner(w, u));
        return {std::move(u), std::move(uv), uu, delta};
    }

    // Adds row i to S (sign = 1) or removes it (sign = -1) in M and C, and records the change. The
    // next apply() updates p and q.
    void change(i64 i, double sign) {
        const Vector w = row(taken({i}).data());
        const Change c = changed(w, sign);
        for (i64 a = 0; a < k(); ++a) {
            const double wa = sign * w[at(a)], ua = c.u[at(a)] / c.delta;
            for (i64 b = 0; b < k(); ++b) {
                m_[at(a * k() + b)] += wa * w[at(b)];
                c_[at(a * k() + b)] -= ua * c.u[at(b)];
            }
        }
        changes_.push_back({nullptr, nullptr, c.uu, c.delta});
        vectors_.insert(vectors_.end(), c.uv.begin(), c.uv.end());
    }

    // Updates p and q for the recorded changes, by rank-one updates in one pass over Z, and returns
    // true. If they were out of date or would lose digits (kFallen, kStale), computes C, p and q
    // afresh from M instead and returns false. `along` is as in the kernel rank_one.
    bool apply(const Tick& tick, i64 done, double* along = nullptr) {
        stale_ += static_cast<i64>(changes_.size());
        if (!fresh_ || stale_ > kStale || trace() < kFallen * fresh_trace_) {
            invert();
            refresh(tick, done);
            return false;
        }
        for (std::size_t t = 0; t < changes_.size(); ++t) {
            changes_[t].u = vectors_.data() + at(2 * m()) * t;
            changes_[t].v = changes_[t].u + m();
        }
        constexpr i64 kSlice = 256 * kRowsAtOnce;
        const Scratch<T> rooms(threads_ * kRowsAtOnce * m());
        for (i64 from = 0; from < n(); from += kSlice) {
            tick(done);
            const i64 some = std::min(kSlice, n() - from);
            const double work =
                2.0 * static_cast<double>(some * m()) * static_cast<double>(changes_.size());
            parallel_blocks(
                ceil_div(some, kRowsAtOnce), worth(work, threads_), [&](i64 b, int slot) {
                    const i64 first = from + b * kRowsAtOnce,
                              rows = std::min(kRowsAtOnce, n() - first);
                    const int count = static_cast<int>(changes_.size());
                    const T* const z =
                        w_.z.block(first, rows, rooms.data() + slot * kRowsAtOnce * m());
                    kernels().of<T>().rank_one(z, rows, m(), changes_.data(), count, &p_[at(first)],
                                               &q_[at(first)],
                                               along ? along + 2 * count * first : nullptr);
                });
        }
        changes_.clear();
        vectors_.clear();
        return true;
    }

    // Computes C from M. C is NaN if M is not positive definite, which happens if W is not finite.
    void invert() {
        changes_.clear();
        vectors_.clear();
        stale_ = 0;
        fresh_ = false;
        root_ = m_;
        if (factor(root_)) {
            root_ = inverse_root(root_);
            c_ = gram(root_);
        } else {
            root_.assign(m_.size(), std::numeric_limits<double>::quiet_NaN());
            c_ = root_;
        }
        fresh_trace_ = trace();
    }

    // Computes x_i = ‖A w_i‖² for all rows w_i, with A (k, k).
    void norms_of(const Vector& a, const Tick& tick, Vector& x) const {
        const Vector turned = transposed(a, k(), k());
        Vector d(at(m() * k()));  // B Aᵀ
        multiply(w_.b, nullptr, MatrixView<double>{turned.data(), k(), k(), k()}, threads_, tick,
                 MutableMatrixView<double>{d.data(), m(), k(), k()});
        w_.z.row_norms({d.data(), m(), k(), k()}, tick, x.data());
    }

    // Returns Aᵀ for A (rows, cols).
    static Vector transposed(const Vector& a, i64 rows, i64 cols) {
        Vector turned(a.size());
        for (i64 i = 0; i < rows; ++i)
            for (i64 j = 0; j < cols; ++j) turned[at(j * rows + i)] = a[at(i * cols + j)];
        return turned;
    }

    // Returns A x for A (rows, x.size()).
    static Vector times(const double* a, i64 rows, const Vector& x) {
        Vector y(at(rows));
        kernels().f64.dots(a, rows, static_cast<i64>(x.size()), x.data(), y.data());
        return y;
    }

    static double inner(const Vector& x, const Vector& y) {
        return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
    }

    static constexpr i64 kRowsAtOnce = 256;

    Whitened<T> w_;
    Strips strips_;
    int threads_;
    Vector m_, c_, bt_, p_, q_;  // (k, k) M, (k, k) C, (k, m) Bᵀ, (N) p, (N) q
    Vector root_;                // (k, k) R with RᵀR = C, from when C was last computed from M
    bool fresh_ = false;         // whether p and q are up to date
    double fresh_trace_ = 0.0;   // tr C when C was last computed from M
    i64 stale_ = 0;              // number of changes since then
    // The changes of C that p and q do not include yet; u and v are set in apply().
    std::vector<RankOne> changes_;
    Vector vectors_;  // (changes, 2 m) B u and B C u of these changes
};

}  // namespace skmm
