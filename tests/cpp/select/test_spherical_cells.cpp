#include <algorithm>
#include <cmath>
#include <tuple>

#include "../support/check.hpp"
#include "../support/halves.hpp"
#include "../support/shared.hpp"
#include "skmm/select/spherical_cells.hpp"

using namespace skmm;
using check::kQuiet;
using check::normals;

template <class T>
static void check_nearest() {
    const i64 n = 900, k = 11;
    std::vector<T> z = normals<T>(n * k);
    std::fill_n(z.begin() + 3 * k, k, T(0));  // a row of zeros
    std::vector<i64> list;
    for (i64 t = 0; t < 700; ++t) list.push_back(t * 7 % n);
    const std::vector<i64> first{0, 300, 301, 700}, first_centre{0, 40, 41, 111};
    std::vector<double> centres = normals<double>(111 * k, 5);
    std::copy_n(centres.begin() + 2 * k, k, centres.begin() + 38 * k);    // a tie
    std::copy_n(centres.begin() + 43 * k, k, centres.begin() + 110 * k);  // a tie across strips
    std::vector<i64> which(700);
    std::vector<double> product(700);
    const RowSets sets{3, list.data(), first.data(), first_centre.data()};
    nearest_centre(MatrixView<T>{z.data(), n, k, k}, sets,
                   MatrixView<double>{centres.data(), 111, k, k}, 2, kQuiet, which.data(),
                   product.data());
    for (i64 g = 0; g < 3; ++g) {
        for (i64 t = first[g]; t < first[g + 1]; ++t) {
            double most = -1e9;
            const auto product_with = [&](i64 c) {
                double x = 0.0;
                for (i64 j = 0; j < k; ++j) x += double(z[list[t] * k + j]) * centres[c * k + j];
                return x;
            };
            for (i64 c = first_centre[g]; c < first_centre[g + 1]; ++c)
                most = std::max(most, product_with(c));
            CHECK(0 <= which[t] && which[t] < first_centre[g + 1] - first_centre[g]);
            CHECK(std::abs(product_with(first_centre[g] + which[t]) - most) < 1e-5);
            CHECK(std::abs(product[t] - most) < 1e-5);
            CHECK(!(g == 0 && which[t] == 38) && !(g == 2 && which[t] == 69));
            if (list[t] == 3) CHECK(which[t] == 0 && product[t] == 0.0);
        }
    }
}

TEST(nearest_centres_equal_their_definition) {
    check_nearest<float>();
    check_nearest<double>();
}

// Rows about five directions, of many lengths.
template <class T>
static void check_centres() {
    const i64 n = 400, k = 9;
    const std::vector<double> axes = normals<double>(5 * k, 2), noise = normals<double>(n * k, 3);
    std::vector<T> z(n * k);
    std::vector<i64> list(n);
    for (i64 i = 0; i < n; ++i) {
        list[i] = i;
        for (i64 j = 0; j < k; ++j)
            z[i * k + j] = T((axes[i % 5 * k + j] + .02 * noise[i * k + j]) * std::pow(2., i % 9));
    }
    const std::vector<i64> first{0, 250, 400}, first_centre{0, 5, 8};
    const std::vector<u64> seeds{3, 4};
    const MatrixView<T> rows{z.data(), n, k, k};
    const RowSets sets{2, list.data(), first.data(), first_centre.data()};
    std::vector<double> centres(8 * k), again(8 * k), alone(3 * k);
    spherical_centres(rows, sets, seeds.data(), 4, 1, kQuiet, centres.data());
    for (i64 c = 0; c < 8; ++c) {
        double square = 0.0;
        for (i64 j = 0; j < k; ++j) square += centres[c * k + j] * centres[c * k + j];
        CHECK(std::abs(square - 1.0) < 1e-12);
    }
    std::vector<bool> found(5);  // the five directions are the five centres of the first set
    for (i64 c = 0; c < 5; ++c) {
        for (i64 a = 0; a < 5; ++a) {
            double x = 0.0, square = 0.0;
            for (i64 j = 0; j < k; ++j) {
                x += centres[c * k + j] * axes[a * k + j];
                square += axes[a * k + j] * axes[a * k + j];
            }
            if (x > .999 * std::sqrt(square)) found[a] = true;
        }
    }
    CHECK(std::count(found.begin(), found.end(), true) == 5);
    spherical_centres(rows, sets, seeds.data(), 4, 3, kQuiet, again.data());
    CHECK(again == centres);  // for any number of threads
    const std::vector<i64> of_one{0, 150}, three{0, 3};
    const RowSets second{1, list.data() + 250, of_one.data(), three.data()};
    spherical_centres(rows, second, seeds.data() + 1, 4, 1, kQuiet, alone.data());
    CHECK(std::equal(alone.begin(), alone.end(), centres.begin() + 5 * k));  // and by itself
}

TEST(centres_are_those_of_the_clusters) {
    check_centres<float>();
    check_centres<double>();
}

TEST(rows_of_zeros_are_drawn_where_there_are_no_others) {
    std::vector<float> z(6 * 3, 0.0F);
    const std::vector<i64> list{0, 1, 2, 3, 4, 5}, first{0, 3, 6}, first_centre{0, 2, 5};
    const std::vector<u64> seeds{1, 2};
    for (i64 i = 4; i < 6; ++i) z[i * 3] = 5.0F;
    const RowSets sets{2, list.data(), first.data(), first_centre.data()};
    std::vector<double> centres(5 * 3);
    spherical_centres(MatrixView<float>{z.data(), 6, 3, 3}, sets, seeds.data(), 2, 1, kQuiet,
                      centres.data());
    CHECK(std::all_of(centres.begin(), centres.begin() + 6, [](double x) { return x == 0.0; }));
    CHECK(centres[6] == 1.0);
}

TEST(cells_of_halves_are_those_of_the_same_floats) {
    const check::HalfMatrix z(700, 11, true);
    std::vector<i64> list;
    for (i64 t = 0; t < z.n; ++t) list.push_back(t * 3 % z.n);
    const std::vector<i64> first{0, 300, 700}, first_centre{0, 4, 70};
    const std::vector<u64> seeds{1, 2};
    const RowSets sets{2, list.data(), first.data(), first_centre.data()};
    const auto cells = [&](auto rows) {
        std::vector<double> centres(70 * z.k), product(z.n);
        std::vector<i64> which(z.n);
        spherical_centres(rows, sets, seeds.data(), 2, 2, kQuiet, centres.data());
        nearest_centre(rows, sets, MatrixView<double>{centres.data(), 70, z.k, z.k}, 2, kQuiet,
                       which.data(), product.data());
        return std::tuple(centres, which, product);
    };
    CHECK(cells(z.view()) == cells(z.wide_view()));
}
