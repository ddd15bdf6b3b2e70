//! Small WASI programs as text, each with what it does.

/// Functions of WASI preview 1, as far as these programs need them, and a page of memory.
const WASI: &str = r#"
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "ready\n")
  (func $say (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
"#;

/// A module with these functions; `_start` is among them.
pub(crate) fn module(functions: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {WASI} {functions})")).unwrap()
}

/// A module whose `_start` does this.
pub(crate) fn start(body: &str) -> Vec<u8> {
    module(&format!(r#"(func (export "_start") {body})"#))
}

/// Ends with this exit code.
pub(crate) fn exits(code: i32) -> Vec<u8> {
    start(&format!("(call $proc_exit (i32.const {code}))"))
}

/// Says `ready` on stdout, then copies stdin to stdout.
pub(crate) fn cat() -> Vec<u8> {
    start(
        "(call $say (i32.const 1) (i32.const 1024) (i32.const 6))
         (loop $more
           (i32.store (i32.const 0) (i32.const 2048)) (i32.store (i32.const 4) (i32.const 1024))
           (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
           (if (i32.load (i32.const 8)) (then
             (call $say (i32.const 1) (i32.const 2048) (i32.load (i32.const 8)))
             (br $more))))",
    )
}

/// Says `ready` on stdout and loops.
pub(crate) fn loops() -> Vec<u8> {
    start("(call $say (i32.const 1) (i32.const 1024) (i32.const 6)) (loop $forever (br $forever))")
}

/// Takes memory until it gets no more, then traps, as programs do whose allocator fails.
pub(crate) fn eats_memory() -> Vec<u8> {
    start("(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable")
}

/// Writes to stdout without end.
pub(crate) fn floods() -> Vec<u8> {
    start("(loop $more (call $say (i32.const 1) (i32.const 1024) (i32.const 6)) (br $more))")
}

/// Says its arguments on stdout and its environment on stderr, each ended by a NUL.
pub(crate) fn tells_arguments() -> Vec<u8> {
    start(
        "(drop (call $args_sizes_get (i32.const 16) (i32.const 20))) (drop (call $args_get (i32.const 2048) (i32.const 4096)))
         (call $say (i32.const 1) (i32.const 4096) (i32.load (i32.const 20)))
         (drop (call $environ_sizes_get (i32.const 16) (i32.const 20))) (drop (call $environ_get (i32.const 2048) (i32.const 4096)))
         (call $say (i32.const 2) (i32.const 4096) (i32.load (i32.const 20)))",
    )
}

/// Writes `ready` to the file `a.txt` in every output directory, then ends with this code.
pub(crate) fn writes_outputs(code: i32) -> Vec<u8> {
    // Create the file, with the right to write it.
    let open = "(i32.const 9) (i64.const 64)";
    let then = "(call $say (i32.load (i32.const 24)) (i32.const 1024) (i32.const 6))";
    in_directories('o', open, then, code)
}

/// Copies the file `a.txt` of every input directory to stdout, its first KiB.
pub(crate) fn reads_inputs() -> Vec<u8> {
    let open = "(i32.const 0) (i64.const 2)";
    let then = "(i32.store (i32.const 0) (i32.const 2048)) (i32.store (i32.const 4) (i32.const 1024))
        (drop (call $fd_read (i32.load (i32.const 24)) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $say (i32.const 1) (i32.const 2048) (i32.load (i32.const 8)))";
    in_directories('i', open, then, 0)
}

/// Opens the file `a.txt` in every directory it was given whose name begins with this letter, after a slash or not; traps where it cannot.
fn in_directories(letter: char, open: &str, then: &str, code: i32) -> Vec<u8> {
    let (letter, slash_and_letter) = (u32::from(letter), u32::from('/') | u32::from(letter) << 8);
    module(&format!(
        r#"(data (i32.const 1040) "a.txt")
        (func $is_meant (param $fd i32) (result i32)
          (drop (call $fd_prestat_dir_name (local.get $fd) (i32.const 2048) (i32.load (i32.const 20))))
          (i32.or
            (i32.eq (i32.load8_u (i32.const 2048)) (i32.const {letter}))
            (i32.eq (i32.load16_u (i32.const 2048)) (i32.const {slash_and_letter}))))
        (func (export "_start") (local $fd i32)
          (local.set $fd (i32.const 3))
          (loop $next
            (if (i32.eqz (call $fd_prestat_get (local.get $fd) (i32.const 16))) (then
              (if (call $is_meant (local.get $fd)) (then
                (if (call $path_open (local.get $fd) (i32.const 0) (i32.const 1040) (i32.const 5) {open}
                      (i64.const 0) (i32.const 0) (i32.const 24))
                  (then unreachable))
                {then}
                (drop (call $fd_close (i32.load (i32.const 24))))))
              (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
              (br $next))))
          (call $proc_exit (i32.const {code})))"#
    ))
}
