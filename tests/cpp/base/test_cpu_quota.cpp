#include <unistd.h>

#include <climits>
#include <filesystem>
#include <fstream>
#include <string>

#include "../support/check.hpp"
#include "skmm/base/cpu_quota.hpp"

using namespace skmm;
namespace fs = std::filesystem;

// A folder that is removed at the end, for files of a control group.
struct Group {
    const fs::path root = fs::temp_directory_path() / ("skmm_quota_" + std::to_string(::getpid()));
    Group() { fs::create_directories(root / "cpu"); }
    ~Group() { fs::remove_all(root); }
    void write(const char* name, const char* text) const { std::ofstream(root / name) << text; }
    int quota() const { return cpu_quota(root.string()); }
};

TEST(a_quota_is_rounded_up) {
    const Group group;
    CHECK(group.quota() == INT_MAX);  // no files
    group.write("cpu/cpu.cfs_period_us", "100000\n");
    group.write("cpu/cpu.cfs_quota_us", "-1\n");
    CHECK(group.quota() == INT_MAX);
    group.write("cpu/cpu.cfs_quota_us", "250000\n");
    CHECK(group.quota() == 3);
    group.write("cpu.max", "max 100000\n");  // version 2 is asked first
    CHECK(group.quota() == INT_MAX);
    group.write("cpu.max", "50000 100000\n");
    CHECK(group.quota() == 1);
    group.write("cpu.max", "400000 100000\n");
    CHECK(group.quota() == 4);
    for (const char* nonsense : {"", "nonsense", "0 0", "100000 0", "-5 100000", "1e300 1"}) {
        group.write("cpu.max", nonsense);
        CHECK(group.quota() == INT_MAX);
    }
    CHECK(cpu_quota() >= 1);
}
