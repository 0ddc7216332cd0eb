// Gains of rows that enter where others leave, before and after swaps, against inverses.
#include <cmath>
#include <set>

#include "../../../cpp/src/select/replacements.hpp"
#include "../support/check.hpp"
#include "../support/shared.hpp"

using namespace skmm;
using check::Identity;
using check::kQuiet;
using check::normals;
using check::trace_inverse;

TEST(gains_of_replacements_equal_those_of_inverses) {
    const i64 n_rows = 12, k = 4;
    const std::vector<double> w = normals<double>(n_rows * k);
    const Identity identity(k);
    InformationMatrix<double> info(identity.of(w), Strips(n_rows), 0.5, 2);
    std::set<i64> chosen{0, 1, 2, 3, 4, 5};
    info.add({chosen.begin(), chosen.end()}, kQuiet, 0);
    info.refresh(kQuiet, 0);

    const RowList leaving{1, 2, 4, 5}, entering{6, 7, 8, 9, 10};
    Replacements<double> replacements(info, leaving, entering, kQuiet, 0);
    const auto correct = [&](i64 from) {
        for (i64 j = from; j < static_cast<i64>(leaving.size()); ++j) {
            for (i64 t = 0; t < static_cast<i64>(entering.size()); ++t) {
                if (chosen.count(entering[at(t)])) continue;
                std::set<i64> rows = chosen;
                rows.erase(leaving[at(j)]);
                const double without = trace_inverse(w, k, rows, 0.5);
                rows.insert(entering[at(t)]);
                const double gain = without - trace_inverse(w, k, rows, 0.5);
                CHECK(std::abs(replacements.gain(j, t) - gain) <= 1e-12 * without);
            }
        }
    };
    correct(0);
    for (const i64 j : {0, 1}) {
        const i64 in = entering[at(3 * j)], out = leaving[at(j)];
        InformationMatrix<double>::Swap swap;
        CHECK(info.swap(in, out, kQuiet, 0, swap));
        chosen.erase(out);
        chosen.insert(in);
        CHECK(std::abs(info.trace() - trace_inverse(w, k, chosen, 0.5)) <= 1e-12 * info.trace());
        replacements.update(swap, j + 1);
        correct(j + 1);
    }
}
