// Products of blocks of rows with a matrix D, in the element type T of the rows: for choices that
// need no more digits than a float has. They take half the time of products in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "skmm/base/memory.hpp"
#include "skmm/base/types.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {

constexpr i64 kStripRows = 128;  // the most rows of a block

// A matrix D (k, columns), rounded to float and cut into strips of kStrip columns as gemm_strip()
// takes them. D is divided by a power of two that brings its largest entry below 1.
class ColumnStrips {
public:
    // D[j][c] = d[j * row_step + c * column_step].
    ColumnStrips(i64 k, i64 columns, const double* d, i64 row_step, i64 column_step)
        : k_(k), columns_(columns), data_(ceil_div(columns, kStrip) * k * kStrip) {
        double most = 0.0;
        for (i64 j = 0; j < k; ++j)
            for (i64 c = 0; c < columns; ++c)
                most = std::max(most, std::abs(d[j * row_step + c * column_step]));
        int power = 0;
        std::frexp(most, &power);
        scale_ = std::ldexp(1.0, power);
        for (i64 s = 0; s * kStrip < columns; ++s) {
            const i64 used = std::min<i64>(kStrip, columns - s * kStrip);
            i64 depth = 0;
            for (i64 j = 0; j < k; ++j) {
                float* const to = data_.data() + (s * k + j) * kStrip;
                std::fill(to + used, to + kStrip, 0.0F);
                for (i64 c = 0; c < used; ++c) {
                    const double x = d[j * row_step + (s * kStrip + c) * column_step];
                    if (x != 0.0) depth = j + 1;
                    to[c] = static_cast<float>(x / scale_);
                }
            }
            depth_.push_back(static_cast<int>(depth));
        }
    }

    i64 columns() const { return columns_; }
    double scale() const { return scale_; }  // that D was divided by
    // The numbers that a row of products takes: whole cache lines.
    i64 width() const { return ceil_div(columns_, 16) * 16; }

    // y (rows, width()) = x D / scale() for the rows of x (rows, k). Columns of y beyond those of D
    // are zero.
    template <class T>
    void multiply(const T* x, i64 rows, T* y) const {
        std::fill_n(y, rows * width(), T(0));
        for (i64 s = 0; s * kStrip < columns_; ++s)
            kernels().of<T>().gemm_strip(
                x, k_, rows, depth_[at(s)], data_.data() + s * k_ * kStrip, y + s * kStrip, width(),
                static_cast<int>(std::min<i64>(kStrip, width() - s * kStrip)));
    }

private:
    i64 k_, columns_;
    double scale_ = 1.0;
    Scratch<float> data_;     // (strips, k, kStrip)
    std::vector<int> depth_;  // of each strip, without its rows of zeros at the end
};

}  // namespace skmm
