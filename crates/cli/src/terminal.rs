//! Lines for the person or the program that reads. A reader that went away (`| head`) is no reason to fail.

use std::io::Write;

/// A line on the standard output.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on the standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
