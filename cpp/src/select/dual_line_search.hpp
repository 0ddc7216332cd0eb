// DualLineSearch: evaluates the dual of moment matching along a ray. It reads vectors of N numbers
// and makes no pass over Y.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "skmm/base/memory.hpp"
#include "skmm/base/parallel.hpp"
#include "skmm/base/types.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

constexpr double kRounding = 1e-12;  // relative error of a group's mass that counts as rounding

// The points s(a) = P(centre + step (g + a d)) of a ray, where P is the projection onto the
// feasible set, and the slope of the dual along the ray. P subtracts a threshold tau from each
// group and clips to [0, cap]. The threshold of each group is found by Newton's method from its
// last value.
class DualLineSearch {
public:
    DualLineSearch(const Groups& groups, double cap, i64 n_rows, int n_threads)
        : groups_(groups),
          cap_(cap),
          threads_(n_threads),
          parts_(static_cast<std::size_t>(ceil_div(n_rows, kSumBlock) + 1)),
          thresholds_(groups.size()) {}

    // Starts a new ray at parameter a. s(a) must be the point of the last call of point(), whose
    // thresholds are kept; or, if `centre`, the centre itself, whose thresholds are 0.
    void begin(const Ray& ray, double a, bool centre) {
        for_groups([&](const Group& group, Threshold& t) {
            if (centre) t.tau = 0.0;
            t.a = a;
            t.drift = drift(ray, sums(ray, group, a, t.tau));
        });
    }

    // Returns ⟨d, s(a)⟩ and its derivative with respect to a. The thresholds are found only
    // approximately; the value is corrected to first order in the mass that a group still lacks.
    struct Along {
        double value, slope;
    };
    Along along(const Ray& ray, double a) {
        constexpr double kLoose = 1e-3;  // relative error of a group's mass
        Along sum{0.0, 0.0};
        for_groups([&](const Group& group, Threshold& t) {
            const RaySums at = settle(ray, group, a, kLoose, t);
            const double mean = at.inside > 0.0 ? at.d_inside / at.inside : 0.0;
            sum.value += at.along + mean * (total(group) - at.mass);
            sum.slope += ray.step * (at.dd_inside - mean * at.d_inside);
        });
        return sum;
    }

    // Computes x = s(a), which is feasible up to rounding. Returns the number of its entries that
    // are strictly between 0 and cap.
    i64 point(const Ray& ray, double a, Vector& x) {
        constexpr double kExact = 1e-14;
        double inside = 0.0;
        for_groups([&](const Group& group, Threshold& t) {
            const RaySums at = settle(ray, group, a, kExact, t);
            inside += at.inside;
            for_blocks(group.last - group.first, threads_, [&](i64 first, i64 last) {
                for (i64 i = group.first + first; i < group.first + last; ++i) {
                    const double v = ray.centre[i] + ray.step * (ray.g[i] + a * ray.d[i]) - t.tau;
                    x[static_cast<std::size_t>(i)] = std::min(std::max(v, 0.0), cap_);
                }
            });
            const double missing = total(group) - at.mass;
            if (std::abs(missing) > kRounding * total(group)) spread(missing, group, x);
        });
        return static_cast<i64>(inside);
    }

private:
    // The threshold tau of a group at parameter a, and drift = d tau / d a there.
    struct Threshold {
        double tau, a, drift;
    };
    static double drift(const Ray& ray, const RaySums& at) {
        return at.inside > 0.0 ? ray.step * at.d_inside / at.inside : 0.0;
    }

    // The mass that the entries of a group must sum to.
    double total(const Group& group) const { return cap_ * static_cast<double>(group.count); }

    template <class F>
    void for_groups(const F& f) {
        for (std::size_t k = 0; k < groups_.size(); ++k)
            if (groups_[k].first < groups_[k].last) f(groups_[k], thresholds_[k]);
    }

    // Adds the mass `missing` to entries of x, without leaving [0, cap]: to those strictly inside
    // first, then to any. This is needed where v in point() has lost digits to cancellation.
    void spread(double missing, const Group& group, Vector& x) const {
        for (const bool any : {false, true}) {
            for (i64 i = group.first; i < group.last && missing != 0.0; ++i) {
                double& xi = x[static_cast<std::size_t>(i)];
                if (!any && !(xi > 0.0 && xi < cap_)) continue;
                const double to = std::min(std::max(xi + missing, 0.0), cap_);
                missing -= to - xi;
                xi = to;
            }
        }
    }

    // Finds the threshold at which the group's mass at parameter a is its total, up to the relative
    // error `within`. Returns the sums at that point.
    RaySums settle(const Ray& ray, const Group& group, double a, double within, Threshold& t) {
        RaySums at{};
        t.tau = threshold(
            [&](double tau) {
                at = sums(ray, group, a, tau);
                return Mass{at.mass, at.inside};
            },
            [&] {
                double lo = ray.centre[group.first] +
                            ray.step * (ray.g[group.first] + a * ray.d[group.first]);
                double hi = lo;
                for (i64 i = group.first; i < group.last; ++i) {
                    const double v = ray.centre[i] + ray.step * (ray.g[i] + a * ray.d[i]);
                    lo = std::min(lo, v);
                    hi = std::max(hi, v);
                }
                return std::pair(lo - cap_, hi);
            },
            total(group), within * total(group), t.tau + t.drift * (a - t.a));
        t.a = a;
        t.drift = drift(ray, at);
        return at;
    }

    // The sums over a group at parameter a and threshold tau, added in a fixed order.
    RaySums sums(const Ray& ray, const Group& group, double a, double tau) {
        const i64 n = group.last - group.first;
        for_blocks(n, threads_, [&](i64 first, i64 last) {
            kernels().any.ray_sums(ray, group.first + first, group.first + last, a, tau,
                                   &parts_[static_cast<std::size_t>(first / kSumBlock)]);
        });
        RaySums all{};
        for (i64 b = 0; b < ceil_div(n, kSumBlock); ++b) {
            const RaySums& part = parts_[static_cast<std::size_t>(b)];
            all.mass += part.mass;
            all.inside += part.inside;
            all.along += part.along;
            all.d_inside += part.d_inside;
            all.dd_inside += part.dd_inside;
        }
        return all;
    }

    const Groups& groups_;
    double cap_;
    int threads_;
    std::vector<RaySums> parts_;         // one per block of kSumBlock rows
    std::vector<Threshold> thresholds_;  // one per group
};

}  // namespace skmm
