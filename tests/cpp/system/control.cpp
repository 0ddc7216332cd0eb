// Faults on purpose. A build with sanitizers must end this program with an error, or its other runs
// prove nothing. The argument is the name of the fault.
#include <atomic>
#include <climits>
#include <cstdio>
#include <string>
#include <vector>

#include "skmm/base/parallel.hpp"

// Two threads write to one variable without synchronisation.
static void race() {
    int shared = 0;
    std::atomic<int> arrived{0};
    skmm::parallel_blocks(2, 2, [&](std::int64_t block, int) {
        arrived.fetch_add(1, std::memory_order_relaxed);
        while (arrived.load(std::memory_order_relaxed) < 2) {
        }
        shared = static_cast<int>(block);
    });
    std::printf("%d\n", shared);
}

static void write_past_the_end(int one) {
    std::vector<double> x(10);
    x.data()[9 + one] = 1.0;
    std::printf("%g\n", x[0]);
}

static void integer_overflow(int one) { std::printf("%d\n", INT_MAX + one); }

int main(int argc, char** argv) {
    const std::string fault = argc == 2 ? argv[1] : "";
    if (fault == "race")
        race();
    else if (fault == "write")
        write_past_the_end(argc - 1);
    else if (fault == "overflow")
        integer_overflow(argc - 1);
    else
        std::printf("expected race, write or overflow\n");
    return 0;
}
