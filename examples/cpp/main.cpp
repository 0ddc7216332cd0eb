// Chooses rows of a sparse matrix A by V-optimality:
//
//     choose_rows N M SEED < rows.svm
//
// reads rows "label column:value column:value ...", columns from 0 and ascending, sketches them to
// M numbers each, Z = A Γ, and prints the numbers of N rows, ascending. They make tr(Σ Σ_S⁻¹)
// small, where Σ and Σ_S are the second moments of all rows of Z and of the rows chosen.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <skmm/skmm.hpp>
#include <sstream>
#include <string>
#include <vector>

int fail(const char* message) {
    std::cerr << "choose_rows: " << message << '\n';
    return 2;
}

int main(int argc, char** argv) {
    if (argc != 4) return fail("expected N M SEED");
    const std::int64_t n = std::stoll(argv[1]), m = std::stoll(argv[2]);
    const std::uint64_t seed = std::stoull(argv[3]);

    std::vector<double> values;
    std::vector<std::int64_t> indices, indptr{0};
    std::int64_t cols = 0;
    for (std::string line, label; std::getline(std::cin, line);) {
        std::istringstream row(line);
        row >> label;
        char colon;
        double value;
        for (std::int64_t column; row >> column >> colon >> value;) {
            cols = std::max(cols, column + 1);
            indices.push_back(column);
            values.push_back(value);
        }
        if (!row.eof()) return fail("expected rows of column:value");
        indptr.push_back(static_cast<std::int64_t>(values.size()));
    }
    const auto rows = static_cast<std::int64_t>(indptr.size()) - 1;
    if (m < 8 || cols < m || n < m || rows < n)
        return fail("expected 8 <= M <= columns, N <= rows");

    const int n_threads = skmm::default_threads();
    const skmm::CsrView<double, std::int64_t> a{values.data(), indices.data(), indptr.data(), rows,
                                                cols};
    std::vector<double> numbers(rows * m);
    const skmm::MutableMatrixView<double> z{numbers.data(), rows, m, m};
    skmm::sketch(a, skmm::SparseSign{cols, m, 8, seed}, 0, false, n_threads, {}, z);

    // With Σ = UᵀU, the rows of W = Z U⁻¹ have the second moment I.
    skmm::Vector u(m * m), b(m * m);
    skmm::second_moment(skmm::MatrixView<double>(z), nullptr, n_threads, {}, u.data());
    for (double& entry : u) entry /= static_cast<double>(rows);
    if (!skmm::factor(u)) return fail("the rows of Z do not span it");
    const skmm::Vector root = skmm::inverse_root(u);  // U⁻ᵀ
    for (std::int64_t e = 0; e < m * m; ++e) b[e] = root[e % m * m + e / m];

    const skmm::Whitened<double> w{skmm::row_matrix(skmm::MatrixView<double>(z), n_threads),
                                   {b.data(), m, m, m}};
    const skmm::Design design = skmm::v_optimal(w, {}, {rows, {}, {n}, {}}, {}, n_threads, {});
    for (const std::int64_t row : design.rows) std::cout << row << '\n';
}
