//! The journal's file: opened with its torn end cut off, appended to in groups, written anew when most of it is of no use any more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Index, Line, Place, Snapshot};
use super::record::{MOST_BYTES, Record};

/// An open journal, at its end.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: Arc<File>,
    /// Bytes that hold whole records.
    length: u64,
}

/// What an existing file held.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) index: Index,
    /// Nothing but a torn end was dropped: what is not in it was not started.
    pub(super) complete: bool,
}

/// A file is not written anew before it has so many useless bytes.
const USELESS_BYTES: u64 = 4 << 20;

// === impl JournalFile ===

impl JournalFile {
    /// `None`: there is none.
    pub(super) fn open(path: &Path) -> io::Result<Option<(Self, Scan)>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (scan, length) = scan(&file)?;
        file.set_len(length)?;
        (&*file).seek(SeekFrom::Start(length))?;
        Ok(Some((Self { path: path.to_owned(), file, length }, scan)))
    }

    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        sync_directory(path)?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), length: 0 })
    }

    /// Appends the records at once and says where each is. Where that fails, the file is as it was.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> io::Result<Vec<Line>> {
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        for record in records {
            let line = record.line();
            lines.push(Line { file: Arc::clone(&self.file), offset: self.length + bytes.len() as u64, length: line.len() });
            bytes.extend(line);
        }
        if let Err(error) = (&*self.file).write_all(&bytes) {
            // Half a record in the middle would hide everything after it.
            self.file.set_len(self.length)?;
            (&*self.file).seek(SeekFrom::Start(self.length))?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(lines)
    }

    pub(super) fn wants_compaction(&self, index: &Index) -> bool {
        self.length > USELESS_BYTES && self.length > 2 * index.live_bytes() + USELESS_BYTES
    }

    /// A new file in the place of this one, with what counts, and where each ending is in it.
    pub(super) fn compacted(&self, counts: &Snapshot) -> io::Result<(Self, Vec<Line>)> {
        let temporary = self.path.with_extension("new");
        let Self { file, .. } = Self::create(&temporary)?;
        let mut writer = BufWriter::new(&*file);
        let (mut length, mut moved) = (0, Vec::with_capacity(counts.ended.len()));
        for fence in &counts.started {
            let line = Record { fence: fence.to_string(), id: String::new(), report: None }.line();
            writer.write_all(&line)?;
            length += line.len() as u64;
        }
        for (_, line) in &counts.ended {
            let bytes = line.bytes()?;
            writer.write_all(&bytes)?;
            moved.push(Line { file: Arc::clone(&file), offset: length, length: bytes.len() });
            length += bytes.len() as u64;
        }
        writer.flush()?;
        drop(writer);
        file.sync_data()?;
        fs::rename(&temporary, &self.path)?;
        sync_directory(&self.path)?;
        Ok((Self { path: self.path.clone(), file, length }, moved))
    }
}

/// Everything up to the first record that is not whole, and how many bytes that is. Where whole records follow, some are lost.
fn scan(file: &Arc<File>) -> io::Result<(Scan, u64)> {
    let mut reader = BufReader::new(&**file);
    let (mut index, mut length, mut torn, mut complete) = (Index::default(), 0, false, true);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(MOST_BYTES as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok((Scan { index, complete }, length));
        }
        let record = Record::of_line(&line);
        torn |= record.is_none();
        match record {
            // Of what follows a record that is lost, nothing is believed to be all.
            Some(_) if torn => complete = false,
            None => {}
            Some(record) => {
                let place = Line { file: Arc::clone(file), offset: length, length: read };
                match &record.report {
                    None => index.started(&record.fence),
                    Some(_) => index.ended(&record.fence, Place::Line(place)),
                }
                length += read as u64;
            }
        }
    }
}

/// Makes the name durable too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
