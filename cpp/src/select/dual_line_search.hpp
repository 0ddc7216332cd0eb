// The line searches of moment matching: no pass over Y, sums over vectors of N.
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

constexpr double kRounding = 1e-12;  // of a mass

// The points s(a) = P(centre + step (g + a d)) and the slope of the dual along them.
class DualLineSearch {
public:
    DualLineSearch(const Groups& groups, double cap, i64 n_rows, int n_threads)
        : groups_(groups),
          cap_(cap),
          threads_(n_threads),
          parts_(static_cast<std::size_t>(ceil_div(n_rows, kSumBlock) + 1)),
          thresholds_(groups.size()) {}

    // A new ray, from a on, where s(a) is the last point; or the centre, whose threshold is 0.
    void begin(const Ray& ray, double a, bool centre) {
        for_groups([&](const Group& group, Threshold& t) {
            if (centre) t.tau = 0.0;
            t.a = a;
            t.drift = drift(ray, sums(ray, group, a, t.tau));
        });
    }

    // ⟨d, s(a)⟩ and its derivative by a, to first order in the mass that is missing.
    struct Along {
        double value, slope;
    };
    Along along(const Ray& ray, double a) {
        constexpr double kLoose = 1e-3;  // of the mass of a group
        Along sum{0.0, 0.0};
        for_groups([&](const Group& group, Threshold& t) {
            const RaySums at = settle(ray, group, a, kLoose, t);
            const double mean = at.inside > 0.0 ? at.d_inside / at.inside : 0.0;
            sum.value += at.along + mean * (total(group) - at.mass);
            sum.slope += ray.step * (at.dd_inside - mean * at.d_inside);
        });
        return sum;
    }

    // x = s(a), feasible to rounding; returns how many of its entries lie strictly between 0 and
    // cap.
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
    struct Threshold {
        double tau, a, drift;  // at a; d tau / d a
    };
    static double drift(const Ray& ray, const RaySums& at) {
        return at.inside > 0.0 ? ray.step * at.d_inside / at.inside : 0.0;
    }

    double total(const Group& group) const { return cap_ * static_cast<double>(group.count); }

    template <class F>
    void for_groups(const F& f) {
        for (std::size_t k = 0; k < groups_.size(); ++k)
            if (groups_[k].first < groups_[k].last) f(groups_[k], thresholds_[k]);
    }

    // Adds `missing` to entries in the box, those strictly inside first: v has lost digits.
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
    std::vector<RaySums> parts_;
    std::vector<Threshold> thresholds_;
};

}  // namespace skmm
