//! Programs that try one call of preview 1 after the other and say on stdout what each answered.
//!
//! A call is written as a line: its name, then its arguments. `'text'` stands for a pointer and a length, `[16]` for the number that
//! lies at address 16 (where calls that answer a descriptor are told to put it), anything else is a number. `READY` is a vector of one
//! text.

use std::fmt::Write as _;

/// A vector that holds `ready\n`.
pub(super) const READY: &str = "8 1";
/// A page that nothing else uses.
pub(super) const FREE: u32 = 65536;

/// Where texts begin.
const TEXTS: usize = 2048;

/// Each function with its parameters: `i` for 32 bits, `j` for 64. All but `proc_exit` answer an errno.
const FUNCTIONS: [(&str, &str); 29] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_time_get", "iji"),
    ("fd_allocate", "ijj"),
    ("fd_close", "i"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_filestat_set_size", "ij"),
    ("fd_filestat_set_times", "ijji"),
    ("fd_pwrite", "iiiji"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiji"),
    ("fd_renumber", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiijji"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiijjii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// A program that makes these calls and prints each errno on a line of its own.
pub(super) fn calls<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut texts = Vec::new();
    let calls: Vec<_> = lines.into_iter().map(|line| call(line, &mut texts)).collect();
    let body = calls.iter().map(|call| ["(call $tell ", call, ")\n"].concat()).collect::<String>();
    program(&body, &texts)
}

/// A program whose `_start` does this. `$tell` prints a number below 1000.
pub(super) fn start(body: &str) -> Vec<u8> {
    program(body, &[])
}

fn program(body: &str, texts: &[u8]) -> Vec<u8> {
    let imports = FUNCTIONS.iter().fold(String::new(), |mut imports, (name, parameters)| {
        let parameters: Vec<_> = parameters.chars().map(|parameter| if parameter == 'j' { "i64" } else { "i32" }).collect();
        let _ =
            writeln!(imports, r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {}) (result i32)))"#, parameters.join(" "));
        imports
    });
    let texts = texts.iter().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "\\{byte:02x}");
        escaped
    });
    let text = format!(
        r#"(module {imports}
          (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
          (memory (export "memory") 2)
          (data (i32.const 0) "\20\00\00\00\04\00\00\00\00\04\00\00\06\00\00\00")
          (data (i32.const 1024) "ready\n")
          (data (i32.const {TEXTS}) "{texts}")
          (func $tell (param $number i32)
            (i32.store8 (i32.const 32) (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 100))))
            (i32.store8 (i32.const 33) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $number) (i32.const 10)) (i32.const 10))))
            (i32.store8 (i32.const 34) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
            (i32.store8 (i32.const 35) (i32.const 10))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 28))))
          (func (export "_start") {body}))"#
    );
    wat::parse_str(text).unwrap()
}

/// One call in WebAssembly text; its texts are added to `texts`.
fn call(line: &str, texts: &mut Vec<u8>) -> String {
    let (name, arguments) = line.split_once(' ').unwrap();
    let (_, types) = FUNCTIONS.iter().find(|(known, _)| *known == name).expect(name);
    let mut types = types.chars();
    let mut folded = format!("(call ${name}");
    for (position, part) in arguments.split('\'').enumerate() {
        if position % 2 == 1 {
            types.by_ref().nth(1).expect(line);
            let _ = write!(folded, " (i32.const {}) (i32.const {})", TEXTS + texts.len(), part.len());
            texts.extend_from_slice(part.as_bytes());
            continue;
        }
        for number in part.split_whitespace() {
            let width = if types.next().expect(line) == 'j' { "i64" } else { "i32" };
            let _ = match number.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(address) => write!(folded, " ({width}.load (i32.const {address}))"),
                None => write!(folded, " ({width}.const {number})"),
            };
        }
    }
    assert_eq!(types.next(), None, "{line}");
    folded + ")"
}
