//! SIGTERM: the node gives its work back. Tells whoever asks; ends nothing itself.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

/// Whether the agent was told to stop. Clones are told too.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

// === impl Stop ===

impl Stop {
    /// Listens for SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// Signals cannot be listened for.
    pub(crate) fn listen() -> io::Result<Self> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            info!("told to stop: giving the work back");
            // Nobody listens any more when the agent has ended.
            let _ = sender.send(true);
            std::future::pending::<()>().await;
        });
        Ok(Self(receiver))
    }

    /// Returns when the agent was told to stop.
    pub(crate) async fn told(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
