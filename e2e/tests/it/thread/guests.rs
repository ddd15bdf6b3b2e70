//! Guests of these tests, as text, and what they are for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// Returns at once.
pub(super) const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Exits with 3.
pub(super) const THREE: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 3))))"#;

/// Loops until it is killed.
pub(super) const ENDLESS: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;

/// Loops until it is killed if what it reads on stdin begins with a w; else it returns at once.
pub(super) const WAITS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 119)) (then (loop (br 0))))))"#;

/// As [`WAITS`], but that it makes a file in its output before it returns.
pub(super) const MAKES: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 128) "made")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 119)) (then (loop (br 0))))
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 128) (i32.const 4) (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0)
          (i32.const 8))
      (then unreachable))))"#;

/// Sleeps for some seconds in a host call, then prints "done".
pub(super) fn sleeps(seconds: u64) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 200) "done\n")
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const {}))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
    (i32.store (i32.const 160) (i32.const 200))
    (i32.store (i32.const 164) (i32.const 5))
    (drop (call $write (i32.const 1) (i32.const 160) (i32.const 1) (i32.const 180)))))"#,
        seconds * 1_000_000_000
    )
}

/// A module in a spec.
pub(super) fn inline(text: &str) -> Value {
    json!({ "inline": BASE64.encode(wat::parse_str(text).expect("the guest is WebAssembly")) })
}

/// What [`super::stage::Stage::word`] says, on stdin.
pub(super) fn the_word() -> Value {
    json!({ "valueFrom": { "configMapKeyRef": { "name": "word", "key": "word" } } })
}
