//! `wasmjob validate`: what the API server would say of the WasmJobs in files, without one.
//!
//! Findings go to stdout, one line each; what was skipped or could not be read goes to stderr.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::document::{self, Content, Document};
use crate::exit;

#[cfg(test)]
mod tests;

/// What is said of one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    stdout: String,
    stderr: String,
    refused: bool,
}

/// Exit code 0 where every WasmJob would be accepted, else 1.
pub(crate) fn main(files: &[PathBuf]) -> ExitCode {
    let mut refused = false;
    for file in files {
        let findings = findings(file);
        refused |= findings.refused;
        if !findings.stderr.is_empty() {
            exit::say(findings.stderr.trim_end());
        }
        exit::print(&findings.stdout);
    }
    ExitCode::from(u8::from(refused))
}

fn findings(file: &Path) -> Findings {
    let place = document::place(file);
    match document::read(file).and_then(|text| document::documents(&text, &place)) {
        Ok(documents) => findings_in(&place, &documents),
        Err(error) => Findings { stdout: String::new(), stderr: format!("wasmjob: {error}\n"), refused: true },
    }
}

fn findings_in(place: &str, documents: &[Document]) -> Findings {
    let mut findings = Findings::default();
    let mut jobs = 0;
    for Document { number, name, content } in documents {
        let name = name.as_deref().unwrap_or("unnamed");
        let place = format!("{place}: document {number} ({name})");
        let (stdout, stderr) = (&mut findings.stdout, &mut findings.stderr);
        // Writing to a String cannot fail.
        match content {
            Content::Job(_) => {
                jobs += 1;
                let _ = writeln!(stdout, "{place}: accepted");
            }
            Content::Refused(violations) => {
                jobs += 1;
                findings.refused = true;
                for violation in violations {
                    let _ = writeln!(stdout, "{place}: {}: {}", violation.field, violation.message);
                }
            }
            Content::Other(kind) => {
                let _ = writeln!(stderr, "{place}: skipped: {kind} is no kind of {}", crds::GROUP);
            }
        }
    }
    if jobs == 0 {
        findings.refused = true;
        let _ = writeln!(findings.stderr, "wasmjob: {place} holds no WasmJob");
    }
    findings
}
