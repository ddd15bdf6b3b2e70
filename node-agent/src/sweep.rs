//! What dead processes left in a folder of ours. A directory's name begins with its process's number, as the runner's do.

use std::path::Path;

/// Removes the directories whose processes are no more.
pub(crate) fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let owner = entry.file_name().to_str().and_then(|name| name.split('-').next()?.parse::<u32>().ok());
        let is_dead = owner.is_none_or(|owner| owner == std::process::id() || !Path::new("/proc").join(owner.to_string()).exists());
        if is_dead {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
