//! `cargo xtask load`: many clients at a running `realfill serve` while a job runs: do all get their answers, in time, does
//! the server's memory stay, and how much slower is the job?

mod http;

use anyhow::{Context, Result, ensure};
use http::{Server, form};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Put load on a running server
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the server is
    #[arg(default_value = "127.0.0.1:7878")]
    address: String,
    /// Clients at a time: a third polls, a third listens to events, a third uploads and deletes
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// For how long
    #[arg(long, default_value_t = 120)]
    secs: u64,
}

/// Between two requests of a client that polls or uploads.
const PAUSE: Duration = Duration::from_millis(200);

/// For how long the job's speed alone is measured, before the clients and after them: a machine's own speed drifts.
const ALONE: Duration = Duration::from_secs(30);

/// Other people's clients have processors of their own, so that these come last on this one (where the system lets them) and
/// interrupt nobody (`SCHED_IDLE`).
fn come_last() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::setpriority_process(None, 19);
        // SAFETY: a `sched_param` is numbers alone, for which zero is a value.
        let param: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: 0 is the calling thread, and `param` outlives the call, which reads it.
        let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) };
    }
}

/// What the clients found.
#[derive(Default)]
struct Found {
    answers: AtomicU64,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
    /// Milliseconds that the status of a job took.
    status_ms: Mutex<Vec<f64>>,
}

impl Found {
    fn note<T>(&self, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.answers.fetch_add(1, Relaxed);
                Some(answer)
            }
            Err(error) => {
                self.errors.fetch_add(1, Relaxed);
                if let Ok(mut first) = self.first_error.lock() {
                    first.get_or_insert_with(|| format!("{error:#}"));
                }
                None
            }
        }
    }
}

/// Measures the job alone, then with the clients, and prints what was found.
///
/// # Errors
/// The server cannot be reached, or a client got no answer or a wrong one.
pub fn run(arguments: &Arguments) -> Result<()> {
    come_last();
    let server = Server(arguments.address.clone());
    let scene = server.call("POST", "/v1/scenes/example", None)?;
    let request = json!({ "scene": scene["id"], "settings": {
        "guide": false, "view_px": 64, "tune": { "iterations": 1_000_000, "batch": 1, "checkpoint_every": 100_000 },
    } });
    let job = server.call("POST", "/v1/jobs", Some(&request))?["id"].as_str().context("no id")?.to_owned();
    let status = format!("/v1/jobs/{job}");
    while step(&server.call("GET", &status, None)?) == 0 {
        sleep(Duration::from_millis(200));
    }
    let before = rate(&server, &status, ALONE)?;
    let found = Found::default();
    let (under_load, memory) = under_load(&server, arguments, &status, &found)?;
    let after = rate(&server, &status, ALONE)?;
    server.call("POST", &format!("{status}/cancel"), None)?;
    while server.call("GET", &status, None)?["state"] == "running" {
        sleep(Duration::from_millis(200));
    }
    server.call("DELETE", &format!("/v1/scenes/{}", scene["id"].as_str().unwrap_or_default()), None)?;
    report(&found, [before, after], under_load, memory)
}

/// Runs all clients; returns the job's rate meanwhile and the server's memory after a quarter of the time and at the end.
fn under_load(server: &Server, arguments: &Arguments, status: &str, found: &Found) -> Result<(f64, [f64; 2])> {
    let over = AtomicBool::new(false);
    let time = Duration::from_secs(arguments.secs);
    scope(|scope| {
        for client in 0..arguments.clients {
            let (over, found) = (&over, found);
            scope.spawn(move || match client % 3 {
                0 => poll(server, status, over, found),
                1 => listen(server, status, over, found),
                _ => upload(server, over, found),
            });
        }
        let measured = (|| {
            let first = rate(server, status, time / 4)?;
            let early = memory(server)?;
            let rest = rate(server, status, time * 3 / 4)?;
            Ok((0.25 * first + 0.75 * rest, [early, memory(server)?]))
        })();
        over.store(true, Relaxed);
        measured
    })
}

fn poll(server: &Server, status: &str, over: &AtomicBool, found: &Found) {
    while !over.load(Relaxed) {
        let clock = Instant::now();
        if found.note(server.call("GET", status, None)).is_some()
            && let Ok(mut times) = found.status_ms.lock()
        {
            times.push(1e3 * clock.elapsed().as_secs_f64());
        }
        sleep(PAUSE);
    }
}

fn listen(server: &Server, status: &str, over: &AtomicBool, found: &Found) {
    while !over.load(Relaxed) {
        found.note(server.listen(&format!("{status}/events"), || !over.load(Relaxed)));
    }
}

fn upload(server: &Server, over: &AtomicBool, found: &Found) {
    let (kind, body) = form();
    while !over.load(Relaxed) {
        let made = found.note(server.send("POST", "/v1/scenes", Some((kind, &body))));
        if let Some(id) = made.as_ref().and_then(|scene| scene["id"].as_str()) {
            found.note(server.call("DELETE", &format!("/v1/scenes/{id}"), None));
        }
        sleep(PAUSE);
    }
}

fn step(job: &Value) -> u64 {
    job["progress"]["step"].as_u64().filter(|_| job["progress"]["loss"].is_f64()).unwrap_or(0)
}

/// Tuning steps a second.
fn rate(server: &Server, status: &str, time: Duration) -> Result<f64> {
    let (clock, before) = (Instant::now(), step(&server.call("GET", status, None)?));
    sleep(time);
    let after = step(&server.call("GET", status, None)?);
    Ok(after.saturating_sub(before) as f64 / clock.elapsed().as_secs_f64())
}

/// The server's resident memory in MB.
fn memory(server: &Server) -> Result<f64> {
    let text = server.text("/metrics")?;
    let line = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    Ok(line.context("the server does not tell its memory")?.parse::<f64>()? / 1e6)
}

fn report(found: &Found, alone: [f64; 2], under_load: f64, memory: [f64; 2]) -> Result<()> {
    let (answers, errors) = (found.answers.load(Relaxed), found.errors.load(Relaxed));
    let mut times = found.status_ms.lock().map(|times| times.clone()).unwrap_or_default();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((share * times.len() as f64) as usize).copied().unwrap_or(f64::NAN);
    println!("answers            {answers}, errors {errors}");
    println!("status of a job    p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0 - 1e-9));
    println!("server's memory    {:.0} MB after a quarter, {:.0} MB at the end", memory[0], memory[1]);
    println!(
        "tuning steps       {:.2}/s alone before and {:.2}/s after, {under_load:.2}/s under load ({:+.1} %)",
        alone[0],
        alone[1],
        100.0 * (under_load / (0.5 * (alone[0] + alone[1])) - 1.0)
    );
    let first = found.first_error.lock().ok().and_then(|first| first.clone()).unwrap_or_default();
    ensure!(errors == 0, "the first error: {first}");
    Ok(())
}
