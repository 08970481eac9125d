//! Checks and chores of the project: `cargo xtask <TASK>`.

fn main() {}
