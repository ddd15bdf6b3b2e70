use super::*;

fn refusal(bytes: &[u8]) -> (Reason, String) {
    let failure = check(bytes).expect_err("refused");
    (failure.reason, failure.message)
}

fn text(module: &str) -> Vec<u8> {
    wat::parse_str(module).expect("valid text")
}

#[test]
fn what_is_no_module_is_told_for_what_it_is() {
    let rows: [(&[u8], &str); 10] = [
        (b"", "it is empty"),
        (b"\0asm", "it ends within its header"),
        (b"\x7fELF\x02\x01\x01\0", "native ELF program"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"\x28\xb5\x2f\xfd\0\0\0\0", "zstd"),
        (b"PK\x03\x04\0\0\0\0", "zip"),
        (b"  <!DOCTYPE html><p>", "HTML page"),
        (b"<?xml version=\"1.0\"?>", "XML"),
        (b"(module (func))", "WebAssembly text"),
        (b"hello, world", "does not begin with"),
    ];
    for (bytes, expected) in rows {
        let (reason, message) = refusal(bytes);
        assert_eq!(reason, Reason::ModuleInvalid, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_is_offered_passes() {
    let core = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))))"#;
    assert_eq!(check(&text(core)), Ok(ModuleKind::CoreModule));
    let component = r#"(component (import "wasi:cli/environment@0.2.3" (instance)))"#;
    assert_eq!(check(&text(component)), Ok(ModuleKind::Component));
}

#[test]
fn what_is_not_offered_is_named_with_what_is() {
    let rows = [
        (r#"(module (import "env" "foo" (func)))"#, "imports env.foo", "build it as a WASI program"),
        (
            r#"(module (import "wasi" "thread-spawn" (func (param i32) (result i32))))"#,
            "imports wasi.thread-spawn",
            "threads are not offered",
        ),
        (r#"(module (import "wasi_unstable" "fd_write" (func)))"#, "wasi_unstable.fd_write", "WASI preview 0"),
        (
            r#"(module (import "wasi_snapshot_preview1" "sock_open" (func)))"#,
            "wasi_snapshot_preview1.sock_open",
            "offered is WASI preview 1",
        ),
        (r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance)))"#, "wasi:http/outgoing-handler@0.2.0", "no network"),
        (r#"(component (import "wasi:cli/environment@0.3.0" (instance)))"#, "wasi:cli/environment@0.3.0", "newer WASI"),
    ];
    for (module, names, remedy) in rows {
        let (reason, message) = refusal(&text(module));
        assert_eq!(reason, Reason::ImportNotAllowed, "{message}");
        assert!(message.contains(names) && message.contains(remedy), "{message}");
    }
}

#[test]
fn proposals_that_are_not_offered_are_named() {
    for (module, expected) in [
        ("(module (memory 1 2 shared))", "wants threads"),
        ("(module (memory i64 1))", "memory64"),
        ("(module (memory 1) (memory 1))", "multi"),
    ] {
        let (reason, message) = refusal(&text(module));
        assert_eq!(reason, Reason::ModuleUnsupported, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
