//! The process that runs a job: `realfill fill --resume` or `realfill sample`, as on the command line. A crash, or a job
//! that takes all memory, ends that process and not the server; when the server is killed, the process ends itself.

use crate::Shared;
use crate::files::are_too_many;
use crate::problem::{Answer, Problem};
use crate::request::{JobRequest, StripName, offered};
use crate::storage::Desk;
use crate::store::{Ending, StoredScene};
use serde_json::Value;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// Exit code of a job that was stopped.
const STOPPED: i32 = 130;

/// Name of the settings' file in a job's folder.
pub const SETTINGS: &str = "settings.toml";

/// Name of the mask in a job's folder, where there is one: the scene's may change later.
pub const MASK: &str = "mask.png";

/// Name of the output folder in a job's folder.
pub const OUTPUT: &str = "out";

/// A running process.
pub struct Child {
    process: tokio::process::Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    error: Option<String>,
    is_done: bool,
}

/// What was heard of it.
pub enum Heard {
    /// An event.
    Event(Value),
    /// Nothing more will be.
    End,
}

impl Child {
    /// Starts the process of a job.
    ///
    /// # Errors
    /// When it cannot be started: 503 where it can be later.
    pub fn start(server: &Shared, desk: &Desk, scene: &StoredScene, request: &JobRequest) -> Answer<Self> {
        let mut process = Command::new(&server.config.program)
            .args(arguments(server, desk, scene, request)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(&server.config.program, &error))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let output = output.ok_or_else(|| Problem::ours("the job's process has no standard output"))?;
        Ok(Self { process, input, lines: BufReader::new(output).lines(), error: None, is_done: false })
    }

    /// The next event. May be given up at any time.
    pub async fn hear(&mut self) -> Heard {
        while let Ok(Some(line)) = self.lines.next_line().await {
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            match event["event"].as_str() {
                Some("error") => self.error = event["text"].as_str().map(str::to_owned),
                Some("done") => self.is_done = true,
                _ => return Heard::Event(event),
            }
        }
        Heard::End
    }

    /// Asks it to stop at the next step.
    pub async fn ask_to_stop(&mut self) {
        if let Some(input) = &mut self.input {
            let _ = input.write_all(b"stop\n").await;
            let _ = input.flush().await;
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.process.start_kill();
    }

    /// Waits for its end, and says how the job is to be given back.
    pub async fn ending(mut self, asked_by_owner: bool, asked_by_server: bool) -> Ending {
        let status = match self.process.wait().await {
            Ok(status) => status,
            Err(error) => return Ending::Crashed(format!("the job's process cannot be waited for: {error}")),
        };
        match status.code() {
            Some(0) if self.is_done => Ending::Done,
            _ if asked_by_owner => Ending::Stopped,
            Some(STOPPED) => Ending::Parked,
            _ if asked_by_server => Ending::Parked,
            Some(1 | 2) if self.error.is_some() => Ending::Failed(plain(self.error.as_deref().unwrap_or_default())),
            _ => Ending::Crashed(without_a_word(status)),
        }
    }
}

/// For want of files, memory or processes a job waits. What would be so again, such as a program that is not there or is of
/// another machine, fails it.
fn not_started(program: &Path, error: &io::Error) -> Problem {
    let told = format!("cannot start {}: {error}", program.display());
    if !may_pass(error) {
        return Problem { detail: format!("the job's process cannot be started: {error}"), ..Problem::ours(told) };
    }
    tracing::error!("{told}");
    Problem::unavailable("the job's process cannot be started at the moment")
}

/// Whether it may go in a moment.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{ExecutableFileBusy, Interrupted, OutOfMemory, WouldBlock};
    matches!(error.kind(), WouldBlock | OutOfMemory | Interrupted | ExecutableFileBusy) || are_too_many(error)
}

fn without_a_word(status: ExitStatus) -> String {
    format!(
        "the job's process ended without a word ({status}); most often there was not enough memory: \
         try a smaller photo, or `view_px` in the settings"
    )
}

/// The sentence without the folders of this machine.
fn plain(sentence: &str) -> String {
    let words = sentence.split(' ').map(|word| match word.rsplit_once('/') {
        Some((folders, name)) if folders.starts_with('/') => name,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn arguments(server: &Shared, desk: &Desk, scene: &StoredScene, request: &JobRequest) -> Answer<Vec<OsString>> {
    let mut words = Words::default();
    words.flag("--json");
    match &desk.adapter {
        None => words.flag("fill").flag("--resume"),
        Some(other) => words.flag("sample").option("--adapter", other.join(OUTPUT).join("adapter")),
    };
    words.flag("--supervised").flag("--complete-all");
    for photo in &scene.photos {
        let path = desk.scene.join(format!("{}.{}", photo.role, photo.extension));
        match photo.role.as_str() {
            "mask" => &mut words,
            "target" => words.option("--target", path),
            _ => words.option("--reference", path),
        };
    }
    hole(&mut words, scene, request, &desk.job.join(MASK));
    words.option("--output", desk.job.join(OUTPUT)).option("--config", desk.job.join(SETTINGS));
    words.option("--model", offered("model", request.model.as_deref(), &server.config.models)?);
    words.option("--device", offered("device", request.device.as_deref(), &server.config.devices)?);
    if let Some(format) = request.format {
        words.option("--format", format.argument());
    }
    if request.lossy_ok {
        words.flag("--lossy-ok");
    }
    match request.strip {
        StripName::Nothing => &mut words,
        StripName::Gps => words.flag("--strip-gps"),
        StripName::Metadata => words.flag("--strip-metadata"),
    };
    Ok(words.0)
}

/// Where the hole is told: the mask as it was when the job was made, the target's transparency, or the canvas alone.
fn hole(words: &mut Words, scene: &StoredScene, request: &JobRequest, mask: &Path) {
    if mask.exists() {
        words.option("--mask", mask);
    } else if scene.has_hole {
        words.flag("--mask-from-alpha");
    }
    if request.grow_mask > 0 {
        words.option("--grow-mask", request.grow_mask.to_string());
    }
    if let Some((option, value)) = request.frame() {
        words.flag(&format!("{option}={value}"));
    }
}

/// Arguments of a command.
#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn flag(&mut self, word: &str) -> &mut Self {
        self.0.push(word.into());
        self
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.extend([name.into(), value.into()]);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    #[test]
    fn the_hole_is_told_as_it_was_asked_for() {
        let scene = StoredScene {
            id: Id::random(),
            owner: String::new(),
            name: String::new(),
            created: 0,
            has_hole: true,
            photos: Vec::new(),
        };
        let told = |more: serde_json::Value| {
            let mut asked = serde_json::json!({ "scene": scene.id });
            asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut words = Words::default();
            hole(&mut words, &scene, &serde_json::from_value(asked).unwrap(), Path::new("no mask"));
            words.0
        };
        assert_eq!(told(serde_json::json!({})), ["--mask-from-alpha"]);
        let more = serde_json::json!({ "grow_mask": 3, "expand": "left=20%" });
        assert_eq!(told(more), ["--mask-from-alpha", "--grow-mask", "3", "--expand=left=20%"]);
    }

    #[test]
    fn a_job_waits_where_its_process_can_be_started_later() {
        let status = |error: io::Error| not_started(Path::new("realfill"), &error).status;
        assert_eq!(status(io::ErrorKind::NotFound.into()), 500);
        assert_eq!(status(io::ErrorKind::PermissionDenied.into()), 500);
        for kind in [io::ErrorKind::OutOfMemory, io::ErrorKind::WouldBlock, io::ErrorKind::ExecutableFileBusy] {
            assert_eq!(status(kind.into()), 503, "{kind}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_job_fails_with_the_reason_where_its_process_can_never_be_started() {
        let problem = |number| not_started(Path::new("/opt/realfill"), &io::Error::from_raw_os_error(number));
        assert_eq!(problem(24).status, 503, "too many files");
        let (status, detail) = (problem(8).status, problem(8).detail);
        assert_eq!(status, 500, "a program of another machine");
        assert!(detail.contains("os error 8") && !detail.contains("/opt"), "{detail}");
    }

    #[test]
    fn a_job_tells_no_folders_of_the_machine() {
        assert_eq!(plain("/data/scenes/ab/target.png is 3×4 px/in"), "target.png is 3×4 px/in");
    }
}
