//! Guests that do not end, take too much, or end in every way there is.

use std::process::Stdio;
use std::sync::atomic::{AtomicI32, Ordering};

use super::guest::{calls, start};
use super::{left, reason, run};
use crate::guests;
use crate::ran::{Place, ended};

/// What happens, the module, lines of the spec, exit code, reason, and the telling part of the message.
type Row = (&'static str, Vec<u8>, &'static str, i32, &'static str, &'static str);

fn check<const N: usize>(rows: [Row; N]) {
    for (what, module, spec, code, because, said) in rows {
        let place = Place::new();
        let (ran, status) = run(&place, &module, spec, &[]);
        assert_eq!((ran.code, reason(&status)), (Some(code), because), "{what}: {ran:?}");
        assert!(ran.stderr.starts_with(&format!("wasmjob: {because}: ")) && ran.stderr.contains(said), "{what}: {ran:?}");
        assert_eq!(left(&place), ["job.yaml", "p.wasm", "s.json"], "{what}");
    }
}

fn text(module: &str) -> Vec<u8> {
    wat::parse_str(module).unwrap()
}

/// A subscription to one relative clock of an hour at address 8192.
const AN_HOUR: &str = "(i32.store (i32.const 8208) (i32.const 1)) (i64.store (i32.const 8216) (i64.const 3600000000000))";

#[test]
fn who_does_not_end_is_ended() {
    let said = "the guest ran longer than spec.timeoutSeconds (1 s)";
    let limit = "  timeoutSeconds: 1\n";
    let sleep = |more: &str, count: u32| {
        start(&format!(
            "{AN_HOUR} {more} (call $tell (call $poll_oneoff (i32.const 8192) (i32.const 16384) (i32.const {count}) (i32.const 16)))"
        ))
    };
    let second = "(memory.copy (i32.const 8240) (i32.const 8192) (i32.const 48))";
    check([
        (
            "loops before its entrypoint",
            text(r#"(module (memory (export "memory") 1) (func $f (loop (br 0))) (start $f) (func (export "_start")))"#),
            limit,
            124,
            "Timeout",
            said,
        ),
        (
            "loops in its initializer",
            text(r#"(module (memory (export "memory") 1) (func (export "_initialize") (loop (br 0))) (func (export "_start")))"#),
            limit,
            124,
            "Timeout",
            said,
        ),
        (
            "fills memory over and over",
            start(
                "(drop (memory.grow (i32.const 1000))) (loop $more (memory.fill (i32.const 65536) (i32.const 7) (i32.const 65000000)) (br $more))",
            ),
            limit,
            124,
            "Timeout",
            said,
        ),
        ("sleeps an hour", sleep("", 1), limit, 124, "Timeout", said),
        ("waits for two clocks", sleep(second, 2), limit, 124, "Timeout", said),
    ]);
}

#[test]
fn who_waits_for_input_that_never_comes_is_ended() {
    let place = Place::new();
    place.write("p.wasm", guests::cat());
    let mut child = place.command(&["run", "p.wasm", "--timeout", "1"]).stdin(Stdio::piped()).spawn().unwrap();
    // Open for as long as the run lasts.
    let stdin = child.stdin.take();
    let ran = ended(child);
    drop(stdin);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(124), "ready\n"), "{ran:?}");
    assert!(ran.stderr.starts_with("wasmjob: Timeout: "), "{ran:?}");
}

#[test]
fn who_takes_too_much_is_told_which_limit_to_raise() {
    let grow_table = r#"(module (memory (export "memory") 1) (table $t 1 funcref)
        (func (export "_start") (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 500)) (i32.const -1))) unreachable))"#;
    let memory = "resources.limits.memory (1048576 bytes)";
    let little = "  resources: {limits: {memory: 1Mi}}\n";
    check([
        (
            "a first memory beyond the limit",
            text(r#"(module (memory (export "memory") 17) (func (export "_start")))"#),
            little,
            137,
            "MemoryLimit",
            memory,
        ),
        ("the largest first memory", text(r#"(module (memory 65536) (func (export "_start")))"#), "", 137, "MemoryLimit", "raise it"),
        (
            "a first table beyond the limit",
            text(r#"(module (table 200000 funcref) (func (export "_start")))"#),
            little,
            137,
            "MemoryLimit",
            memory,
        ),
        (
            "the largest first table",
            text(r#"(module (table 0xffffffff funcref) (func (export "_start")))"#),
            "",
            137,
            "MemoryLimit",
            "maxTableElements",
        ),
        ("memory by steps", guests::eats_memory(), little, 137, "MemoryLimit", memory),
        (
            "a table by steps",
            text(grow_table),
            "  wasmLimits: {maxTableElements: 100}\n",
            137,
            "MemoryLimit",
            "spec.wasmLimits.maxTableElements (100)",
        ),
        (
            "fuel before its entrypoint",
            text(r#"(module (func $f (loop (br 0))) (start $f) (func (export "_start")))"#),
            "  wasmLimits: {fuel: 5000}\n",
            134,
            "OutOfFuel",
            "spec.wasmLimits.fuel",
        ),
    ]);
}

#[test]
fn every_trap_says_its_kind_and_where() {
    let trap = |functions: &str| {
        text(&format!(r#"(module $program (memory (export "memory") 1) {functions} (func $outer (export "_start") (call $inner)))"#))
    };
    let inner = |body: &str| trap(&format!("(func $inner {body})"));
    let at = "; backtrace, innermost first: inner @ 0x";
    let rows: [(&str, Vec<u8>, &str, &str); 11] = [
        ("unreachable", inner("unreachable"), "`unreachable` instruction executed", at),
        ("division by zero", inner("(drop (i32.div_s (i32.const 1) (i32.const 0)))"), "integer divide by zero", at),
        ("overflow", inner("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"), "integer overflow", at),
        ("a number that is no integer", inner("(drop (i32.trunc_f32_s (f32.const nan)))"), "invalid conversion to integer", at),
        ("a load out of bounds", inner("(drop (i32.load (i32.const -1)))"), "out of bounds memory access", at),
        (
            "a copy out of bounds",
            inner("(memory.fill (i32.const 65000) (i32.const 0) (i32.const 65000))"),
            "out of bounds memory access",
            at,
        ),
        (
            "no such element",
            trap("(table 1 funcref) (func $inner (call_indirect (i32.const 9)))"),
            "undefined element: out of bounds table access",
            at,
        ),
        ("an empty element", trap("(table 1 funcref) (func $inner (call_indirect (i32.const 0)))"), "uninitialized element", at),
        (
            "another type",
            trap("(table funcref (elem $other)) (func $other (param i32)) (func $inner (call_indirect (i32.const 0)))"),
            "indirect call type mismatch",
            at,
        ),
        ("recursion", trap("(func $inner (call $inner))"), "call stack exhausted", "; backtrace, innermost first: inner < inner @ 0x"),
        (
            "a start function",
            text(r#"(module (func $inner unreachable) (start $inner) (func (export "_start")))"#),
            "`unreachable` instruction executed",
            at,
        ),
    ];
    for (what, module, kind, place_told) in rows {
        let place = Place::new();
        let ran = place.write("p.wasm", module).run(&["run", "p.wasm"]);
        assert_eq!(ran.code, Some(134), "{what}: {ran:?}");
        assert!(ran.stderr.starts_with("wasmjob: Trap: ") && ran.stderr.contains(&format!("{kind}{place_told}")), "{what}: {ran:?}");
        assert!(
            ["outer @ 0x", "inner @ 0x"].iter().any(|frame| ran.stderr.contains(&format!(" < {frame}"))) || what == "a start function",
            "{what}: {ran:?}"
        );
        assert_eq!(left(&place), ["p.wasm"], "{what}");
    }
}

#[test]
fn a_flood_is_cut_and_said_to_be() {
    for stream in [1, 2] {
        let place = Place::new();
        let flood = start(&format!(
            "(loop $more (drop (call $fd_write (i32.const {stream}) (i32.const 8) (i32.const 1) (i32.const 16))) (br $more))"
        ));
        place.write("p.wasm", flood);
        let mut command = place.command(&["run", "p.wasm", "--timeout", "2", "--status-file", "s.json"]);
        command.stdout(Stdio::null());
        if stream == 2 {
            command.stderr(Stdio::null());
        }
        let ran = ended(command.spawn().unwrap());
        assert_eq!(ran.code, Some(124), "{stream}: {ran:?}");
        let status: serde_json::Value = serde_json::from_str(&place.read("s.json")).unwrap();
        let tail = status["output"][if stream == 1 { "stdoutTail" } else { "stderrTail" }].as_str().unwrap();
        assert!(tail.len() <= 4096 && tail.ends_with("ready\n"), "{tail}");
        assert_eq!(status["output"]["truncated"], true, "{status}");
    }
}

/// Ends with the number that its first argument says.
fn exits_as_told() -> Vec<u8> {
    start(
        "(local $at i32) (local $number i32) (local $sign i32)
         (drop (call $args_get (i32.const 8192) (i32.const 16384)))
         (local.set $at (i32.load (i32.const 8196)))
         (local.set $sign (i32.const 1))
         (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 45)) (then
           (local.set $sign (i32.const -1)) (local.set $at (i32.add (local.get $at) (i32.const 1)))))
         (loop $digit
           (if (i32.load8_u (local.get $at)) (then
             (local.set $number (i32.add (i32.mul (local.get $number) (i32.const 10)) (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
             (local.set $at (i32.add (local.get $at) (i32.const 1)))
             (br $digit))))
         (call $proc_exit (i32.mul (local.get $number) (local.get $sign)))",
    )
}

#[test]
fn every_exit_code_is_the_guests_own() {
    let place = Place::new();
    place.write("p.wasm", exits_as_told());
    let codes: Vec<i32> = (0..=257).chain([1000, i32::MAX, i32::MIN, -1]).collect();
    let next = AtomicI32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (place, codes, next) = (&place, &codes, &next);
            scope.spawn(move || {
                while let Some(&code) = codes.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    let file = format!("{thread}.json");
                    let ran = place.run(&[
                        "run",
                        "p.wasm",
                        "--status-file",
                        &file,
                        "--output-dir",
                        &format!("out-{thread}"),
                        "--",
                        &code.to_string(),
                    ]);
                    let status: serde_json::Value = serde_json::from_str(&place.read(&file)).unwrap();
                    let (seen, because) = (u8::try_from(code).unwrap_or(u8::MAX), if code == 0 { "Completed" } else { "GuestExit" });
                    assert_eq!((ran.code, reason(&status)), (Some(i32::from(seen)), because), "{code}: {ran:?}");
                    assert_eq!(status["output"]["exitCode"], code, "the number itself, also where no process can have it");
                    let line = if code == 0 { String::new() } else { format!("wasmjob: GuestExit: the guest exited with {code}\n") };
                    assert_eq!(ran.stderr, line);
                }
            });
        }
    });
}

#[test]
fn a_guest_that_only_returns_has_succeeded() {
    let place = Place::new();
    let (ran, status) = run(&place, &calls([]), "", &[]);
    assert_eq!((ran.code, reason(&status), ran.stderr.as_str()), (Some(0), "Completed", ""));
}
