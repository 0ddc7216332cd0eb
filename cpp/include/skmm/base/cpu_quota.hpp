// The processor time that a container may use.
#pragma once

#include <string>

namespace skmm {

// The number of processors, rounded up, whose time the control group mounted at `root` may use, by
// the files of version 2 or 1; INT_MAX if it has no limit or cannot be read.
int cpu_quota(const std::string& root = "/sys/fs/cgroup");

}  // namespace skmm
