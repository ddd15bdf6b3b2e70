//! Keeps the digests in `manifests/samples/` true. A sample names a file of `examples/` by the URL under which its own comment
//! serves it, or, before an inline module, by a comment with its path; the `digest` that follows is that file's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::stamp;

const SERVED: &str = "url: http://127.0.0.1:8080/";
const CARRIED: &str = "# examples/";

/// Writes the digests anew.
pub(super) fn update(samples: &Path, examples: &Path) -> anyhow::Result<()> {
    for (path, text) in texts(samples)? {
        fs::write(&path, pinned(&text, examples)?).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// The samples whose digests are not those of the files, one line each.
pub(super) fn differing(samples: &Path, examples: &Path) -> anyhow::Result<Vec<String>> {
    let mut differing = Vec::new();
    for (path, text) in texts(samples)? {
        let wrong = match pinned(&text, examples) {
            Ok(pinned) if pinned == text => continue,
            Ok(_) => "a digest is not that of the file in examples/".to_owned(),
            Err(error) => error.to_string(),
        };
        differing.push(format!("manifests/samples/{}: {wrong}", path.file_name().unwrap_or_default().display()));
    }
    Ok(differing)
}

fn texts(samples: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let context = || format!("failed to read {}", samples.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(samples).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            texts.push((path, text));
        }
    }
    texts.sort();
    Ok(texts)
}

/// The text with the digests, and the inline modules, of the files that it names.
fn pinned(text: &str, examples: &Path) -> anyhow::Result<String> {
    let mut pinned = Vec::new();
    let mut served = None;
    let mut carried = None;
    for line in text.lines() {
        let content = line.trim_start();
        let indent = &line[..line.len() - content.len()];
        if let Some(path) = content.strip_prefix(SERVED) {
            served = Some(path);
        } else if let Some(path) = content.strip_prefix(CARRIED) {
            carried = Some(path);
        }
        let file = served.or(carried).map(|path| examples.join(path));
        match file {
            Some(file) if content.starts_with("digest: ") => {
                pinned.push(format!("{indent}digest: sha256:{}\n", stamp::digest(&file)?));
                (served, carried) = (None, None);
            }
            Some(file) if carried.is_some() && content.starts_with("inline: ") => {
                let module = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
                pinned.push(format!("{indent}inline: {}\n", BASE64_STANDARD.encode(module)));
            }
            _ => pinned.push(format!("{line}\n")),
        }
    }
    Ok(pinned.concat())
}

#[cfg(test)]
mod tests;
