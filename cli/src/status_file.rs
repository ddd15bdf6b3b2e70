//! The status that a cluster would have written, to a file or stdout.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crds::status::WasmJobStatus;

#[cfg(test)]
mod tests;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to write the status to {path:?}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// YAML, or JSON where the file's name ends in `.json`; `-` is stdout. A reader never sees half of it.
pub(crate) fn write(path: &Path, status: &WasmJobStatus) -> Result<(), Error> {
    let text = text(path, status);
    let write = || -> io::Result<()> {
        if path == Path::new("-") {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            return stdout.flush();
        }
        // Devices and pipes (`/dev/stderr`, `>(…)`) are written to, files are replaced.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Temporary files are private by default; this one gets what the user's umask leaves.
        let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    match write() {
        Err(error) if path == Path::new("-") && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Error::Write { path: path.to_owned(), source }),
    }
}

fn text(path: &Path, status: &WasmJobStatus) -> String {
    const NO_SURPRISES: &str = "a status is maps, lists, strings and numbers";
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        serde_json::to_string_pretty(status).expect(NO_SURPRISES) + "\n"
    } else {
        crds::yaml::write(status).expect(NO_SURPRISES)
    }
}
