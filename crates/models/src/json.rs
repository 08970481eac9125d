//! JSON as Python writes it, which has numbers that JSON lacks.

use crate::ModelError;
use serde_json::Value;
use std::path::Path;

/// The text with `null` in place of `Infinity`, `-Infinity` and `NaN`, except in strings.
pub fn from_python(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let (before, quoted) = rest.split_at(start);
        let (string, after) = quoted.split_at(string_len(quoted));
        plain.push_str(&without_infinities(before));
        plain.push_str(string);
        rest = after;
    }
    plain.push_str(&without_infinities(rest));
    plain
}

fn without_infinities(text: &str) -> String {
    text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null")
}

/// Bytes of the string that `text` begins with, its quotes included; all of `text` where it does not end.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// Reads a JSON file, as Python writes it too.
pub(crate) fn read_json(path: &Path) -> Result<Value, ModelError> {
    let text = std::fs::read_to_string(path).map_err(|e| ModelError::file(path, e))?;
    serde_json::from_str(&from_python(&text)).map_err(|e| ModelError::file(path, format!("not valid JSON ({e})")))
}

/// Reads a JSON file that may be missing: `null` then.
pub(crate) fn read_json_if_any(path: &Path) -> Result<Value, ModelError> {
    if path.is_file() { read_json(path) } else { Ok(Value::Null) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_become_null() {
        let text = r#"{"a": -Infinity, "b": [Infinity, NaN, -1.5], "c": null}"#;
        assert_eq!(from_python(text), r#"{"a": null, "b": [null, null, -1.5], "c": null}"#);
    }

    #[test]
    fn strings_stay_as_they_are() {
        for text in [r#"{"NaN": "to Infinity", "é\"NaN": "\\"}"#, r#"{"a": "NaN"#, r#""\"#, "", "é"] {
            assert_eq!(from_python(text), text);
        }
        assert_eq!(from_python(r#"["\\", NaN, "\"", NaN]"#), r#"["\\", null, "\"", null]"#);
    }
}
