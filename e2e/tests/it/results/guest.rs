//! Guests that leave what a test says: files, words on both streams, an exit code.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A guest without inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guest<'a> {
    pub(crate) stdout: &'a str,
    pub(crate) stderr: &'a str,
    /// Number of the output (from 0), path in it, bytes, and how often they are written one after the other.
    pub(crate) files: &'a [(u32, &'a str, &'a [u8], u32)],
    /// So many empty files with long names in the first output.
    pub(crate) many: u32,
    pub(crate) exit_code: i32,
}

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

/// Writes all of some bytes so many times, creates a file with them, makes many files.
const FUNCTIONS: &str = r"
  (func $write (param $fd i32) (param $at i32) (param $length i32) (param $times i32)
    (block $done (loop $again
      (br_if $done (i32.eqz (local.get $times)))
      (i32.store (i32.const 0) (local.get $at))
      (i32.store (i32.const 4) (local.get $length))
      (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
      (if (i32.ne (i32.load (i32.const 8)) (local.get $length)) (then unreachable))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br $again))))
  (func $put (param $dir i32) (param $path i32) (param $size i32) (param $at i32) (param $length i32) (param $times i32)
    (if (call $open (local.get $dir) (i32.const 0) (local.get $path) (local.get $size) (i32.const 9) (i64.const 64) (i64.const 0)
      (i32.const 0) (i32.const 16)) (then unreachable))
    (call $write (i32.load (i32.const 16)) (local.get $at) (local.get $length) (local.get $times))
    (drop (call $close (i32.load (i32.const 16)))))
  (func $many (param $count i32)
    (block $done (loop $again
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (i32.store8 (i32.const 128) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $count) (i32.const 1000)) (i32.const 10))))
      (i32.store8 (i32.const 129) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $count) (i32.const 100)) (i32.const 10))))
      (i32.store8 (i32.const 130) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $count) (i32.const 10)) (i32.const 10))))
      (i32.store8 (i32.const 131) (i32.add (i32.const 48) (i32.rem_u (local.get $count) (i32.const 10))))
      (call $put (i32.const 3) (i32.const 128) (i32.const 104) (i32.const 0) (i32.const 0) (i32.const 0))
      (br $again))))";

/// What the names of many files end with.
const LONG: &str = "-a-name-that-is-as-long-as-names-are-which-somebody-wants-to-be-read-by-people-and-so-it-goes-on-and";

impl Guest<'_> {
    pub(crate) fn base64(&self) -> String {
        let mut at = 1024;
        let (mut data, mut body) = (String::new(), String::new());
        let mut place = |bytes: &[u8]| {
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "\\{byte:02x}");
                hex
            });
            let _ = write!(data, "(data (i32.const {at}) \"{hex}\")");
            at += bytes.len();
            at - bytes.len()
        };
        for (fd, text) in [(1, self.stdout), (2, self.stderr)] {
            let at = place(text.as_bytes());
            let _ = write!(body, "(call $write (i32.const {fd}) (i32.const {at}) (i32.const {}) (i32.const 1))", text.len());
        }
        for (output, path, bytes, times) in self.files {
            let directory = 3 + output;
            if let Some((parent, _)) = path.rsplit_once('/') {
                let at = place(parent.as_bytes());
                let _ = write!(body, "(drop (call $mkdir (i32.const {directory}) (i32.const {at}) (i32.const {})))", parent.len());
            }
            let (name, at) = (place(path.as_bytes()), place(bytes));
            let (size, length) = (path.len(), bytes.len());
            let _ = write!(
                body,
                "(call $put (i32.const {directory}) (i32.const {name}) (i32.const {size}) (i32.const {at}) (i32.const {length}) (i32.const {times}))"
            );
        }
        assert_eq!(LONG.len(), 100);
        let pages = at / (64 << 10) + 1;
        let text = format!(
            r#"(module {IMPORTS} (memory (export "memory") {pages}) (data (i32.const 132) "{LONG}") {data} {FUNCTIONS}
            (func (export "_start") {body} (call $many (i32.const {})) (call $exit (i32.const {}))))"#,
            self.many, self.exit_code
        );
        BASE64.encode(wat::parse_str(text).expect("the guest is WebAssembly"))
    }
}
