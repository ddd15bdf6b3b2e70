//! What is published beside an output's files: all that the guest printed, and how it exited.
//!
//! Files in a directory of the attempt's own, so that they are read and uploaded as the guest's are. Publishes nothing.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crds::reason::Reason;
use crds::report::StreamReport;
use tempfile::TempDir;

use super::manifest::{Manifest, ManifestFile};
use super::{OutputLimits, collect, open, private};
use crate::failure::Failure;

/// Names of the files. They begin nothing and end nothing, so that whoever looks for them finds them in every job's results.
pub(crate) const STDOUT: &str = "stdout";
pub(crate) const STDERR: &str = "stderr";
pub(crate) const EXIT_CODE: &str = "exitCode";

/// No more files are ever beside an output.
const LIMITS: OutputLimits = OutputLimits { bytes: u64::MAX, entries: 3 };

/// The files while they are made.
#[derive(Debug)]
pub(crate) struct Beside {
    directory: TempDir,
}

/// The files once the guest has ended.
#[derive(Clone, Debug)]
pub struct BesideFiles {
    pub(crate) directory: Arc<OwnedFd>,
    pub(crate) files: Vec<ManifestFile>,
}

// === impl Beside ===

impl Beside {
    /// Makes the directory in `work`, and in it an empty file for each stream.
    pub(crate) fn open(work: &Path) -> Result<(Self, [File; 2]), Failure> {
        let directory = private(work).map_err(|error| unkept("make a place for stdout and stderr", &error))?;
        let spool = |name| File::create_new(directory.path().join(name)).map_err(|error| unkept("keep stdout and stderr", &error));
        let spools = [spool(STDOUT)?, spool(STDERR)?];
        Ok((Self { directory }, spools))
    }

    /// Adds the exit code to them. `stream_bytes` is what of each stream was to be kept.
    ///
    /// # Errors
    /// `PublishFailed`: what is there is less than what the guest printed.
    pub(crate) async fn collected(&self, streams: [&StreamReport; 2], stream_bytes: u64, exit_code: i32) -> Result<BesideFiles, Failure> {
        for (name, stream) in [STDOUT, STDERR].into_iter().zip(streams) {
            let kept = fs::metadata(self.directory.path().join(name)).map_err(|error| unkept("read what the guest printed", &error))?.len();
            if kept < stream.bytes.min(stream_bytes) {
                let message = format!("{name}: only {kept} bytes of it could be kept for publishing: is this machine's disk full?");
                return Err(Failure::new(Reason::PublishFailed, message));
            }
        }
        fs::write(self.directory.path().join(EXIT_CODE), exit_code.to_string()).map_err(|error| unkept("keep the exit code", &error))?;
        let Manifest { files, .. } = collect(open(self.directory.path())?, LIMITS).await?;
        Ok(BesideFiles { directory: Arc::new(open(self.directory.path())?), files })
    }
}

fn unkept(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Reason::PublishFailed, format!("failed to {what}: {error}"))
}
