//! Times our steps and the PyTorch implementation's in turn, on the same shapes: the table of docs/benchmarks.md.
//!
//! Every measurement is a process of its own, so that its peak memory is its own, too. Ours are this program, started again.

mod ours;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use realfill_models::Precision;
use realfill_models::sd::{Preset, write_random_checkpoint};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Compares our speed and memory with PyTorch's (Stable Diffusion 2's shapes, random weights, two threads).
#[derive(Args)]
pub struct Arguments {
    /// A Python that has torch, diffusers, transformers and peft
    #[arg(long, required_unless_present = "measure")]
    python: Option<PathBuf>,
    /// What to measure; everything when not given
    #[arg(long, value_enum, value_delimiter = ',')]
    what: Vec<What>,
    /// A checkpoint of Stable Diffusion 2's shapes; one with random weights is made when not given (2.6 GB, deleted afterwards)
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Turns: each measures ours, and the peer's in each precision
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Timed runs of a measurement, after one that is not
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// Side of the picture in pixels
    #[arg(long, default_value_t = 512)]
    side: usize,
    /// Pictures at once, where one denoises
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Threads of either
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What ours multiplies, f32 or bf16; the faster one on this processor when not given
    #[arg(long)]
    precision: Option<Precision>,
    /// Measures ours once in this process and prints it
    #[arg(long, value_enum, hide = true, requires = "checkpoint")]
    measure: Option<What>,
}

/// A step to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The U-Net once, with its adapter.
    Denoise,
    /// A picture to latents.
    Encode,
    /// Latents to a picture.
    Decode,
    /// A tuning step on one sample; encodings at their share of a step.
    Tune,
}

impl What {
    fn name(self) -> &'static str {
        ["denoise", "encode", "decode", "tune"][self as usize]
    }
}

/// One process's result.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    /// The best run.
    seconds: f64,
    /// Most memory that the process had.
    peak_gib: f64,
}

impl Measured {
    fn best(self, other: Self) -> Self {
        Self { seconds: self.seconds.min(other.seconds), peak_gib: self.peak_gib.min(other.peak_gib) }
    }
}

/// Measures and prints.
///
/// # Errors
/// When a process fails, which is named.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let (Some(what), Some(checkpoint)) = (arguments.measure, &arguments.checkpoint) {
        let precision = arguments.precision.unwrap_or_else(Precision::fastest);
        anyhow::ensure!(precision.is_able(), "this processor has no kernels for {precision}");
        let measured = ours::measure(what, checkpoint, precision, [arguments.side, arguments.batch], arguments.runs)?;
        println!("{}", serde_json::to_string(&measured)?);
        return Ok(());
    }
    let made = arguments.checkpoint.is_none().then(Made::new).transpose()?;
    let checkpoint =
        arguments.checkpoint.as_deref().or(made.as_ref().map(|made| made.0.as_path())).context("a checkpoint")?;
    let all = [What::Denoise, What::Encode, What::Decode, What::Tune];
    let wanted = if arguments.what.is_empty() { &all[..] } else { &arguments.what };
    println!(
        "| step | ours | PyTorch f32 | PyTorch bf16 | peer's best over ours | memory: ours | PyTorch f32 | bf16 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut ratios = serde_json::Map::new();
    for &what in wanted {
        let results = compare(arguments, what, checkpoint)?;
        let [ours, f32, bf16] = results;
        let ratio = f32.best(bf16).seconds / ours.seconds;
        let seconds = results.map(|m| format!("{:.2} s", m.seconds));
        let memory = results.map(|m| format!("{:.2} GiB", m.peak_gib));
        println!("| {} | {} | {ratio:.2} | {} |", what.name(), seconds.join(" | "), memory.join(" | "));
        ratios.insert(what.name().into(), rounded(ratio));
        // The last measured, tuning where it is among them, is what needs most.
        ratios.insert("memory".into(), rounded(f32.best(bf16).peak_gib / ours.peak_gib));
    }
    println!("{}", serde_json::Value::Object(ratios));
    Ok(())
}

fn rounded(ratio: f64) -> serde_json::Value {
    ((ratio * 1000.0).round() / 1000.0).into()
}

/// The best of ours and of the peer's two precisions, measured in turn.
fn compare(arguments: &Arguments, what: What, checkpoint: &Path) -> Result<[Measured; 3]> {
    let mut best: Option<[Measured; 3]> = None;
    for _ in 0..arguments.rounds.max(1) {
        let found = [
            our_process(arguments, what, checkpoint)?,
            peer_process(arguments, what, "f32")?,
            peer_process(arguments, what, "bf16")?,
        ];
        best = Some(match best {
            None => found,
            Some(before) => [0, 1, 2].map(|i| before[i].best(found[i])),
        });
    }
    best.context("at least one round")
}

fn our_process(arguments: &Arguments, what: What, checkpoint: &Path) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench-peer", "--measure", what.name(), "--checkpoint"]).arg(checkpoint);
    let precision = arguments.precision.unwrap_or_else(Precision::fastest);
    command.args(["--precision", &precision.to_string()]);
    command.args(["--runs", &arguments.runs.to_string(), "--side", &arguments.side.to_string()]);
    command.args(["--batch", &arguments.batch.to_string()]);
    command.env("RAYON_NUM_THREADS", arguments.threads.to_string());
    last_line(&mut command)
}

fn peer_process(arguments: &Arguments, what: What, dtype: &str) -> Result<Measured> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer/bench_peer.py");
    let mut command = Command::new(arguments.python.as_ref().context("--python is needed")?);
    command.arg(script).args([what.name(), "--dtype", dtype, "--runs", &arguments.runs.to_string()]);
    command.args(["--side", &arguments.side.to_string(), "--threads", &arguments.threads.to_string()]);
    command.args(["--batch", &arguments.batch.to_string()]);
    last_line(&mut command)
}

/// Runs a process and reads its last line.
fn last_line(command: &mut Command) -> Result<Measured> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?} did not start"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .with_context(|| format!("{command:?} printed {line:?} last; expected seconds and peak_gib"))
}

/// A checkpoint with random weights, deleted when dropped.
struct Made(PathBuf);

impl Made {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("realfill-bench-{}", std::process::id()));
        eprintln!("writing random weights to {}", folder.display());
        let made = Self(folder);
        write_random_checkpoint(Preset::Sd2, &made.0, 0)?;
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}
