//! The built command, as a shell sees it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod command_line;
mod compiled;
mod guests;
mod hostile;
mod modules;
mod ran;
mod runs;
mod validate;
