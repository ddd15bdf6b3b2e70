//! What a module is and wants, found out before it is compiled: its kind, the proposals it needs, the imports it has.
//!
//! Checks names here; signatures are checked when it is linked. Runs in the compiler process only.

use crds::reason::Reason;
use crds::report::ModuleKind;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::failure::Failure;

/// Interfaces of preview 2 that are offered, without their version. `wasi:sockets` is there and refuses.
const OFFERED_INTERFACES: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// The proposals that guests may use: what released toolchains emit, minus what has no limit or had escapes.
fn offered() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::TAIL_CALL | WasmFeatures::COMPONENT_MODEL
}

/// Says what `bytes` are, or why they cannot run.
///
/// # Errors
/// `ModuleInvalid`, `ModuleUnsupported` or `ImportNotAllowed`, saying what the module wants and what is offered.
pub(crate) fn check(bytes: &[u8]) -> Result<ModuleKind, Failure> {
    let kind = kind(bytes)?;
    validate(bytes)?;
    let unknown = unknown_imports(bytes, kind).map_err(|error| invalid(&error))?;
    match unknown.first() {
        None => Ok(kind),
        Some(_) => Err(not_offered(kind, &unknown)),
    }
}

fn kind(bytes: &[u8]) -> Result<ModuleKind, Failure> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Ok(ModuleKind::CoreModule),
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => Ok(ModuleKind::Component),
        Some([0, b'a', b's', b'm', version @ ..]) => Err(Failure::new(
            Reason::ModuleUnsupported,
            format!("the module has binary version {version:02x?}: build a core module (version 1) or a preview 2 component"),
        )),
        _ => Err(Failure::new(Reason::ModuleInvalid, format!("not a WebAssembly module: {}", looks_like(bytes)))),
    }
}

fn looks_like(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_lowercase();
    let start = text.trim_start();
    let guess = match bytes {
        [] => "it is empty",
        [0x7f, b'E', b'L', b'F', ..] if wasmtime_code(bytes) => {
            "it is code that wasmtime compiled (.cwasm); give the .wasm that it was compiled from"
        }
        [0x7f, b'E', b'L', b'F', ..] => "it is a native ELF program; build for wasm32-wasip1 instead",
        [0x1f, 0x8b, ..] => "it is gzip; unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is zstd; unpack it first",
        [b'P', b'K', 3, 4, ..] => "it is a zip archive; unpack it first",
        [0, b'a', b's', b'm', ..] => "it ends within its header",
        _ if start.starts_with("<!doctype") || start.starts_with("<html") => {
            "it is an HTML page; check that the URL is the file itself and not a page about it"
        }
        _ if start.starts_with('<') => "it is XML, perhaps a store's error answer",
        _ if start.starts_with("(module") || start.starts_with("(component") => "it is WebAssembly text; assemble it with wat2wasm first",
        _ => "it does not begin with \\0asm",
    };
    guess.to_owned()
}

fn wasmtime_code(bytes: &[u8]) -> bool {
    wasmtime::Engine::detect_precompiled(bytes).is_some()
}

/// Valid with what is offered; if it would be valid with more, the answer names what it needs.
fn validate(bytes: &[u8]) -> Result<(), Failure> {
    let Err(error) = Validator::new_with_features(offered()).validate_all(bytes) else { return Ok(()) };
    if Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).is_err() {
        return Err(invalid(&error));
    }
    let needs = if error.message().contains("threads") || error.message().contains("shared") {
        "it wants threads (shared memory), which are not offered: build it for wasm32-wasip1, not wasm32-wasip1-threads".to_owned()
    } else {
        format!("it needs a WebAssembly proposal that is not offered: {} (at offset {:#x})", error.message(), error.offset())
    };
    Err(Failure::new(Reason::ModuleUnsupported, format!("the module cannot run here: {needs}")))
}

fn invalid(error: &wasmparser::BinaryReaderError) -> Failure {
    Failure::new(Reason::ModuleInvalid, format!("not a valid WebAssembly module: {} (at offset {:#x})", error.message(), error.offset()))
}

/// The imports that nothing here offers, as `module.name` or the interface's name.
fn unknown_imports(bytes: &[u8], kind: ModuleKind) -> Result<Vec<String>, wasmparser::BinaryReaderError> {
    let mut unknown = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(section) if kind == ModuleKind::CoreModule => {
                for import in section.into_imports() {
                    let import = import?;
                    if !core_import_is_offered(import.module, import.name) {
                        unknown.push(format!("{}.{}", import.module, import.name));
                    }
                }
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import?.name.name;
                    if !interface_is_offered(name) {
                        unknown.push(name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(unknown)
}

fn core_import_is_offered(module: &str, name: &str) -> bool {
    module == "wasi_snapshot_preview1" && PREVIEW1.contains(&name)
}

fn interface_is_offered(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    OFFERED_INTERFACES.iter().any(|offered| interface.starts_with(offered)) && version.starts_with("0.2.")
}

fn not_offered(kind: ModuleKind, unknown: &[String]) -> Failure {
    let shown = unknown.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = if unknown.len() > 5 { format!(" and {} more", unknown.len() - 5) } else { String::new() };
    let remedy = match kind {
        ModuleKind::CoreModule if unknown.iter().any(|name| name == "wasi.thread-spawn") => {
            "threads are not offered: build it for wasm32-wasip1, not wasm32-wasip1-threads"
        }
        ModuleKind::CoreModule if unknown.iter().any(|name| name.starts_with("wasi_unstable.")) => {
            "that is WASI preview 0: rebuild it with a toolchain of 2020 or later; offered is wasi_snapshot_preview1"
        }
        ModuleKind::CoreModule if unknown.iter().any(|name| name.starts_with("env.")) => {
            "offered is WASI preview 1 (wasi_snapshot_preview1): build it as a WASI program (wasm32-wasip1, wasi-libc), not for a browser or another host"
        }
        ModuleKind::CoreModule => "offered is WASI preview 1 (wasi_snapshot_preview1)",
        ModuleKind::Component if unknown.iter().any(|name| name.contains("@0.3")) => {
            "that is a newer WASI than is offered: build it for preview 2 (wasm32-wasip2); offered are wasi:cli, clocks, filesystem, io and random at 0.2, and wasi:sockets, which refuses"
        }
        ModuleKind::Component if unknown.iter().any(|name| name.starts_with("wasi:http/")) => {
            "a job has no network: give it its data as inputs; offered are wasi:cli, clocks, filesystem, io and random at 0.2, and wasi:sockets, which refuses"
        }
        ModuleKind::Component => "offered are wasi:cli, clocks, filesystem, io and random at 0.2, and wasi:sockets, which refuses",
    };
    Failure::new(Reason::ImportNotAllowed, format!("the module imports {shown}{more}, which is not offered; {remedy}"))
}

/// The functions of WASI preview 1, as its `wasi_snapshot_preview1` module lists them.
const PREVIEW1: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];
