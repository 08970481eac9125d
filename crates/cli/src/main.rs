//! The `realfill` command.

fn main() {}
