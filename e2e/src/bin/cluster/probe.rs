//! What a kubelet does beside starting a pod's program: asks it whether it is ready, and writes into the pod's status what Services go by.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::Cluster;
use e2e::cluster::{BoundPod, Observed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a probe may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// One pod's program, and what was last said of it.
pub(crate) struct Probe {
    place: SocketAddr,
    said: Option<Observed>,
}

impl Probe {
    pub(crate) fn new(place: SocketAddr) -> Self {
        Self { place, said: None }
    }

    /// Whether the pod is said to be ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.said.is_some_and(|said| said.ready)
    }

    /// Asks, and writes what has changed.
    pub(crate) async fn look(&mut self, cluster: &Cluster, pod: &BoundPod, restarts: u32) -> anyhow::Result<()> {
        let address = Some(self.place.ip()).filter(|address| !address.is_loopback());
        let observed = Observed { address, ready: is_ready(self.place).await, restarts };
        if self.said != Some(observed) {
            cluster.say(pod, observed).await?;
            self.said = Some(observed);
        }
        Ok(())
    }
}

async fn is_ready(place: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(place).await?;
        stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut start = [0; b"HTTP/1.1 200".len()];
        stream.read_exact(&mut start).await?;
        io::Result::Ok(start.ends_with(b" 200"))
    };
    matches!(tokio::time::timeout(ANSWER_WITHIN, asked).await, Ok(Ok(true)))
}
