#include "skmm/base/cpu_quota.hpp"

#include <climits>
#include <cmath>
#include <fstream>

namespace skmm {
namespace {

// quota / period, rounded up. Both are microseconds; no limit is a quota below zero or a word.
int processors(std::istream& quota_file, std::istream& period_file) {
    double quota = 0.0, period = 0.0;
    if (!(quota_file >> quota && period_file >> period)) return INT_MAX;
    const double number = std::ceil(quota / period);
    return number >= 1.0 && number < INT_MAX ? static_cast<int>(number) : INT_MAX;
}

}  // namespace

int cpu_quota(const std::string& root) {
    std::ifstream both(root + "/cpu.max");
    if (both) return processors(both, both);
    std::ifstream quota(root + "/cpu/cpu.cfs_quota_us"), period(root + "/cpu/cpu.cfs_period_us");
    return processors(quota, period);
}

}  // namespace skmm
