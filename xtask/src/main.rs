//! Chores of the project, so that nobody needs to remember how they are done: `cargo xtask <TASK>`.
//!
//! One module a task; each has its arguments and a `run` that does the work.

mod bench_peer;
mod check;
mod evaluate;
mod load;
mod random_checkpoint;

use clap::{Parser, Subcommand};
use realfill_models::memory::Recycling;

/// As the program's, so that what is measured here is what it does.
#[global_allocator]
static MEMORY: Recycling = Recycling::new();

/// Chores of the RealFill project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    BenchPeer(bench_peer::Arguments),
    Check(check::Arguments),
    Evaluate(evaluate::Arguments),
    Load(load::Arguments),
    RandomCheckpoint(random_checkpoint::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::BenchPeer(arguments) => bench_peer::run(&arguments),
        Task::Check(arguments) => check::run(&arguments),
        Task::Evaluate(arguments) => evaluate::run(&arguments),
        Task::Load(arguments) => load::run(&arguments),
        Task::RandomCheckpoint(arguments) => random_checkpoint::run(&arguments),
    }
}
