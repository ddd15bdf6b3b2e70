//! Bytes that the spec itself carries, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crds::reason::Reason;

use super::body::Intake;
use super::{Fetched, Progress, Want};
use crate::failure::Failure;
use crate::store::Store;

pub(crate) async fn fetch(store: &Store, base64: &str, want: Want<'_>, progress: &Progress) -> Result<Fetched, Failure> {
    const WHAT: &str = "inline";
    // Kubernetes writes base64 in one line; people paste it wrapped.
    let text: String = base64.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|e| Failure::new(Reason::InvalidSpec, format!("inline: not base64: {e}")))?;
    let mut intake = Intake::new(store, want.max_bytes, progress);
    intake.push(Bytes::from(bytes), WHAT).await?;
    Ok(Fetched { blob: intake.finish(want.expected, WHAT).await?, name: None })
}
