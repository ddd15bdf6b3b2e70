//! A preview 2 component. It shows what a component is offered (arguments, environment, clocks, random numbers, files),
//! and tries what it is not: `connect`, `bind` and `resolve` end with exit code 0 when they were refused and 1 when not.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

const USAGE: &str = "usage: component [hello | copy FROM TO | connect HOST:PORT | bind HOST:PORT | resolve HOST:PORT]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["hello"] => hello(),
        ["copy", from, to] => copy(from, to),
        ["connect", address] => refused("connect", address, TcpStream::connect(address).map(drop)),
        ["bind", address] => refused("bind", address, TcpListener::bind(address).map(drop)),
        ["resolve", address] => refused("resolve", address, address.to_socket_addrs().map(drop)),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Clocks and random numbers differ from run to run, so the text tells only what is always true of them.
fn hello() -> ExitCode {
    let start = Instant::now();
    let today = SystemTime::now() > SystemTime::UNIX_EPOCH;
    println!("Hello from a component");
    println!("wall clock after 1970: {today}");
    println!("monotonic clock goes on: {}", Instant::now() >= start);
    println!("two random numbers differ: {}", random() != random());
    ExitCode::SUCCESS
}

/// The standard library seeds its hash maps from the host's random numbers.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

fn copy(from: &str, to: &str) -> ExitCode {
    match fs::copy(from, to) {
        Ok(bytes) => {
            println!("copied {bytes} bytes from {from} to {to}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot copy {from} to {to}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn refused(what: &str, address: &str, tried: io::Result<()>) -> ExitCode {
    match tried {
        Ok(()) => {
            println!("{what} {address}: not refused");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{what} {address}: refused: {error}");
            ExitCode::SUCCESS
        }
    }
}
