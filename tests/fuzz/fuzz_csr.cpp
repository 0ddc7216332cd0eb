// Fuzzes the sketches of CSR rows. Each is compared with a naive product with the rows of Γ, with
// the sketch of the same rows as a dense matrix, and with itself for another number of threads and
// another split into calls.
#include <algorithm>
#include <limits>

#include "input.hpp"
#include "skmm/sketch/operators.hpp"

namespace skmm::fuzz {
namespace {

Runs runs;

const Tick kQuiet{};

// A CSR matrix that owns its arrays.
template <class T, class I>
struct Csr {
    std::vector<T> values;
    std::vector<I> indices, indptr{0};
    i64 rows, cols;

    CsrView<T, I> view(i64 first, i64 count) const {
        return {values.data(), indices.data(), indptr.data() + first, count, cols};
    }
};

// Rows of ascending columns: few ones, runs of them, or all.
template <class T, class I>
Csr<T, I> csr(Input& in, Numbers& numbers) {
    Csr<T, I> a;
    a.rows = in.one_in(8) ? in.integer(1, 300) : in.integer(1, 12);
    a.cols = in.integer(1, in.coin() ? 40 : 700);
    const i64 shared = in.integer(0, 3);  // how rows are made; 3: each in its own way
    const i64 widest = in.integer(0, 90);
    for (i64 i = 0; i < a.rows; ++i) {
        const i64 how = shared < 3 ? shared : in.integer(0, 2);
        for (i64 c = how == 0 ? in.integer(0, widest) : 0; c < a.cols;) {
            a.indices.push_back(static_cast<I>(c));
            a.values.push_back(numbers.next<T>());
            c += how == 2 || (how == 1 && in.ended()) ? 1 : 1 + in.integer(0, widest);
        }
        if (how == 0 && in.coin()) {  // fewer entries, perhaps none
            const auto first = static_cast<std::size_t>(a.indptr.back());
            const auto keep = first + (a.indices.size() - first) / 4;
            a.indices.resize(keep);
            a.values.resize(keep);
        }
        a.indptr.push_back(static_cast<I>(a.indices.size()));
    }
    a.indices.shrink_to_fit();  // so that a read beyond the end is seen
    a.values.shrink_to_fit();
    a.indptr.shrink_to_fit();
    return a;
}

template <class T>
MutableMatrixView<T> whole(std::vector<T>& x, i64 rows, i64 cols) {
    return {x.data(), rows, cols, cols};
}

template <class T, class I, class S>
void run(Input& in, S g) {
    Numbers numbers(in);
    const Csr<T, I> a = csr<T, I>(in, numbers);
    const i64 m = g.out_dim;
    // Chunks of 8192 and segments of 32768 rows of Γ meet at multiples of them.
    const i64 offsets[] = {0, in.integer(0, 300), 8192 - in.integer(0, 700),
                           32768 - in.integer(0, 700), in.integer(0, (i64{1} << 62) - a.cols)};
    const i64 offset = offsets[in.integer(0, 4)];
    g.in_dim = offset + a.cols;
    const bool accumulate = in.coin();
    const int threads = static_cast<int>(in.integer(1, 9));
    const std::vector<T> start = numbers.vector<T>(a.rows * m);

    std::vector<T> z = start;
    sketch(a.view(0, a.rows), g, offset, accumulate, 1, kQuiet, whole(z, a.rows, m));
    std::vector<T> other = start;
    sketch(a.view(0, a.rows), g, offset, accumulate, threads, kQuiet, whole(other, a.rows, m));
    check(same_bits(z, other), "the same bits for any number of threads");

    if (!numbers.moderate()) return runs.valid();

    std::vector<T> dense(at(a.rows * a.cols)), by_dense = start;
    for (i64 i = 0; i < a.rows; ++i)
        for (I e = a.indptr[at(i)]; e < a.indptr[at(i) + 1]; ++e)
            dense[at(i * a.cols + i64{a.indices[at(e)]})] = a.values[at(e)];
    sketch(MatrixView<T>{dense.data(), a.rows, a.cols, a.cols}, g, offset, accumulate, threads,
           kQuiet, whole(by_dense, a.rows, m));

    std::vector<float> gamma(at(a.cols * m));
    rows_of(g, offset, whole(gamma, a.cols, m));
    const double rounding = static_cast<double>(std::numeric_limits<T>::epsilon());
    for (i64 i = 0; i < a.rows; ++i) {
        for (i64 k = 0; k < m; ++k) {
            const double from = accumulate ? static_cast<double>(start[at(i * m + k)]) : 0.0;
            double sum = from, size = std::abs(from);
            for (i64 c = 0; c < a.cols; ++c) {
                const double term = static_cast<double>(dense[at(i * a.cols + c)]) *
                                    static_cast<double>(gamma[at(c * m + k)]);
                sum += term;
                size += std::abs(term);
            }
            const double within = (static_cast<double>(a.cols) + 8.0) * rounding * size;
            const auto near = [&](const std::vector<T>& x) {
                return std::abs(static_cast<double>(x[at(i * m + k)]) - sum) <= within;
            };
            check(near(z), "a sketch of CSR rows is the product with Γ");
            check(near(by_dense), "a sketch of dense rows is the product with Γ");
        }
    }
    runs.valid();
}

template <class S>
void run(Input& in, S g) {
    switch (in.integer(0, 3)) {
        case 0: return run<float, std::int32_t>(in, g);
        case 1: return run<float, std::int64_t>(in, g);
        case 2: return run<double, std::int32_t>(in, g);
        default: return run<double, std::int64_t>(in, g);
    }
}

}  // namespace
}  // namespace skmm::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace skmm;
    fuzz::runs.begin();
    if (size < 16) return 0;
    fuzz::Input in(data, size);
    const i64 kind = in.integer(0, 2);
    const u64 seed = in.seed();
    const i64 m = in.one_in(6) ? in.integer(8, 700) : in.integer(8, 40);
    if (kind == 0) {
        const i64 narrow = in.coin() ? m : in.integer(1, 8);
        const i64 zeta = in.coin() ? std::min<i64>(narrow, 8) : in.integer(1, narrow);
        fuzz::run(in, SparseSign{0, narrow, static_cast<int>(zeta), seed});
    } else if (kind == 1) {
        fuzz::run(in, GroupedSign{0, m, seed});
    } else {
        fuzz::run(in, Gaussian{0, in.coin() ? m : in.integer(1, 8), seed});
    }
    return 0;
}
