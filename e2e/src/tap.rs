//! A tap on the way to a server of any protocol: bytes pass both ways as they are, until some that a test named come by. Those are held
//! on their way, or their answer is, and everything behind them on that connection. Knows no protocol, kills nobody.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A running tap. Dropping it closes its port.
pub struct Tap {
    address: SocketAddr,
    rule: Arc<Mutex<Option<Rule>>>,
    serving: JoinHandle<()>,
}

/// Where bytes are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Before the server sees them.
    Before,
    /// When the server has answered to them.
    After,
}

#[derive(Clone)]
struct Rule {
    /// In one piece, as requests' heads are.
    bytes: Vec<u8>,
    stop: Stop,
    told: mpsc::UnboundedSender<()>,
}

impl Tap {
    /// Starts on a free loopback port. It belongs to the runtime that it is made in.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let rule = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&rule);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, rule, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first connection on which these bytes come by stops there, and this hears of it. Earlier rules are over.
    pub fn stop_at(&self, bytes: &str, stop: Stop) -> mpsc::UnboundedReceiver<()> {
        let (told, stopped) = mpsc::unbounded_channel();
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = Some(Rule { bytes: bytes.as_bytes().to_vec(), stop, told });
        stopped
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One connection, until either side leaves.
async fn pass(client: TcpStream, server: SocketAddr, rule: Arc<Mutex<Option<Rule>>>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (silence, silent) = watch::channel(None);
    // Whichever direction ends first, the other has nobody to talk to; ends are how connections end, not failures.
    tokio::select! {
        _ = requests(from_client, to_server, &rule, &silence) => {}
        _ = answers(from_server, to_client, silent) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rule: &Mutex<Option<Rule>>,
    silence: &watch::Sender<Option<mpsc::UnboundedSender<()>>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let taken = rule.lock().unwrap_or_else(PoisonError::into_inner).take_if(|rule| contains(&buffer[..read], &rule.bytes));
        match taken {
            Some(Rule { stop: Stop::Before, told, .. }) => {
                let _ = told.send(());
                // Whoever sent them must believe that they are on their way.
                while from.read(&mut buffer).await? > 0 {}
                return Ok(());
            }
            Some(Rule { stop: Stop::After, told, .. }) => {
                silence.send_replace(Some(told));
            }
            None => {}
        }
        to.write_all(&buffer[..read]).await?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    silent: watch::Receiver<Option<mpsc::UnboundedSender<()>>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let told = silent.borrow().clone();
        match told {
            Some(told) => {
                let _ = told.send(());
            }
            None => to.write_all(&buffer[..read]).await?,
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
