//! What the kernel says of processes: who is below whom, who lives, who is at work. Stops nobody.

use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough for one who works to have used a tick of the processor.
const LOOK: Duration = Duration::from_millis(300);

/// Processor time, in ticks, of everything that this process started, and that those started, by process.
pub(crate) fn below(process: u32) -> BTreeMap<u32, u64> {
    let processes: Vec<(u32, Stat)> = std::fs::read_dir("/proc").expect("it is mounted").flatten().filter_map(numbered).collect();
    let (mut parents, mut found) = (vec![process], BTreeMap::new());
    while let Some(parent) = parents.pop() {
        for (id, stat) in processes.iter().filter(|(_, stat)| stat.parent == parent) {
            parents.push(*id);
            found.insert(*id, stat.ticks);
        }
    }
    found
}

/// Whether any process below this one uses a processor now.
pub(crate) async fn is_busy(process: u32) -> bool {
    busiest(process).await.is_some()
}

/// The process below this one that uses a processor most now; `None`: none does.
pub(crate) async fn busiest(process: u32) -> Option<u32> {
    let before = below(process);
    tokio::time::sleep(LOOK).await;
    let used = below(process).into_iter().map(|(id, ticks)| (ticks.saturating_sub(before.get(&id).copied().unwrap_or(0)), id));
    used.max().filter(|(ticks, _)| *ticks > 0).map(|(_, id)| id)
}

/// Whether it runs: one that has ended and waits to be reaped does not.
pub(crate) fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

struct Stat {
    state: char,
    parent: u32,
    ticks: u64,
}

fn numbered(entry: std::fs::DirEntry) -> Option<(u32, Stat)> {
    let id = entry.file_name().to_str()?.parse().ok()?;
    Some((id, stat(id)?))
}

fn stat(process: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |position: usize| fields.get(position)?.parse::<u64>().ok();
    Some(Stat { state: fields.first()?.chars().next()?, parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}
