//! Counters for Prometheus, in its text format.

use crate::store::JobState;
use axum::http::StatusCode;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What is counted since the start.
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    /// Answers by hundreds of their status: 2xx, 3xx, 4xx, 5xx.
    answers: [AtomicU64; 4],
    /// Bytes of uploads that were kept.
    pub uploaded_bytes: AtomicU64,
    /// Jobs that a worker took.
    pub jobs_taken: AtomicU64,
    /// Jobs that ended without a word.
    pub jobs_crashed: AtomicU64,
    /// Connections at the moment.
    pub connections: AtomicU64,
    /// Event streams at the moment.
    pub listeners: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            answers: Default::default(),
            uploaded_bytes: AtomicU64::new(0),
            jobs_taken: AtomicU64::new(0),
            jobs_crashed: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            listeners: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, status: StatusCode) {
        let hundred = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.answers[hundred].fetch_add(1, Relaxed);
    }

    /// Everything as text; `jobs` is how many there are in each state.
    pub fn text(&self, jobs: &[(JobState, u64)]) -> String {
        let (mut text, mut process) = (String::new(), String::new());
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
            let _ = writeln!(text, "# HELP realfill_{name} {help}\n# TYPE realfill_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "realfill_{name}{labels} {value}");
            }
        };
        let one = |counter: &AtomicU64| vec![(String::new(), counter.load(Relaxed) as f64)];
        let answers = (2..)
            .zip(&self.answers)
            .map(|(hundred, count)| (format!("{{status=\"{hundred}xx\"}}"), count.load(Relaxed) as f64));
        let jobs = jobs.iter().map(|(state, count)| (format!("{{state=\"{}\"}}", state.name()), *count as f64));
        family(
            "up_seconds",
            "gauge",
            "Seconds since the start.",
            &[(String::new(), self.started.elapsed().as_secs_f64())],
        );
        if let Some(bytes) = resident_bytes() {
            let _ =
                writeln!(process, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {bytes}");
        }
        family("http_answers_total", "counter", "Answers by status.", &answers.collect::<Vec<_>>());
        family("http_connections", "gauge", "Open connections.", &one(&self.connections));
        family("event_streams", "gauge", "Open event streams.", &one(&self.listeners));
        family("uploaded_bytes_total", "counter", "Bytes of photos that were kept.", &one(&self.uploaded_bytes));
        family("jobs", "gauge", "Jobs by state.", &jobs.collect::<Vec<_>>());
        family("jobs_taken_total", "counter", "Times that a worker took a job.", &one(&self.jobs_taken));
        family("jobs_crashed_total", "counter", "Jobs that ended without a word.", &one(&self.jobs_crashed));
        text + &process
    }
}

/// The process's memory, where the system tells it (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::default();
        metrics.answered(StatusCode::NOT_FOUND);
        let text = metrics.text(&[(JobState::Done, 3)]);
        assert!(text.contains("realfill_http_answers_total{status=\"4xx\"} 1\n"), "{text}");
        assert!(text.contains("realfill_jobs{state=\"done\"} 3\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(
                (name.starts_with("realfill_") || name.starts_with("process_")) && value.parse::<f64>().is_ok(),
                "{line}"
            );
        }
    }
}
