# Everything that sets up, builds, runs and tests. `make demo SEED=7` draws other birds and learns them anew;
# `make compare-peers DATA=FOLDER` compares on a CUB folder instead of drawn birds.
SEED ?= 0
DATA ?=

.PHONY: libtorch build demo dist test lint switches methods-smoke torture histories compare-peers compare-sql measure-predict
.PHONY: bench check-batch check-clusters notebooks
# The crates are fetched beside it; where that fails, the build says so.
libtorch:
	@cargo fetch --quiet --locked 2>/dev/null & \
		python3 pipelines/nets/setup/libtorch.py .libtorch; code=$$?; wait; exit $$code

build: libtorch
	cargo build --release

demo: build
	target/release/mlsm run --config demo --set seed=$(SEED)

# A wheel for those who have no Rust, tried in an empty environment: target/dist/mlsm-*.whl.
dist: build
	python3 src/dist/try.py "$$(python3 src/dist/wheel.py target/release/mlsm target/dist)" .libtorch

test: libtorch
	python3 store/remote/setup/servers.py cargo test --release --workspace

lint: libtorch
	cargo fmt --all --check
	cargo fmt --manifest-path pipelines/fuzz/Cargo.toml --check
	cargo clippy --release --workspace --all-targets -- -D warnings

# The report of the last run in Chromium, narrow and wide, light and dark, read by axe-core; STORE names another store.
STORE ?= .mlsm
.PHONY: look
look: build
	mkdir -p target/look
	target/release/mlsm --store $(STORE) report --out target/look/report.html
	python3 -m venv target/look/venv && target/look/venv/bin/pip install -q playwright
	npm install --silent --no-fund --prefix target/look axe-core
	target/look/venv/bin/python src/render/report/look.py target/look/report.html \
		--axe target/look/node_modules/axe-core/axe.min.js --shots target/look/shots

# The picture at the top of the README, from the report of the demo.
.PHONY: picture
picture: demo
	target/release/mlsm report --out target/demo.html
	python3 src/render/report/picture.py target/demo.html src/render/report/bird.svg

# Every switch, one at a time, against the tiny configuration: what it redoes, and what comes of it.
switches: libtorch
	cargo test --release -p mlsm --test end_to_end -- --ignored --nocapture every_switch

# Every method learns a little, on drawn birds.
methods-smoke: libtorch
	cargo test --release -p mlsm --test end_to_end -- --ignored --nocapture every_method

# The pipeline killed at every tenth disk call, at random instants, and on a disk that is too small: about an hour.
torture: libtorch
	cargo test --release -p mlsm --features trial --test end_to_end -- --ignored --nocapture --test-threads 1 torture

# Random histories of a store against a plain model: 300 of them, shrunk to the shortest that fails.
histories: libtorch
	PROPTEST_CASES=300 cargo test --release --workspace --test engine -- histories

# The same rows in another library, on the same features and episodes.
compare-peers: build
	python3 pipelines/peers/compare.py target/release/mlsm .mlsm/peers $(if $(DATA),--set data.path=$(DATA))

# `mlsm query` beside DuckDB on 2,000 drawn and 200 written queries, and five questions in four tools: about a quarter of an hour.
compare-sql: demo
	python3 src/cmd/query/compare/four_tools.py target/release/mlsm .mlsm
	python3 src/cmd/query/compare/differential.py target/release/mlsm .mlsm

# What editors and schedulers get, by the standards of each: configuration, log, metrics, lineage, examples. AIRFLOW=1 also
# imports the DAG; SPEC=FOLDER has OpenLineage's schemas where openlineage.io is out of reach.
check-batch: build
	python3 src/cmd/config/check.py target/release/mlsm
	python3 src/render/check.py target/release/mlsm $(if $(SPEC),--spec $(SPEC))
	python3 configs/schedulers/check.py target/release/mlsm $(if $(AIRFLOW),--airflow)

# Times beside DVC, Snakemake, b3sum and Pillow, on a quiet machine; ROWS names some of them.
bench: build
	python3 benches/bench.py target/release/mlsm $(ROWS)

# A plan on Slurm, Ray and by Kubernetes' Job, with an S3 store and a machine killed in the middle. Wants `slurm-wlm munge`.
# CLUSTERS="--kubernetes --container" does the steps of the container file, too, and wants `debootstrap`.
check-clusters: build
	python3 configs/clusters/check.py target/release/mlsm $(CLUSTERS)

# The notebooks, executed over the demo; STORE names another store.
notebooks: demo
	python3 configs/notebooks/check.py target/release/mlsm $(STORE)

# How well `mlsm predict` does on small sets, how sure it is, and what its choices bring; DATA, if given, is one more.
measure-predict: build
	python3 pipelines/peers/predict.py target/release/mlsm .mlsm/sets $(DATA)
	python3 pipelines/peers/choices.py target/release/mlsm .mlsm/sets $(DATA)

# Fuzzes what reads foreign bytes, each target for FUZZ_SECONDS; FUZZ names some of them. Wants rustup and a C++ compiler.
# What it learns stays in target/fuzz, what fails in pipelines/fuzz/artifacts.
FUZZ_SECONDS ?= 20
FUZZ ?= $(basename $(notdir $(wildcard pipelines/fuzz/targets/*.rs)))
.PHONY: fuzz
fuzz:
	cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	cargo +nightly fuzz --version >/dev/null 2>&1 || cargo +nightly install --locked cargo-fuzz
	for target in $(FUZZ); do \
		mkdir -p target/fuzz/corpus/$$target; \
		cargo +nightly fuzz run --fuzz-dir pipelines/fuzz --target-dir target/fuzz $$target \
			target/fuzz/corpus/$$target pipelines/fuzz/seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=300 || exit 1; \
	done
