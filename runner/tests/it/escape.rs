//! The walls from inside: what a guest that has escaped wasmtime, and a compiler that a module has taken over, try in vain.
//!
//! The attempts are native code of this test binary, played where the guest's first instruction would be, with every wall raised. Each is
//! also played in a process without walls, where it has to succeed: a row that could not fail shows nothing.

mod attempts;
mod field;
mod files;
mod kernel;
mod lacking;
mod memory;
mod network;
mod others;
mod standing;

use std::process::Command;
use std::sync::Arc;

use crds::reason::Reason;
use crds::report::Outcome;
use runner::Runner;
use runner::role::Scene;
use runner::task::{LocalSources, Task};
use serde_json::json;

use self::attempts::{ROWS, Refusal, Row};
use self::field::{Field, Victim};
use crate::place::{NOTHING, Place};
use crate::processes::{alone, is_gone};

/// First argument of a guest, first bytes of a module, and `argv[0]` of a process that plays.
const PLAYS: &str = "wasmjob-test: plays";

/// In the place of a guest or of compiling: the error number of a refused attempt, 0 for one that succeeded.
pub(crate) fn play(scene: Scene<'_>) -> Option<i32> {
    match scene {
        Scene::Worker { args, directories } => {
            let [_, plays, name, field] = args else { return None };
            let directory = |writable| directories.iter().find(|(_, may_write)| *may_write == writable).map(|(path, _)| path.into());
            (plays == PLAYS).then(|| {
                let mut field = Field::read(field);
                field.input = directory(false).unwrap_or(field.input);
                field.output = directory(true).unwrap_or(field.output);
                attempt(name, &field)
            })
        }
        Scene::Compiler { module } => {
            let text = std::str::from_utf8(module).ok()?.strip_prefix(PLAYS)?;
            let (name, field) = text.split_once('\n')?;
            Some(attempt(name, &Field { own_files: 1, ..Field::read(field) }))
        }
    }
}

/// Plays without any wall and ends, in a process that was started for it; does nothing in others.
pub(crate) fn play_in_the_open() {
    let args: Vec<_> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [PLAYS, name, field] => std::process::exit(attempt(name, &Field::read(field))),
        [field::VICTIM] => field::suffer(),
        [field::NOTHING_TO_DO] => std::process::exit(0),
        _ => {}
    }
}

fn attempt(name: &str, field: &Field) -> i32 {
    let row = ROWS.iter().find(|row| row.name == name).expect("a row of this name");
    (row.attempt)(field).err().unwrap_or(0)
}

/// What came of an attempt, in the words of the table.
fn told(code: Option<i32>) -> String {
    match code {
        Some(0) => "it succeeded".to_owned(),
        Some(number) => std::io::Error::from_raw_os_error(number).to_string(),
        None => "killed".to_owned(),
    }
}

/// `None`: the worker was killed for trying.
async fn in_a_worker(runner: &Runner, place: &Place, row: &Row, field: &Field) -> Option<i32> {
    let args = [PLAYS, row.name, &field.write()];
    let task = place.task_of("plays", json!({"module": {}, "args": args, "inputs": [{"name": "input"}]}));
    let module = place.path("nothing.wasm");
    std::fs::write(&module, wat::parse_str(NOTHING).unwrap()).unwrap();
    let local = LocalSources { module: Some(module), inputs: [("input".to_owned(), field.input.clone())].into() };
    let outcome = runner.run(Task { local, ..task }).await.outcome;
    if outcome.reason == Reason::WorkerKilled && outcome.message.contains("killed for a system call") {
        return None;
    }
    assert!(matches!(outcome.reason, Reason::Completed | Reason::GuestExit), "{}: {outcome:?}", row.name);
    outcome.exit_code
}

async fn in_a_compiler(runner: &Runner, place: &Place, row: &Row, field: &Field) -> Option<i32> {
    let module = place.path("plays.wasm");
    std::fs::write(&module, format!("{PLAYS}{}\n{}", row.name, field.write())).unwrap();
    let local = LocalSources { module: Some(module), ..LocalSources::default() };
    let Outcome { reason, message, .. } = runner.run(Task { local, ..place.task_of("plays", json!({"module": {}})) }).await.outcome;
    if reason == Reason::CompileLimit && message.contains("killed for a system call") {
        return None;
    }
    let code = message.strip_prefix("played: ").and_then(|code| code.parse().ok());
    assert!(code.is_some(), "{}: {reason}: {message}", row.name);
    code
}

/// As the same user, with the same files and a process to harm, and no wall.
fn in_the_open(row: &Row, field: &Field) -> Option<i32> {
    use std::os::unix::process::CommandExt as _;
    // One that every wall would have closed.
    let leaked = std::fs::OpenOptions::new().append(true).open(&field.secret).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let status = Command::new("/proc/self/exe").arg0(PLAYS).args([row.name, &field.write()]).stdin(std::process::Stdio::null()).status();
    status.unwrap().code()
}

#[test]
fn whatever_an_escaped_guest_or_compiler_tries_is_refused() {
    alone("escape::whatever_an_escaped_guest_or_compiler_tries_is_refused", async {
        let place = Place::new();
        let runner = Arc::new(place.runner(2, None));
        let (mut wrong, mut worker, mut compiler, mut open) = (Vec::new(), (0, 0), (0, 0), (0, 0));
        println!("{:<62} {:<36} {:<36} without walls", "attempt", "worker", "compiler");
        for row in ROWS {
            let victim = Victim::start();
            let field = Field::lay_out(&place, &victim);
            let walled = in_a_worker(&runner, &place, row, &field).await;
            row.worker.judge("worker", row, walled, &mut worker, &mut wrong);
            let field = Field::lay_out(&place, &victim);
            let taken_over = in_a_compiler(&runner, &place, row, &field).await;
            row.compiler.judge("compiler", row, taken_over, &mut compiler, &mut wrong);
            assert!(!is_gone(victim.id()) && field.is_unharmed(), "{}: something was reached", row.name);

            let field = Field::lay_out(&place, &victim);
            let bare = row.can_succeed().then(|| in_the_open(row, &field));
            open = (open.0 + usize::from(bare == Some(Some(0))), open.1 + 1);
            if bare.is_some_and(|bare| bare != Some(0)) {
                wrong.push(format!("{}: without walls: {}", row.name, told(bare.flatten())));
            }
            let bare = bare.map_or("needs root".to_owned(), told);
            println!("{:<62} {:<36} {:<36} {bare}", row.name, told(walled), told(taken_over));
        }
        println!("refused to a worker: {}/{}, to a compiler: {}/{}", worker.0, worker.1, compiler.0, compiler.1);
        println!("succeeds without walls: {}/{}", open.0, open.1);
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

impl Refusal {
    /// Counts the row, and tells what is not as it should be.
    fn judge(self, whose: &str, row: &Row, came: Option<i32>, count: &mut (usize, usize), wrong: &mut Vec<String>) {
        let expected = match self {
            Self::Error(number) => Some(number),
            Self::Killed => None,
            Self::Open(why) => {
                assert_eq!(came, Some(0), "{} is not open to the {whose}, although {why}", row.name);
                return;
            }
        };
        count.1 += 1;
        if came == expected {
            count.0 += 1;
        } else {
            wrong.push(format!("{}: {whose}: {} instead of {}", row.name, told(came), told(expected)));
        }
    }
}
