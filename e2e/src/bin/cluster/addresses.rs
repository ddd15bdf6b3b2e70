//! Addresses for what stands for pods: Services reach pods at addresses that are not of loopback. A kubelet's network plugin would give each
//! pod one of its own, and so does a network of ours on the loopback device, where this process may add it; else all share the machine's.
//!
//! Listens nowhere; that something does is the caller's.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use e2e::cluster::PORT_NAME;

/// Where a pod with an address of its own listens, unless somebody listens there at all addresses.
const PORT: u16 = 18_080;

/// So that whoever lists the machine's addresses sees whose it is.
const LABEL: &str = "lo:wasmjob";

/// Networks are chosen at random; another cluster may have that one.
const TRIES: usize = 5;

/// Where pods are.
pub(crate) enum Addresses {
    /// Each has its own, in this network.
    Own(Network),
    /// All are at the machine's address, at a port each.
    Shared { address: IpAddr, why: String },
    /// At loopback, where no Service reaches them.
    Loopback { why: String },
}

/// A network on the loopback device, there as long as this value, and written down in a file so that it does not outlive a killed process
/// for long.
pub(crate) struct Network {
    first: Ipv4Addr,
    file: PathBuf,
}

// === impl Addresses ===

impl Addresses {
    /// The best that this process may have. A network of its own is written down in `file`.
    pub(crate) fn take(file: &Path) -> Self {
        let why = match Network::add(file) {
            Ok(network) => return Self::Own(network),
            Err(error) => format!("{error:#}"),
        };
        match of_this_machine() {
            Some(address) => Self::Shared { address, why },
            None => Self::Loopback { why },
        }
    }

    /// That many different places where nobody listens now.
    pub(crate) fn places(&self, count: u8) -> anyhow::Result<Vec<SocketAddr>> {
        // All are held until all are found.
        let held = (0..count).map(|number| self.listen(number)).collect::<io::Result<Vec<_>>>();
        let places = held.and_then(|held| held.iter().map(TcpListener::local_addr).collect());
        places.context("failed to find places for pods to listen at")
    }

    fn listen(&self, number: u8) -> io::Result<TcpListener> {
        match self {
            Self::Own(network) => {
                let address = network.address(number);
                TcpListener::bind((address, PORT)).or_else(|_| TcpListener::bind((address, 0)))
            }
            Self::Shared { address, .. } => TcpListener::bind((*address, 0)),
            Self::Loopback { .. } => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    /// What a Service must know.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Own(network) => format!(
                "services: pods have addresses of their own on lo, {} and following; `targetPort: {PORT_NAME}` reaches /livez, /readyz and /metrics",
                network.first
            ),
            Self::Shared { address, why } => format!(
                "services: pods share this machine's address {address}, where others reach them too, with a port each: `targetPort: {PORT_NAME}` \
                 reaches /livez, /readyz and /metrics, a number does not (no addresses of their own: {why})"
            ),
            Self::Loopback { why } => format!(
                "services: none reaches the pods, since this machine has no address but loopback's; run it as root for addresses of their own ({why})"
            ),
        }
    }
}

// === impl Network ===

impl Network {
    fn add(file: &Path) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let first = random()?;
            fs::write(file, first.to_string()).with_context(|| format!("failed to write {}", file.display()))?;
            match ip("add", first) {
                Ok(()) => return Ok(Self { first, file: file.to_owned() }),
                Err(error) => last = Some(error),
            }
        }
        fs::remove_file(file).with_context(|| format!("failed to remove {}", file.display()))?;
        Err(last.context("it was tried at least once")?)
    }

    fn address(&self, number: u8) -> Ipv4Addr {
        let [one, two, three, first] = self.first.octets();
        Ipv4Addr::new(one, two, three, first.saturating_add(number))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = give_back(&self.file) {
            eprintln!("{error:#}");
        }
    }
}

/// Takes away the network that the file names, of a process that was killed perhaps. None, if there is no file.
pub(crate) fn give_back(file: &Path) -> anyhow::Result<()> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("failed to read {}", file.display()))?,
    };
    let taken = text.trim().parse().map_or(Ok(()), |first| ip("delete", first));
    // After the machine was started anew it is not there. What cannot be taken away now will not be at another time.
    if let Err(error) = taken {
        eprintln!("{error:#}");
    }
    fs::remove_file(file).with_context(|| format!("failed to remove {}", file.display()))
}

/// The first address of one of the networks between 198.18.0.0 and 198.19.255.255, which are for benchmarks (RFC 2544): no other machine has
/// them.
fn random() -> anyhow::Result<Ipv4Addr> {
    let mut random = [0; 2];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).context("no random numbers")?;
    Ok(Ipv4Addr::new(198, 18 + random[0] % 2, random[1], 1))
}

/// On the loopback device all addresses of a network are this machine's.
fn ip(verb: &str, first: Ipv4Addr) -> anyhow::Result<()> {
    let network = format!("{first}/24");
    let arguments = ["address", verb, &network, "dev", "lo", "label", LABEL];
    let output = Command::new("ip").args(arguments).output().context("failed to start ip")?;
    if !output.status.success() {
        bail!("ip address {verb} {network} dev lo: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The address by which this machine would speak to others, if it has one.
fn of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Of a network for documentation (RFC 5737). Nothing is sent.
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests;
