//! Systems that have none of these walls: a guest there has wasmtime's alone, and whoever runs it is told so.

use super::Wall;

pub(super) fn is_there(_: Wall) -> bool {
    false
}
