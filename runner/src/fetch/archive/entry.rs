//! One entry of a tar archive: what it is, what it is called, and whether both may be believed.

use std::io::Read;

use tar::{Entry, EntryType};

use super::Refusal;
use crate::fetch::path::safe_path;

/// A relative, safe path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named(pub(super) String);

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It says something about others that changes nothing, or stands for the archive's own root.
    Nothing,
    Directory(Named),
    File(Named),
}

/// Judges the entry by its header and extensions; reads none of a file's contents.
pub(super) fn judge<R: Read>(entry: &mut Entry<'_, R>) -> Result<Kind, Refusal> {
    let raw = entry.path_bytes().into_owned();
    let shown: String = String::from_utf8_lossy(&raw).chars().take(200).collect();
    let refuse = |why: &str| Refusal::Entry { path: shown.clone(), why: why.to_owned() };
    let size = honest_size(entry).ok_or_else(|| Refusal::Damaged(format!("the size of {shown:?} is no size")))?;
    extensions(entry, &raw, size, &refuse)?;
    let kind = entry.header().entry_type();
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => {}
        EntryType::XGlobalHeader => return Ok(Kind::Nothing),
        EntryType::Symlink | EntryType::Link => {
            return Err(refuse("is a link, and links are not unpacked: archive what they lead to (tar --dereference --hard-dereference)"));
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(refuse("is a device or pipe")),
        EntryType::GNUSparse => return Err(refuse("is a sparse file: archive it without tar --sparse")),
        _ => return Err(refuse("is neither a file nor a directory")),
    }
    let text = std::str::from_utf8(&raw).map_err(|_| refuse("has a name that is no UTF-8"))?;
    // Before there was a type for them, directories were told by their last character.
    let (text, is_directory) = match text.strip_suffix('/') {
        Some(text) => (text, true),
        None => (text, kind == EntryType::Directory),
    };
    if is_directory && size > 0 {
        return Err(Refusal::Damaged(format!("the directory {shown:?} has contents")));
    }
    // `tar -C FOLDER .` calls everything so.
    let path = text.strip_prefix("./").unwrap_or(text);
    if is_directory && matches!(path, "." | "") && text.starts_with('.') {
        return Ok(Kind::Nothing);
    }
    safe_path(path).map_err(|why| refuse(&format!("cannot be a file name: {why}")))?;
    let named = Named(path.to_owned());
    Ok(if is_directory { Kind::Directory(named) } else { Kind::File(named) })
}

/// The size in the header, where it is one: octal, or a binary number that is not negative and below 2^63.
fn honest_size<R: Read>(entry: &Entry<'_, R>) -> Option<u64> {
    let field = &entry.header().as_bytes()[124..136];
    if field[0] & 0x80 != 0 && (field[0] != 0x80 || field[1..5] != [0; 4] || field[4] & 0x80 != 0) {
        return None;
    }
    let size = entry.header().entry_size().ok()?;
    i64::try_from(size).is_ok().then_some(size)
}

/// Refuses extensions that say of the entry something else than its header does, or that only some readers understand.
fn extensions<R: Read>(entry: &mut Entry<'_, R>, path: &[u8], size: u64, refuse: &impl Fn(&str) -> Refusal) -> Result<(), Refusal> {
    let is_global = entry.header().entry_type() == EntryType::XGlobalHeader;
    let damaged = |error: std::io::Error| super::refusal_of(&error);
    let Some(extensions) = entry.pax_extensions().map_err(damaged)? else { return Ok(()) };
    for extension in extensions {
        let extension = extension.map_err(damaged)?;
        let value = extension.value_bytes();
        match extension.key_bytes() {
            b"size" if is_global || value != size.to_string().as_bytes() => {
                return Err(Refusal::Damaged("an extension gives an entry another size than its header does".to_owned()));
            }
            b"path" if is_global || value != path => {
                return Err(Refusal::Damaged("an extension gives an entry a second name".to_owned()));
            }
            b"hdrcharset" => return Err(refuse("has a name in another character set")),
            key if key.starts_with(b"GNU.sparse") => return Err(refuse("is a sparse file: archive it without tar --sparse")),
            _ => {}
        }
    }
    Ok(())
}
