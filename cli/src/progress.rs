//! Stage and bytes of a run, on stderr, while the guest is not running. Shown to terminals only.
//!
//! Where the guest's output goes to the same terminal, it passes through here, so that the line is gone before the guest's first byte.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner::task::{Observer, Sink, Stage};

/// Nothing is drawn for what is over sooner.
const QUIET_START: Duration = Duration::from_millis(300);
const REFRESH: Duration = Duration::from_millis(100);

/// The line on the terminal.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    bar: ProgressBar,
    /// The guest left the cursor in the middle of a line: drawing would overwrite it.
    mid_line: Arc<AtomicBool>,
}

/// The guest's two streams, and the threads that carry them where a line stands in their way.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    pub(crate) carriers: Vec<JoinHandle<()>>,
}

impl Line {
    /// A line where stderr is a terminal and nobody asked for quiet.
    pub(crate) fn wanted(quiet: bool) -> Option<Self> {
        if quiet || !io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is a constant");
        Some(Self { bar: bar.with_style(style), mid_line: Arc::default() })
    }

    /// Draws until dropped; never ends by itself. A stage is drawn until the guest writes; then only the next one is.
    pub(crate) async fn follow(&self, observer: Arc<Observer>) {
        let mut drawn = Stage::Waiting;
        tokio::time::sleep(QUIET_START).await;
        loop {
            let stage = observer.stage();
            match text(stage, &observer).filter(|_| !self.mid_line.load(Ordering::Acquire)) {
                Some(text) if stage != drawn => {
                    self.bar.reset();
                    self.bar.set_message(text);
                    drawn = stage;
                }
                Some(text) if !self.bar.is_finished() => {
                    self.bar.set_message(text);
                    self.bar.tick();
                }
                Some(_) => {}
                None => self.clear(),
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// This process's stdout and stderr for the guest, by way of a thread where `line` shares a terminal with them.
pub(crate) fn streams(line: Option<&Line>) -> io::Result<Streams> {
    let mut carriers = Vec::new();
    let stdout = sink(&io::stdout(), io::stdout().is_terminal(), line, &mut carriers)?;
    let stderr = sink(&io::stderr(), io::stderr().is_terminal(), line, &mut carriers)?;
    Ok(Streams { stdout, stderr, carriers })
}

fn sink(stream: &impl AsFd, is_terminal: bool, line: Option<&Line>, carriers: &mut Vec<JoinHandle<()>>) -> io::Result<Sink> {
    let target = File::from(stream.as_fd().try_clone_to_owned()?);
    let Some(line) = line.filter(|_| is_terminal).cloned() else { return Ok(Sink::File(target)) };
    let (from_guest, to_us) = io::pipe()?;
    carriers.push(std::thread::spawn(move || carry(from_guest, target, &line)));
    Ok(Sink::File(File::from(OwnedFd::from(to_us))))
}

fn carry(mut from: io::PipeReader, mut to: File, line: &Line) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length) = from.read(&mut buffer)
        && length > 0
    {
        line.clear();
        line.mid_line.store(buffer[length - 1] != b'\n', Ordering::Release);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
}

/// What the line says at this stage; nothing while the guest runs, whose terminal it then is.
fn text(stage: Stage, observer: &Observer) -> Option<String> {
    let fetched = observer.progress.fetched_bytes.load(Ordering::Relaxed);
    let total = observer.progress.total_bytes.load(Ordering::Relaxed);
    match stage {
        Stage::Fetching if total > 0 => Some(format!("fetching {} of {}", BinaryBytes(fetched), BinaryBytes(total))),
        Stage::Fetching if fetched > 0 => Some(format!("fetching {}", BinaryBytes(fetched))),
        Stage::Fetching => Some("fetching".to_owned()),
        Stage::Preparing => Some("preparing".to_owned()),
        Stage::Publishing => Some("publishing".to_owned()),
        Stage::Waiting | Stage::Running | Stage::Ended => None,
    }
}
