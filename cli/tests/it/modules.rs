//! What is refused before any of it runs: why, in one word and in a sentence that says what to do, and nothing is left of the try.

use serde_json::Value;

use crate::guests;
use crate::ran::{Place, files};

/// What it is, its bytes, the reason, and what the message says.
type Row = (&'static str, Vec<u8>, &'static str, &'static [&'static str]);

/// What messages say is offered, and how to do without threads.
const PREVIEW1: &str = "offered is WASI preview 1 (wasi_snapshot_preview1)";
const OFFERED: &str = "offered are wasi:cli, clocks, filesystem, io and random at 0.2";
const THREADS: &str = "it wants threads (shared memory), which are not offered: build it for wasm32-wasip1, not wasm32-wasip1-threads";

/// Each in a place of its own.
fn check<const N: usize>(rows: [Row; N]) {
    for (what, bytes, reason, said) in rows {
        refused(&Place::new(), what, &bytes, &[], reason, said);
    }
}

fn refused(place: &Place, what: &str, bytes: &[u8], words: &[&str], reason: &str, said: &[&str]) {
    let ran = place.write("p.wasm", bytes).run(&[&["run", "p.wasm", "--status-file", "s.json"], words].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(125), ""), "{what}: {ran:?}");
    assert!(ran.stderr.starts_with(&format!("wasmjob: {reason}: ")), "{what}: {ran:?}");
    for part in said {
        assert!(ran.stderr.contains(part), "{what} is said to be {part:?}: {ran:?}");
    }
    let status: Value = serde_json::from_str(&place.read("s.json")).unwrap();
    assert_eq!(status["conditions"][0]["reason"], reason, "{what}: {status}");
    assert_eq!((status.get("results"), status["output"].get("exitCode")), (None, None), "{what}: {status}");
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "p.wasm" || name == "s.json"), "{what}: {left:?}");
}

fn text(module: impl AsRef<str>) -> Vec<u8> {
    wat::parse_str(module).unwrap()
}

#[test]
fn what_is_no_module_is_named_for_what_it_is() {
    let page = b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>".to_vec();
    let error = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".to_vec();
    check([
        ("nothing", vec![], "ModuleInvalid", &["not a WebAssembly module: it is empty"]),
        ("seven bytes", b"\0asm\x01\0\0".to_vec(), "ModuleInvalid", &["it ends within its header"]),
        (
            "a native program",
            std::fs::read("/proc/self/exe").unwrap()[..4096].to_vec(),
            "ModuleInvalid",
            &["native ELF program", "build for wasm32-wasip1"],
        ),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "ModuleInvalid", &["it is gzip; unpack it first"]),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\0".to_vec(), "ModuleInvalid", &["it is zstd; unpack it first"]),
        ("zip", b"PK\x03\x04".to_vec(), "ModuleInvalid", &["it is a zip archive; unpack it first"]),
        ("a page", page, "ModuleInvalid", &["it is an HTML page; check that the URL is the file itself"]),
        ("a store's answer", error, "ModuleInvalid", &["a store's error answer"]),
        ("text", b"  (module (func))".to_vec(), "ModuleInvalid", &["it is WebAssembly text; assemble it with wat2wasm first"]),
        ("something", b"hello".to_vec(), "ModuleInvalid", &["it does not begin with \\0asm"]),
        (
            "version 2",
            b"\0asm\x02\0\0\0".to_vec(),
            "ModuleUnsupported",
            &["binary version [02, 00, 00, 00]", "build a core module (version 1)"],
        ),
        ("an old component", b"\0asm\x0c\0\x01\0".to_vec(), "ModuleUnsupported", &["preview 2 component"]),
        (
            "a section without end",
            b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f".to_vec(),
            "ModuleInvalid",
            &["not a valid WebAssembly module", "at offset 0x"],
        ),
    ]);
}

#[test]
fn code_that_was_compiled_already_is_never_loaded() {
    let place = Place::new();
    assert_eq!(place.write("p.wasm", guests::exits(0)).run(&["run", "p.wasm", "--cache-dir", "cache"]).code, Some(0));
    let compiled = place.path().join("cache/compiled");
    let file = files(&compiled).into_iter().find(|file| file.ends_with(".module")).unwrap();
    let bytes = std::fs::read(compiled.join(file)).unwrap();
    refused(&Place::new(), "compiled code", &bytes, &[], "ModuleInvalid", &["code that wasmtime compiled (.cwasm); give the .wasm"]);
}

/// Wherever it is cut: most cuts make it invalid, those between two sections leave it without its entrypoint.
#[test]
fn a_module_cut_short_never_runs() {
    let whole = guests::cat();
    for cut in [8, 9, 12, 40, 400, whole.len() / 2, whole.len() - 20, whole.len() - 1] {
        let said = if cut == 8 { "exports no function \"_start\"" } else { "not a valid WebAssembly module: " };
        refused(&Place::new(), &format!("its first {cut} bytes"), &whole[..cut], &[], "ModuleInvalid", &[said]);
    }
}

#[test]
fn an_import_that_is_not_offered_is_named_with_what_is() {
    let import = |module: &str, name: &str| text(format!(r#"(module (import "{module}" "{name}" (func)) (func (export "_start")))"#));
    let many: String = ["f0", "f1", "f2", "f3", "f4", "f5", "f6"].map(|name| format!(r#"(import "env" "{name}" (func))"#)).concat();
    check([
        ("a host function", import("env", "foo"), "ImportNotAllowed", &["imports env.foo", PREVIEW1, "wasm32-wasip1"]),
        ("a global", text(r#"(module (import "env" "g" (global i32)))"#), "ImportNotAllowed", &["env.g"]),
        ("a memory", text(r#"(module (import "env" "memory" (memory 1)))"#), "ImportNotAllowed", &["env.memory"]),
        ("many", text(format!("(module {many})")), "ImportNotAllowed", &["env.f0, env.f1, env.f2, env.f3, env.f4 and 2 more"]),
        ("preview 0", import("wasi_unstable", "fd_write"), "ImportNotAllowed", &["wasi_unstable.fd_write", "preview 0: rebuild it"]),
        (
            "threads",
            import("wasi", "thread-spawn"),
            "ImportNotAllowed",
            &["wasi.thread-spawn", "threads are not offered: build it for wasm32-wasip1,"],
        ),
        (
            "another runtime's sockets",
            import("wasi_snapshot_preview1", "sock_open"),
            "ImportNotAllowed",
            &["wasi_snapshot_preview1.sock_open", PREVIEW1],
        ),
        (
            "an unknown function",
            import("wasi_snapshot_preview1", "fd_frobnicate"),
            "ImportNotAllowed",
            &["wasi_snapshot_preview1.fd_frobnicate"],
        ),
        (
            "another signature",
            import("wasi_snapshot_preview1", "fd_close"),
            "ImportNotAllowed",
            &[
                "do not fit what is offered",
                "wasi_snapshot_preview1::fd_close",
                "expected type `(func)`, found type `(func (param i32) (result i32))`",
            ],
        ),
        (
            "another kind",
            text(r#"(module (import "wasi_snapshot_preview1" "fd_close" (global i32)))"#),
            "ImportNotAllowed",
            &["wasi_snapshot_preview1::fd_close"],
        ),
    ]);
}

#[test]
fn a_proposal_that_is_not_offered_is_named() {
    check([
        ("shared memory", text("(module (memory 1 1 shared))"), "ModuleUnsupported", &[THREADS]),
        ("imported shared memory", text(r#"(module (import "env" "memory" (memory 1 1 shared)))"#), "ModuleUnsupported", &[THREADS]),
        ("atomics", text("(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"), "ModuleUnsupported", &[THREADS]),
        ("64-bit memory", text("(module (memory i64 1))"), "ModuleUnsupported", &["a WebAssembly proposal that is not offered: memory64"]),
        ("two memories", text("(module (memory 1) (memory 1))"), "ModuleUnsupported", &["not offered: multi"]),
        (
            "relaxed SIMD",
            text("(module (func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))))"),
            "ModuleUnsupported",
            &["relaxed"],
        ),
        ("exceptions", text("(module (tag) (func (throw 0)))"), "ModuleUnsupported", &["exceptions"]),
        ("garbage collection", text("(module (type (struct)))"), "ModuleUnsupported", &["gc"]),
    ]);
}

#[test]
fn a_component_that_wants_more_or_is_no_command_is_told_so() {
    let component = |body: &str| text(format!("(component {body})"));
    check([
        (
            "HTTP",
            component(r#"(import "wasi:http/outgoing-handler@0.2.0" (instance))"#),
            "ImportNotAllowed",
            &["imports wasi:http/outgoing-handler@0.2.0", "a job has no network: give it its data as inputs", OFFERED],
        ),
        (
            "a newer WASI",
            component(r#"(import "wasi:cli/environment@0.3.0" (instance))"#),
            "ImportNotAllowed",
            &["imports wasi:cli/environment@0.3.0", "newer WASI than is offered", "wasm32-wasip2", OFFERED],
        ),
        (
            "somebody's own interface",
            component(r#"(import "acme:things/store@1.0.0" (instance))"#),
            "ImportNotAllowed",
            &["acme:things/store@1.0.0", OFFERED],
        ),
        ("a bare function", component(r#"(import "run-me" (func))"#), "ImportNotAllowed", &["imports run-me"]),
        (
            "another shape",
            component(r#"(import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result u32)))))"#),
            "ImportNotAllowed",
            &["do not fit what is offered", "wasi:cli/environment@0.2.0"],
        ),
        ("no command", component(""), "ModuleInvalid", &["does not export wasi:cli/run; build it as a command"]),
    ]);
}

#[test]
fn an_entrypoint_that_cannot_be_called_is_named_with_those_that_are_there() {
    let exports = || text(r#"(module (func (export "main")) (func (export "other")) (memory (export "memory") 1))"#);
    let check =
        |what: &str, bytes: Vec<u8>, words: &[&str], said: &[&str]| refused(&Place::new(), what, &bytes, words, "ModuleInvalid", said);
    let there = "set spec.entrypoint to one that it exports (main, other)";
    check("no entrypoint", exports(), &[], &["exports no function \"_start\"", there]);
    check("another one", exports(), &["--entrypoint", "third"], &["exports no function \"third\"", there]);
    check("no function", exports(), &["--entrypoint", "memory"], &["exports no function \"memory\"", there]);
    check("no export", text("(module)"), &[], &["it exports none"]);
    let parameters = text(r#"(module (func (export "_start") (param i32 i64)))"#);
    check("parameters", parameters, &[], &["entrypoint \"_start\" takes (i32, i64)", "without parameters"]);
    let number = text(r#"(module (func (export "_start") (result f64) (f64.const 0)))"#);
    check("a result that is no code", number, &[], &["returns (f64)", "nothing or an i32"]);
}

#[test]
fn other_bytes_than_the_digest_says_are_told_with_both_digests() {
    let place = Place::new();
    let yaml = place.write("p.wasm", guests::exits(0)).run(&["run", "p.wasm", "--dry-run"]).stdout;
    let expected = format!("sha256:{}", "0".repeat(64));
    place.write("job.yaml", yaml.replacen("module:\n", &format!("module:\n    digest: {expected}\n"), 1));
    let ran = place.run(&["run", "job.yaml"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.stderr.starts_with("wasmjob: DigestMismatch: spec.module: ") && ran.stderr.contains(&expected), "{ran:?}");
    assert_eq!(ran.stderr.matches("sha256:").count(), 2, "what was got, too: {ran:?}");
    assert_eq!(files(&place.path()), ["job.yaml", "p.wasm"]);
}

#[test]
fn inline_text_that_is_no_base64_is_refused_by_its_field() {
    let place = Place::new();
    for inline in ["AGFz!", "AGFzbQ", "päng"] {
        place.write(
            "job.yaml",
            format!("apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {{name: j}}\nspec: {{module: {{inline: '{inline}'}}}}\n"),
        );
        let ran = place.run(&["run", "job.yaml"]);
        assert_eq!(ran.code, Some(125), "{inline}: {ran:?}");
        assert!(ran.stderr.starts_with("wasmjob: InvalidSpec: spec.module.inline: "), "{inline}: {ran:?}");
        assert_eq!(files(&place.path()), ["job.yaml"]);
    }
}

#[test]
fn a_module_larger_than_any_is_refused_unread() {
    let place = Place::new();
    let huge = std::fs::File::create(place.path().join("huge.wasm")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let ran = place.run(&["run", "huge.wasm"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.stderr.starts_with("wasmjob: FetchTooLarge: the module huge.wasm has 1099511627776 bytes, more than"), "{ran:?}");
}

/// Four megabytes whose compilation would take more memory than it gets; it ends in a process of its own.
#[test]
fn a_module_that_is_dear_to_compile_ends_by_a_limit() {
    let labels = (0..=1500).map(|label: u32| label.to_string()).collect::<Vec<_>>().join(" ");
    let tables = format!("(block (br_table {labels} (local.get 0)))\n").repeat(1500);
    let many_edges = format!("{}{tables}{}", "block ".repeat(1500), "end ".repeat(1500));
    let place = Place::new();
    let bytes = text(format!(r#"(module (func (param i32) {many_edges}) (func (export "_start")))"#));
    refused(&place, "a web of branches", &bytes, &[], "CompileLimit", &["want of memory: make the module smaller or simpler"]);
}

#[test]
fn what_is_large_but_within_limits_runs() {
    let rows = [
        ("deep nesting", format!("(func {}{})", "block ".repeat(20_000), "end ".repeat(20_000))),
        ("the most locals", format!("(func (local{}))", " i64".repeat(50_000))),
        ("many functions", "(func)".repeat(50_000)),
        ("many types", "(type (func (param i32)))".repeat(100_000)),
    ];
    for (what, functions) in rows {
        let place = Place::new();
        let ran = place.write("p.wasm", text(format!(r#"(module {functions} (func (export "_start")))"#))).run(&["run", "p.wasm"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{what}");
    }
}
