// The table of kernels has every one.
#include <array>
#include <cstring>

#include "../support/kernels.hpp"
#include "skmm/base/types.hpp"

using namespace skmm;

template <class Table>
static void check_filled(const Table& table) {
    std::array<std::uintptr_t, sizeof(Table) / sizeof(std::uintptr_t)> words;
    static_assert(sizeof words == sizeof table, "the table is made of pointers");
    std::memcpy(words.data(), &table, sizeof table);
    for (const std::uintptr_t word : words) CHECK(word != 0);
}

TEST(every_kernel_of_the_table_is_set) {
    for (const Kernels* level : {&kernels(), &kernels_baseline}) {
        check_filled(level->any);
        check_filled(level->f32);
        check_filled(level->f64);
        CHECK(level->f32.grouped_rows_at_once >= 1 && level->f64.grouped_rows_at_once >= 1);
        CHECK(level->f32.grouped_rows_at_once <= kGroupedRows);
        CHECK(level->f64.grouped_rows_at_once <= kGroupedRows);
    }
}
