//! A module cut at every byte is refused or smaller, never a panic.

use super::*;

fn module() -> Vec<u8> {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (type (func (param i64) (result f32)))
        (memory (export "memory") 1 2) (table 3 funcref) (global (mut i32) (i32.const 7))
        (elem (i32.const 0) $start) (data (i32.const 8) "bytes")
        (func $start (export "_start") (local i32)
          (block (loop (br_table 0 1 (local.get 0)))) (call $exit (i32.const 0)))
        (@custom "name" "\00"))"#;
    wat::parse_str(text).unwrap()
}

#[test]
fn no_prefix_of_a_module_makes_the_check_panic_or_pass_for_the_whole() {
    let whole = module();
    assert_eq!(check(&whole), Ok(ModuleKind::CoreModule));
    for cut in 0..whole.len() {
        if let Err(failure) = check(&whole[..cut]) {
            assert!(matches!(failure.reason, Reason::ModuleInvalid), "{cut}: {failure:?}");
        }
    }
}

#[test]
fn no_changed_byte_makes_the_check_panic() {
    let whole = module();
    for position in 0..whole.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[position] = value;
            if let Err(failure) = check(&changed) {
                let reasons = [Reason::ModuleInvalid, Reason::ModuleUnsupported, Reason::ImportNotAllowed];
                assert!(reasons.contains(&failure.reason), "{position} {value}: {failure:?}");
            }
        }
    }
}
