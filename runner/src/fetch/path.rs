//! Names that strangers chose, before they become file names: which are safe, and what a server's name for a file is.

/// Longest path of a file in an input or output, in bytes.
const PATH_BYTES: usize = 4096;
/// Longest name of one file or directory, in bytes.
const SEGMENT_BYTES: usize = 255;

/// Why a text may not become a path below a directory of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafePath {
    #[error("it is empty, begins or ends with a slash, or has two in a row")]
    EmptySegment,
    #[error("it has a segment . or ..")]
    DotSegment,
    #[error("it has a control character")]
    ControlCharacter,
    #[error("it has a backslash, which is a separator elsewhere")]
    Backslash,
    #[error("one of its segments is longer than 255 bytes")]
    LongSegment,
    #[error("it is longer than 4096 bytes")]
    Long,
}

/// The text itself, if it is a relative `/`-separated path that stays below where it starts and that every tool can print.
pub fn safe_path(text: &str) -> Result<&str, UnsafePath> {
    if text.len() > PATH_BYTES {
        return Err(UnsafePath::Long);
    }
    if text.chars().any(char::is_control) {
        return Err(UnsafePath::ControlCharacter);
    }
    if text.contains('\\') {
        return Err(UnsafePath::Backslash);
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err(UnsafePath::EmptySegment),
            "." | ".." => return Err(UnsafePath::DotSegment),
            long if long.len() > SEGMENT_BYTES => return Err(UnsafePath::LongSegment),
            _ => {}
        }
    }
    Ok(text)
}

/// The last segment of what somebody calls a file, if it is a safe name: directories in it, theirs or another system's, do not count.
pub(crate) fn file_name(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next()?.trim();
    safe_path(last).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
