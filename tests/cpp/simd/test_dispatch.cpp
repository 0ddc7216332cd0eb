#include <cstdlib>
#include <set>
#include <string>

#include "../support/check.hpp"
#include "skmm/simd/kernels.hpp"

TEST(one_table_of_a_known_level_is_in_use) {
    const std::set<std::string> levels{"baseline", "avx2", "avx512"};
    CHECK(&skmm::kernels() == &skmm::kernels());
    CHECK(levels.count(skmm::kernels().isa) == 1);
}

TEST(the_environment_names_the_level) {
    const char* wanted = std::getenv("SKMM_ISA");
    if (wanted != nullptr && *wanted != '\0') CHECK(std::string(wanted) == skmm::kernels().isa);
}
