//! The measure of `cargo xtask bench`: one module in a bare wasmtime, without any wall of ours. Prints the milliseconds of processor time
//! from its instantiation to its end. Compiles as we do, and offers no imports.

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Config, Engine, Instance, Module, OptLevel, Store};

fn main() -> wasmtime::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| wasmtime::Error::msg("name a module"))?;
    let engine = Engine::new(Config::new().cranelift_opt_level(OptLevel::Speed))?;
    let module = Module::from_binary(&engine, &std::fs::read(path)?)?;
    let mut store = Store::new(&engine, ());
    let begun = clock_gettime(ClockId::ProcessCPUTime);
    let instance = Instance::new(&mut store, &module, &[])?;
    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
    let took = clock_gettime(ClockId::ProcessCPUTime) - begun;
    println!("{}.{:06}", took.tv_sec * 1000 + took.tv_nsec / 1_000_000, took.tv_nsec % 1_000_000);
    Ok(())
}
