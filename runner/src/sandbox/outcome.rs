//! What wasmtime returned → how the guest ended: the only classifier.

use std::fmt::Write as _;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::order::How;

/// Frames of a backtrace that are told.
const MOST_FRAMES: usize = 20;

/// Preview 1's `proc_exit` with the guest's own number: the library's refuses codes above 125.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) i32);

// === impl Exit ===

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exited with {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// How a guest ended that was started.
pub(crate) fn classify(ended: wasmtime::Result<i32>) -> How {
    let error = match ended {
        Ok(code) => return How::Exited(code),
        Err(error) => error,
    };
    if let Some(Exit(code)) = error.downcast_ref() {
        return How::Exited(*code);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return How::Exited(*code);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => How::OutOfFuel,
        Some(trap) => How::Trapped { trap: trap.to_string(), backtrace: backtrace(&error) },
        // A host call refused what the guest passed it (a bad pointer, an endless vector): to the guest that is a trap.
        None => How::Trapped { trap: error.root_cause().to_string(), backtrace: backtrace(&error) },
    }
}

/// One line per guest frame, innermost first: the function's name, or its number where the module carries no names.
fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frames = backtrace.frames();
    let mut lines: Vec<_> = frames.iter().take(MOST_FRAMES).map(frame).collect();
    if frames.len() > MOST_FRAMES {
        lines.push(format!("… {} more", frames.len() - MOST_FRAMES));
    }
    lines
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    let mut line = match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("func[{}]", frame.func_index()),
    };
    if let Some(offset) = frame.module_offset() {
        let _ = write!(line, " @ {offset:#x}");
    }
    line
}
