//! Compiled modules are kept: which build a run gets, when a better one is made, and that nobody else's code is ever loaded.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::guests;
use crate::ran::{Place, files};

/// The builds below the cache, without digest and compatibility: `baseline.module`, `optimized.module`.
fn builds(place: &Place) -> Vec<String> {
    let kept = files(&place.path().join("../cache/compiled"));
    kept.iter().filter_map(|path| Some(Path::new(path).file_name()?.to_str()?.split_once('.')?.1.to_owned())).collect()
}

/// A module above the size that is optimised at once (its custom section is padding), which runs long enough to gain from it.
fn large_and_busy() -> Vec<u8> {
    let body = "(local $left i64) (local.set $left (i64.const 2000000000))
        (loop $more (local.set $left (i64.sub (local.get $left) (i64.const 1))) (br_if $more (i64.ne (local.get $left) (i64.const 0))))";
    let mut module = guests::start(body);
    let padding = vec![b'x'; 2 << 20];
    let name = b"\x03pad";
    module.push(0);
    let mut length = padding.len() + name.len();
    while length >= 0x80 {
        module.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    module.push(u8::try_from(length).unwrap());
    module.extend_from_slice(name);
    module.extend_from_slice(&padding);
    module
}

#[test]
fn a_small_module_is_optimised_at_once_and_compiled_once() {
    let place = Place::new();
    place.write("small.wasm", guests::exits(3));
    for _ in 0..2 {
        assert_eq!(place.run(&["run", "small.wasm"]).code, Some(3));
        assert_eq!(builds(&place), ["optimized.module"]);
    }
    assert_eq!(place.run(&["run", "small.wasm", "--fuel", "1000"]).code, Some(3));
    assert_eq!(builds(&place), ["optimized.module", "optimized.module"], "counting fuel is other code");
}

#[test]
fn a_large_module_runs_soon_and_is_optimised_behind_it() {
    let place = Place::new();
    place.write("large.wasm", large_and_busy());
    let ran = place.run(&["run", "large.wasm"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(builds(&place).contains(&"baseline.module".to_owned()));

    let started = Instant::now();
    while !builds(&place).contains(&"optimized.module".to_owned()) {
        assert!(started.elapsed() < Duration::from_mins(2), "no optimised build came");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(place.run(&["run", "large.wasm"]).code, Some(0));
}

#[test]
fn a_folder_that_others_can_write_is_not_trusted_with_code() {
    let place = Place::new();
    place.write("small.wasm", guests::exits(0));
    assert_eq!(place.run(&["run", "small.wasm"]).code, Some(0));
    let compiled = place.path().join("../cache/compiled");
    std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(0o777)).unwrap();

    let ran = place.run(&["run", "small.wasm"]);
    assert_eq!(ran.code, Some(125));
    assert!(ran.stderr.contains("writable by nobody else"), "{}", ran.stderr);
}
