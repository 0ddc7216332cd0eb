// The smallest test harness: TEST(name) { CHECK(condition); }
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace check {

inline int failures = 0;

inline std::vector<std::pair<std::string, std::function<void()>>>& tests() {
    static std::vector<std::pair<std::string, std::function<void()>>> all;
    return all;
}

struct Registered {
    Registered(const char* name, std::function<void()> f) {
        tests().emplace_back(name, std::move(f));
    }
};

// n standard normals.
template <class T>
std::vector<T> normals(std::int64_t n, unsigned seed = 0) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> normal;
    std::vector<T> x(static_cast<std::size_t>(n));
    for (T& v : x) v = static_cast<T>(normal(engine));
    return x;
}

}  // namespace check

#define TEST(name)                                                 \
    static void name();                                            \
    static const check::Registered registered_##name(#name, name); \
    static void name()

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            std::printf("%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
            ++check::failures;                                                        \
        }                                                                             \
    } while (false)
