//! What a person or a program hears while a command works: bars on a terminal, a line now and then elsewhere, one JSON
//! object a line with `--json`, nothing with `--quiet`.

use crate::arguments::Talk;
use crate::interrupt;
use crate::supervised;
use crate::terminal::{complain, say};
use indicatif::{ProgressBar, ProgressStyle};
use realfill::pipeline::Event;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Told of every event; tells it on.
pub struct Progress {
    way: Way,
    stage: String,
    steps: usize,
    /// Steps that were done before this run (when it goes on from a checkpoint); none while no step was heard of.
    before: Option<usize>,
    began: Instant,
    last_line: Instant,
}

enum Way {
    Silent,
    Json,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// In the way that the flags and the terminal ask for.
    pub fn new(talk: Talk) -> Self {
        let way = match talk {
            Talk { json: true, .. } => Way::Json,
            Talk { quiet: true, .. } => Way::Silent,
            _ if std::io::stderr().is_terminal() => Way::Bar(ProgressBar::hidden()),
            _ => Way::Lines,
        };
        let now = Instant::now();
        Self { way, stage: String::new(), steps: 0, before: None, began: now, last_line: now }
    }

    /// Tells of an event; returns whether the work shall go on.
    pub fn hear(&mut self, event: &Event) -> bool {
        if let Way::Json = self.way {
            if supervised::keep_preview(event) {
                say(&serde_json::to_string(event).unwrap_or_default());
            }
            return interrupt::go_on();
        }
        match event {
            Event::Stage { stage, steps } => self.begin(stage, *steps),
            Event::Progress { step, loss } => self.advance(*step, *loss),
            Event::Note { text } => self.note(text),
            Event::Preview { .. } => {}
        }
        interrupt::go_on()
    }

    /// Ends the last bar.
    pub fn finish(&mut self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }

    /// The last words: lines for a person, or an object for a program.
    pub fn conclude(&mut self, lines: &[String], json: serde_json::Value) {
        self.finish();
        match self.way {
            Way::Silent => {}
            Way::Json => say(&json.to_string()),
            Way::Lines | Way::Bar(_) => lines.iter().for_each(|line| say(line)),
        }
    }

    fn begin(&mut self, stage: &str, steps: usize) {
        self.finish();
        (self.stage, self.steps, self.before) = (stage.to_owned(), steps, None);
        (self.began, self.last_line) = (Instant::now(), Instant::now());
        match &mut self.way {
            Way::Bar(bar) if steps > 1 => *bar = new_bar(stage, steps),
            Way::Lines if steps > 1 => complain(&format!("{stage}: {steps} steps")),
            _ => {}
        }
    }

    fn advance(&mut self, step: usize, loss: Option<f64>) {
        let message = loss.map(|loss| format!("loss {loss:.4}")).unwrap_or_default();
        let is_first = self.before.is_none();
        self.before.get_or_insert(step.saturating_sub(1));
        match &self.way {
            Way::Bar(bar) => {
                if is_first {
                    bar.set_position(step.saturating_sub(1) as u64);
                    bar.reset_eta();
                }
                bar.set_message(message);
                bar.set_position(step as u64);
            }
            Way::Lines if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                complain(&self.line(step, &message));
            }
            _ => {}
        }
    }

    fn note(&mut self, text: &str) {
        match &self.way {
            Way::Bar(bar) => bar.suspend(|| complain(text)),
            Way::Lines => complain(text),
            Way::Silent | Way::Json => {}
        }
    }

    fn line(&self, step: usize, message: &str) -> String {
        let elapsed = self.began.elapsed().as_secs_f64();
        let rate = (step - self.before.unwrap_or(0).min(step)) as f64 / elapsed.max(1e-3);
        let left = self.steps.saturating_sub(step) as f64 / rate.max(1e-9);
        let comma = if message.is_empty() { "" } else { ", " };
        format!("{}: {step} of {}, {rate:.2}/s, {} left{comma}{message}", self.stage, self.steps, duration(left))
    }
}

fn new_bar(stage: &str, steps: usize) -> ProgressBar {
    let template = "{prefix:>10} {wide_bar} {pos}/{len}  {per_sec}  {eta} left  {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(stage.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Seconds as people say them: `47 s`, `3 min 05 s`, `2 h 10 min`.
pub fn duration(secs: f64) -> String {
    let secs = secs.round() as u64;
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3600, secs % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!([47.2, 185.0, 7800.0].map(duration), ["47 s", "3 min 05 s", "2 h 10 min"]);
    }

    #[test]
    fn a_line_has_the_rate_and_the_time_left() {
        let mut progress = Progress::new(Talk { quiet: true, json: false });
        progress.hear(&Event::Stage { stage: "tune".into(), steps: 120 });
        progress.began = Instant::now() - Duration::from_secs(20);
        assert_eq!(progress.line(40, "loss 0.5"), "tune: 40 of 120, 2.00/s, 40 s left, loss 0.5");
    }
}
