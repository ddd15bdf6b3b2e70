//! Guests that call what is refused, or call what is offered with arguments that nobody means.

use serde_json::json;

use super::guest::{FREE, READY, calls, start};
use super::{left, reason, run};
use crate::ran::Place;

/// Runs these calls, one program for all, and compares what each answered.
fn answers(rows: &[(&str, u16)]) -> (Place, serde_json::Value) {
    let place = Place::new();
    let (ran, status) = run(&place, &calls(rows.iter().map(|(line, _)| *line)), "", &[]);
    let told: Vec<_> = rows.iter().map(|(line, _)| *line).zip(ran.stdout.lines().map(|number| number.parse::<u16>().unwrap())).collect();
    assert_eq!(told, rows, "{ran:?}");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    (place, status)
}

#[test]
fn the_network_is_refused_and_each_try_recorded() {
    let (_, status) = answers(&[
        ("sock_accept 3 0 16", 2),
        ("sock_recv 3 8 1 0 16 20", 2),
        ("sock_send 3 8 1 0 16", 2),
        ("sock_send 1 8 1 0 16", 2),
        ("sock_send -1 8 1 0 16", 2),
        ("sock_shutdown 3 3", 2),
    ]);
    let calls = [("sock_accept", 1), ("sock_recv", 1), ("sock_send", 3), ("sock_shutdown", 1)];
    let expected: Vec<_> = calls.iter().map(|(call, times)| json!({"call": call, "times": times})).collect();
    assert_eq!(status["networkDenied"], json!(expected), "{status}");
}

#[test]
fn who_is_killed_has_its_tries_recorded_too() {
    let place = Place::new();
    let module = start("(drop (call $sock_shutdown (i32.const 3) (i32.const 3))) (loop $more (br $more))");
    let (ran, status) = run(&place, &module, "  timeoutSeconds: 1\n", &[]);
    assert_eq!(ran.code, Some(124), "{ran:?}");
    assert_eq!(status["networkDenied"], json!([{"call": "sock_shutdown", "times": 1}]), "{status}");
}

/// Arguments that nobody means: an errno to the guest.
#[test]
fn odd_arguments_are_errors_to_the_guest() {
    let huge = u64::MAX;
    let times = format!("fd_filestat_set_times [16] {huge} {huge} 5");
    let far = format!("fd_filestat_set_size [16] {}", 1_u64 << 40);
    let write_far = format!("fd_pwrite [16] {READY} {} 24", 1_u64 << 40);
    let read_directory = format!("fd_readdir 3 {FREE} 65536 -1 24");
    let (place, _) = answers(&[
        ("path_open 3 0 'a' 1 64 0 0 16", 0),
        (&times, 0),
        ("fd_filestat_set_times [16] 0 0 3", 28),
        (&far, 22),
        (&write_far, 22),
        ("fd_allocate [16] 0 1099511627776", 58),
        ("fd_write 1 8 -1 24", 48),
        ("fd_write -1 8 1 24", 8),
        ("fd_write 3 8 1 24", 8),
        ("fd_close 3000", 8),
        (&read_directory, 0),
        ("fd_renumber [16] 3000", 8),
        ("fd_renumber 3000 [16]", 8),
        ("poll_oneoff 8192 16384 0 24", 28),
        ("path_unlink_file 3 'a'", 0),
    ]);
    assert_eq!(left(&place), ["job.yaml", "p.wasm", "s.json"]);
}

/// Arguments that the host will not even look at: a trap that says so.
#[test]
fn impossible_arguments_are_traps() {
    let rows =
        [("random_get 0 -1", "exceeds limit"), ("args_get -4 -4", "out of bounds"), ("path_filestat_get 3 0 -8 16 24", "out of bounds")];
    for (line, said) in rows {
        let place = Place::new();
        let (ran, status) = run(&place, &calls([line]), "", &[]);
        assert_eq!((ran.code, reason(&status)), (Some(134), "Trap"), "{line}: {ran:?}");
        assert!(ran.stderr.contains(said), "{line}: {ran:?}");
        assert_eq!(left(&place), ["job.yaml", "p.wasm", "s.json"], "{line}");
    }
}

/// A million of something: the guest gets an error or its trap, and the machine does not feel it.
#[test]
fn what_is_asked_for_in_millions_stays_small() {
    let subscriptions = start(
        "(drop (memory.grow (i32.const 1500))) (call $tell (call $poll_oneoff (i32.const 131072) (i32.const 48131072) (i32.const 1000000) (i32.const 16)))",
    );
    let handles = start(
        "(local $left i32) (local $errno i32)
         (i32.store8 (i32.const 2048) (i32.const 46))
         (local.set $left (i32.const 100000))
         (loop $more
           (local.set $errno (call $path_open (i32.const 3) (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 2) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16)))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if $more (i32.and (i32.eqz (local.get $errno)) (i32.ne (local.get $left) (i32.const 0)))))
         (call $tell (local.get $errno))
         (call $tell (call $fd_close (i32.load (i32.const 16))))",
    );
    let renumbers = start(
        "(local $left i32) (local $errno i32)
         (i32.store8 (i32.const 2048) (i32.const 46))
         (local.set $left (i32.const 100000))
         (loop $more
           (local.set $errno (i32.or (local.get $errno)
             (call $path_open (i32.const 3) (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 2) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16))))
           (if (i32.load (i32.const 20)) (then
             (local.set $errno (i32.or (local.get $errno) (call $fd_renumber (i32.load (i32.const 16)) (i32.load (i32.const 20))))))
             (else (i32.store (i32.const 20) (i32.load (i32.const 16)))))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if $more (local.get $left)))
         (call $tell (local.get $errno))",
    );
    let rows = [
        ("subscriptions", subscriptions, 134, ""),
        ("open handles", handles, 0, "029\n000\n"),
        ("renumbered handles", renumbers, 0, "000\n"),
    ];
    for (what, module, code, said) in rows {
        let place = Place::new();
        let (ran, status) = run(&place, &module, "  timeoutSeconds: 60\n", &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), said), "{what}: {ran:?}");
        let peak = status["attempts"][0]["usage"]["peakMemoryBytes"].as_i64().unwrap();
        assert!(peak < 128 << 20, "{what}: {status}");
    }
}
