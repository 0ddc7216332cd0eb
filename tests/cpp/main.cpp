#include "skmm/simd/kernels.hpp"
#include "support/check.hpp"

int main() {
    for (const auto& [name, test] : check::tests()) {
        const int before = check::failures;
        test();
        std::printf("%-40s %s\n", name.c_str(), check::failures == before ? "ok" : "FAILED");
    }
    std::printf("isa %s\n%zu tests, %d failed checks\n", skmm::kernels().isa, check::tests().size(),
                check::failures);
    return check::failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
