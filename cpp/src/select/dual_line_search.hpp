// DualLineSearch: evaluates the dual of moment matching along a ray. It reads vectors of N numbers
// and makes no pass over Y.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "skmm/base/types.hpp"
#include "skmm/linalg/simplex.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

constexpr double kRounding = 1e-12;  // relative error of a group's mass that counts as rounding

// The points s(a) = P(centre + step (g + a d)) of a ray, where P is the projection onto the
// feasible set, and the slope of the dual along the ray. P subtracts a threshold tau from each
// group and clips to [0, cap]. The thresholds are found by Newton's method from their last values,
// those of all groups together, so that ranks exchange the sums of all groups at once.
class DualLineSearch {
public:
    DualLineSearch(const GroupedRows& rows, double cap, int n_threads)
        : rows_(rows),
          cap_(cap),
          threads_(n_threads),
          lines_(at(rows.n_groups())),
          sums_(at(rows.n_groups())) {
        for (i64 g = 0; g < rows.n_groups(); ++g)
            lines_[at(g)].total = cap * static_cast<double>(rows.group(g).count);
    }

    // Starts a new ray at parameter a. s(a) must be the point of the last call of point(), whose
    // thresholds are kept; or, if `centre`, the centre itself, whose thresholds are 0.
    void begin(const Ray& ray, double a, bool centre) {
        for (Line& line : lines_) {
            if (centre) line.tau = 0.0;
            line.a = a;
        }
        sum(ray, a, std::vector<bool>(lines_.size(), true),
            [&](std::size_t g) { return lines_[g].tau; });
        for (std::size_t g = 0; g < lines_.size(); ++g) lines_[g].drift = drift(ray, sums_[g]);
    }

    // Returns ⟨d, s(a)⟩ and its derivative with respect to a. The thresholds are found only
    // approximately; the value is corrected to first order in the mass that a group still lacks.
    struct Along {
        double value, slope;
    };
    Along along(const Ray& ray, double a) {
        constexpr double kLoose = 1e-3;  // relative error of a group's mass
        settle(ray, a, kLoose);
        Along all{0.0, 0.0};
        for (std::size_t g = 0; g < lines_.size(); ++g) {
            const RaySums& sums = sums_[g];
            const double mean = sums.inside > 0.0 ? sums.d_inside / sums.inside : 0.0;
            all.value += sums.along + mean * (lines_[g].total - sums.mass);
            all.slope += ray.step * (sums.dd_inside - mean * sums.d_inside);
        }
        return all;
    }

    // Computes x = s(a), which is feasible up to rounding. Returns the number of its entries that
    // are strictly between 0 and cap.
    i64 point(const Ray& ray, double a, Vector& x) {
        constexpr double kExact = 1e-14;
        settle(ray, a, kExact);
        for_each_row(rows_, threads_, [&](i64 g, i64 i) {
            const double v = ray.centre[i] + ray.step * (ray.g[i] + a * ray.d[i]);
            x[at(i)] = std::min(std::max(v - lines_[at(g)].tau, 0.0), cap_);
        });
        double inside = 0.0;
        bool exact = true;
        for (std::size_t g = 0; g < lines_.size(); ++g) {
            inside += sums_[g].inside;
            exact = exact && std::abs(missing(g)) <= kRounding * lines_[g].total;
        }
        if (!exact) spread(x);
        return static_cast<i64>(inside);
    }

private:
    // The threshold tau of a group at parameter a, drift = d tau / d a there, and the mass that the
    // entries of the group must sum to.
    struct Line {
        double tau = 0.0, a = 0.0, drift = 0.0, total = 0.0;
    };
    static double drift(const Ray& ray, const RaySums& sums) {
        return sums.inside > 0.0 ? ray.step * sums.d_inside / sums.inside : 0.0;
    }
    // The mass that a group lacks at the last sums.
    double missing(std::size_t g) const { return lines_[g].total - sums_[g].mass; }

    // Adds what mass the groups lack to entries of x, without leaving [0, cap]: to those strictly
    // inside first, then to any, in proportion to the room that each has. This is needed where v in
    // point() has lost digits to cancellation.
    void spread(Vector& x) const {
        Vector lacks(lines_.size()), room(lines_.size());
        for (std::size_t g = 0; g < lacks.size(); ++g)
            if (std::abs(missing(g)) > kRounding * lines_[g].total) lacks[g] = missing(g);
        for (const bool any : {false, true}) {
            const auto room_of = [&](i64 g, i64 i) {
                const double xi = x[at(i)];
                if (!any && !(xi > 0.0 && xi < cap_)) return 0.0;
                return lacks[at(g)] > 0.0 ? cap_ - xi : xi;
            };
            sum_groups(
                rows_, 1, threads_,
                [&](i64 g, i64 first, i64 last, double* part) {
                    for (i64 i = first; i < last; ++i) *part += room_of(g, i);
                },
                room.data());
            for_each_row(rows_, threads_, [&](i64 g, i64 i) {
                if (lacks[at(g)] == 0.0 || room[at(g)] == 0.0) return;
                const double share = std::clamp(lacks[at(g)] / room[at(g)], -1.0, 1.0);
                x[at(i)] = std::clamp(x[at(i)] + share * room_of(g, i), 0.0, cap_);
            });
            for (std::size_t g = 0; g < lacks.size(); ++g)
                lacks[g] -= std::clamp(lacks[g], -room[g], room[g]);
        }
    }

    // Finds the thresholds at which the mass of each group at parameter a is its total, up to the
    // relative error `within`. Leaves the sums there in sums_.
    void settle(const Ray& ray, double a, double within) {
        std::vector<Threshold> thresholds;
        for (const Line& line : lines_)
            thresholds.push_back(
                {line.total, within * line.total, line.tau + line.drift * (a - line.a)});
        find_thresholds(
            thresholds,
            [&](const std::vector<bool>& open, std::vector<Mass>& masses) {
                sum(ray, a, open, [&](std::size_t g) { return thresholds[g].tau; });
                for (std::size_t g = 0; g < masses.size(); ++g)
                    masses[g] = {sums_[g].mass, sums_[g].inside};
            },
            [&] {
                auto ranges = group_ranges(rows_, threads_, [&](i64 i) {
                    return ray.centre[i] + ray.step * (ray.g[i] + a * ray.d[i]);
                });
                for (auto& range : ranges) range.first -= cap_;
                return ranges;
            });
        for (std::size_t g = 0; g < lines_.size(); ++g)
            lines_[g] = {thresholds[g].tau, a, drift(ray, sums_[g]), lines_[g].total};
    }

    // Computes the sums of the groups g with open[g] at parameter a and threshold tau(g).
    template <class Tau>
    void sum(const Ray& ray, double a, const std::vector<bool>& open, const Tau& tau) {
        constexpr i64 kSums = 5;
        Vector sums(kSums * sums_.size());
        sum_groups(
            rows_, kSums, threads_,
            [&](i64 g, i64 first, i64 last, double* part) {
                if (!open[at(g)]) return;
                RaySums s;
                kernels().any.ray_sums(ray, first, last, a, tau(at(g)), &s);
                const double found[kSums] = {s.mass, s.inside, s.along, s.d_inside, s.dd_inside};
                std::copy_n(found, kSums, part);
            },
            sums.data());
        for (std::size_t g = 0; g < sums_.size(); ++g) {
            const double* const s = &sums[kSums * g];
            if (open[g]) sums_[g] = {s[0], s[1], s[2], s[3], s[4]};
        }
    }

    const GroupedRows& rows_;
    double cap_;
    int threads_;
    std::vector<Line> lines_;    // one per group
    std::vector<RaySums> sums_;  // one per group: those of the last threshold that was tried
};

}  // namespace skmm
