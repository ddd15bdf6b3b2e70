//! What our walls cost a guest that only computes: a worker's processor time, its own start included, ÷ that of a bare wasmtime for the
//! same guest (`runner/examples/bare.rs`). Processor time, because waiting for a processor is nobody's cost.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use e2e::bench::{Figure, Promise, Row, Unit, milliseconds};

use crate::dispatch::{Machine, machine};
use crate::{built, measure_all, timed};

/// Recursive calls: what an interruption check at each function's entry would show in.
const CALLS: &str = r#"(module
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "_start") (drop (call $fib (i32.const 38)))))"#;

/// Tight loops over memory: what a check at each loop's head would double.
const LOOPS: &str = r#"(module
  (memory 64)
  (func (export "_start") (local $round i32) (local $prime i32) (local $multiple i32)
    (loop $rounds
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 4194304))
      (local.set $prime (i32.const 2))
      (loop $primes
        (if (i32.eqz (i32.load8_u (local.get $prime)))
          (then
            (local.set $multiple (i32.shl (local.get $prime) (i32.const 1)))
            (loop $multiples
              (i32.store8 (local.get $multiple) (i32.const 1))
              (local.set $multiple (i32.add (local.get $multiple) (local.get $prime)))
              (br_if $multiples (i32.lt_u (local.get $multiple) (i32.const 4194304))))))
        (local.set $prime (i32.add (local.get $prime) (i32.const 1)))
        (br_if $primes (i32.lt_u (local.get $prime) (i32.const 2048))))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const 60))))))"#;

/// Rotations, additions and exclusive ors in a long chain, as in a digest.
const MIXING: &str = r#"(module
  (memory 1)
  (func (export "_start") (local $i i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $a (i32.const 0x6a09e667))
    (local.set $b (i32.const 0xbb67ae85))
    (loop $again
      (local.set $c (i32.xor (i32.rotr (local.get $a) (i32.const 6)) (i32.rotr (local.get $a) (i32.const 11))))
      (local.set $d (i32.xor (i32.and (local.get $a) (local.get $b)) (i32.and (i32.xor (local.get $a) (i32.const -1)) (local.get $c))))
      (local.set $d (i32.add (local.get $d) (i32.load (i32.and (local.get $i) (i32.const 0xfffc)))))
      (local.set $b (i32.add (i32.rotl (local.get $b) (i32.const 13)) (local.get $d)))
      (local.set $a (i32.add (i32.xor (local.get $b) (local.get $c)) (local.get $i)))
      (i32.store (i32.and (local.get $i) (i32.const 0xfffc)) (local.get $a))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 100000000))))))"#;

pub(super) fn figures(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let bare = built("examples/bare")?;
    let machine = RefCell::new(machine(folder)?);
    let guests = [
        ("CPU-bound guest, recursive calls: our worker ÷ bare wasmtime", "calls", CALLS),
        ("CPU-bound guest, tight loops over memory: our worker ÷ bare wasmtime", "loops", LOOPS),
        ("CPU-bound guest, a digest's mixing: our worker ÷ bare wasmtime", "mixing", MIXING),
    ];
    let mut rows = Vec::new();
    for (name, file, text) in guests {
        let module = written(folder, file, text)?;
        rows.push(row(name, &machine, module, &bare));
    }
    measure_all(rows)
}

fn written(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{name}.wasm"));
    let bytes = wat::parse_str(text).with_context(|| format!("guest {name}"))?;
    std::fs::write(&path, bytes).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

fn row<'a>(name: &'static str, machine: &'a RefCell<Machine>, module: PathBuf, bare: &'a Path) -> Row<'a> {
    let same = module.clone();
    Row {
        name,
        unit: Unit::Milliseconds,
        ours: Box::new(move || {
            let (_, report) = machine.borrow_mut().run(&module)?;
            Ok(milliseconds(Duration::from_millis(report.usage.cpu_milliseconds.unsigned_abs())))
        }),
        bare: Some(Box::new(move || {
            let (_, said) = timed(Command::new(bare).arg(&same))?;
            said.trim().parse().with_context(|| format!("the bare run said {said:?}"))
        })),
        rounds: 11,
        promise: Promise::Ratio(1.05),
    }
}
