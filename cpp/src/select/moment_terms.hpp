// MomentTerms: the terms of the moment-matching objective φ, and the passes over Y that evaluate
// them.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "skmm/base/types.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/products.hpp"
#include "skmm/select/moment_matching.hpp"

namespace skmm {

inline double inner(const Vector& a, const Vector& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

inline double squared(double x) { return x * x; }

// The targets t_j and the matrix B = (y_ij²) of φ, with t_j and column j of B scaled by √w_j. In
// this scaling, which the members below use, φ(s) = ‖[t - Bᵀs]₊‖². b_i is row i of B.
template <class T>
class MomentTerms {
public:
    MomentTerms(const MomentProblem<T>& problem, int n_threads, const Tick& tick)
        : problem_(problem),
          threads_(n_threads),
          tick_(tick),
          root_(problem.weight, problem.weight + cols()),
          target_(root_.size()) {
        for (double& w : root_) w = std::sqrt(w);
        for (std::size_t j = 0; j < root_.size(); ++j) target_[j] = problem.target[j] * root_[j];
    }

    i64 rows() const { return problem_.y.rows; }
    i64 cols() const { return problem_.y.cols; }
    i64 passes() const { return passes_; }
    const Vector& target() const { return target_; }

    // Returns the moments p = Bᵀs. Makes one pass over the rows where s is not zero.
    Vector moments(const Vector& s) {
        Vector p(root_.size());
        problem_.y.column_squares(s.data(), counting(), p.data());
        for (std::size_t j = 0; j < p.size(); ++j) p[j] *= root_[j];
        return p;
    }

    // Computes g = Bu (N). Makes one pass.
    void combine(const Vector& u, Vector& g) {
        Vector scaled(u.size());
        std::transform(u.begin(), u.end(), root_.begin(), scaled.begin(), std::multiplies<>());
        problem_.y.square_dots(scaled.data(), counting(), g.data());
    }

    // Returns the moments p without the scaling: Σ_i s_i y_ij².
    Vector unscaled(Vector p) const {
        for (std::size_t j = 0; j < p.size(); ++j) p[j] /= root_[j];
        return p;
    }

    // Returns [t - p]₊. Twice this vector are the multipliers u that are optimal for the moments p.
    Vector shortfall(const Vector& p) const {
        Vector u(p.size());
        for (std::size_t j = 0; j < p.size(); ++j) u[j] = std::max(target_[j] - p[j], 0.0);
        return u;
    }
    // Returns φ at the moments p.
    double value(const Vector& p) const {
        const Vector u = shortfall(p);
        return inner(u, u);
    }

    // Computes H = Σ_i b_i b_iᵀ over the `count` rows of all ranks with inside(i), where the b_i of
    // each group are centred by their mean, and returns Σ_i ‖b_i‖², which is not centred. If the
    // rows are many, both are estimated from a sample, evenly spaced in each strip. Every rank gets
    // the rows of the sample, which are at most O(k), and computes the same.
    template <class Inside>
    double curvature(i64 count, const Inside& inside, Vector& h) const {
        const auto k = root_.size();
        const i64 every = std::max<i64>(1, count / std::max(kSampleLeast, kSamplePerCol * cols()));
        const Sample sample = sampled(every, inside);
        const i64 taken = static_cast<i64>(sample.groups.size());
        h.assign(k * k, 0.0);
        if (taken == 0) return 0.0;
        Vector means(at(problem_.rows.n_groups()) * k), sizes(at(problem_.rows.n_groups()));
        Vector b(at(taken) * k);
        double trace = 0.0;
        for (i64 i = 0; i < taken; ++i) {
            const T* const y = &sample.y[at(i) * k];
            const auto g = at(sample.groups[at(i)]);
            double *const out = &b[at(i) * k], *const mean = &means[g * k];
            for (std::size_t j = 0; j < k; ++j) {
                out[j] = root_[j] * squared(static_cast<double>(y[j]));
                mean[j] += out[j];
            }
            sizes[g] += 1.0;
            trace += std::inner_product(out, out + k, out, 0.0);
        }
        for (std::size_t e = 0; e < means.size(); ++e) means[e] /= std::max(sizes[e / k], 1.0);
        for (i64 i = 0; i < taken; ++i) {
            const double* const mean = &means[at(sample.groups[at(i)]) * k];
            double* const out = &b[at(i) * k];
            std::transform(out, out + k, mean, out, std::minus<>());
        }
        second_moment(MatrixView<double>{b.data(), taken, cols(), cols()}, nullptr, threads_, tick_,
                      h.data());
        const double scale = static_cast<double>(count) / static_cast<double>(taken);
        for (double& x : h) x *= scale;
        return trace * scale;
    }

private:
    static constexpr i64 kSampleLeast = 4096, kSamplePerCol = 16;  // rows in the sample of H

    // Some rows of all ranks, in the order of the strips.
    struct Sample {
        std::vector<i64> groups;  // (rows)
        std::vector<T> y;         // (rows, k)
    };

    // Returns the rows with inside(i) among every so many-th of a strip.
    template <class Inside>
    Sample sampled(i64 every, const Inside& inside) const {
        const Strips& strips = problem_.rows.strips();
        std::vector<i64> rows;
        Sample sample;
        for (i64 t = 0; t < strips.count(); ++t) {
            i64 g = 0;
            for (i64 i = strips.strip(t).first; i < strips.strip(t).last; i += every) {
                if (!inside(i)) continue;
                while (problem_.rows.part(t, g).last <= i) ++g;
                rows.push_back(i);
                sample.groups.push_back(g);
            }
        }
        sample.y.resize(rows.size() * root_.size());
        problem_.y.take(rows, sample.y.data());
        if (strips.ranks().size == 1) return sample;
        const Vector groups = strips.of_all({sample.groups.begin(), sample.groups.end()});
        const Vector y = strips.of_all({sample.y.begin(), sample.y.end()});
        sample.groups.assign(groups.begin(), groups.end());
        sample.y.assign(y.begin(), y.end());
        return sample;
    }

    // Counts one more pass and returns the tick for it.
    Tick counting() {
        ++passes_;
        return [this](i64) { tick_(passes_); };
    }

    const MomentProblem<T>& problem_;
    int threads_;
    const Tick& tick_;
    Vector root_, target_;  // (k) √w_j, √w_j t_j
    i64 passes_ = 0;
};

}  // namespace skmm
