# Short names for the usual commands. `just` alone lists them; https://just.systems

_list:
    @just --list --unsorted

# Every check of CI, cheapest first; or only those named
check *steps:
    .ci/run {{steps}}

# The checks that take seconds
quick:
    .ci/run readme lockfile format dependencies

# Format all code
format:
    cargo fmt --all

# All tests, or those of one crate: `just test -p realfill-vision`
test *options="--workspace":
    cargo test --release {{options}}

# Complete an example scene into out/
fill scene="still-life":
    cargo run --release -- fill examples/scenes/{{scene}} --output out

# The documentation of all crates, in the browser
docs:
    cargo doc --release --no-deps --workspace --open

# Score the program on a folder of scenes
evaluate scenes *options:
    cargo xtask evaluate {{scenes}} {{options}}

# Render the example scenes anew (needs Python 3.11)
render *scenes:
    python3.11 -m venv target/render-venv
    target/render-venv/bin/pip install --quiet -r examples/scenes/render/requirements.txt
    target/render-venv/bin/python examples/scenes/render/render.py {{scenes}}
