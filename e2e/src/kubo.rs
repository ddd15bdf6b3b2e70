//! kubo, an IPFS node: a repository of its own, offline (no peers, no bootstrap, no provider records), gateway and RPC on
//! loopback ports that the kernel chose.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::components::Component;
use crate::process::Process;

const COMPONENT: Component = Component { name: "kubo", module: "github.com/ipfs/kubo", go_mod: include_str!("../components/kubo/go.mod") };

/// A running kubo.
pub struct Kubo {
    process: Process,
    gateway: String,
    rpc: String,
    // Dropped after the process that writes to it.
    folder: TempDir,
}

/// How a file or folder is cut into blocks and named. The default is what `ipfs add` does: CIDv0, dag-pb leaves, 256 KiB chunks.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// CIDv1 instead of v0; leaves are raw unless said otherwise.
    pub cid_v1: bool,
    /// Leaves as raw blocks; kubo's choice if `None`.
    pub raw_leaves: Option<bool>,
    /// Bytes per leaf.
    pub chunk: Option<u32>,
    /// Most links of one file node, so that small files become deep trees.
    pub max_file_links: Option<u32>,
    /// Folders of more entries than this become HAMT shards of fanout 16.
    pub shard_above: Option<u32>,
    /// The leaves in trickle form, for streams.
    pub trickle: bool,
    /// Name of the multihash, such as `blake3`; sha2-256 if `None`.
    pub hash: Option<&'static str>,
}

impl Kubo {
    /// Makes a repository, starts the node and waits until gateway and RPC answer.
    pub fn start() -> anyhow::Result<Self> {
        let program = COMPONENT.program()?;
        let folder = tempfile::tempdir().context("failed to create a folder")?;
        let repository = folder.path().join("repository");
        let ipfs = || {
            let mut command = Command::new(&program);
            command.env_clear().env("HOME", folder.path()).env("IPFS_PATH", &repository).env("IPFS_TELEMETRY", "off");
            command
        };
        // The test profile has loopback addresses with port 0, no bootstrap, no mDNS and no remote routing.
        text(ipfs().args(["init", "--profile=test"]).output().context("failed to start ipfs init")?)?;
        let mut daemon = ipfs();
        daemon.args(["daemon", "--offline"]);
        let mut process = Process::start("kubo", daemon, &folder.path().join("log"))?;
        // Each file is written once its listener is open; that of the gateway comes last.
        let written = |name: &str| fs::read_to_string(repository.join(name)).ok().filter(|text| !text.is_empty());
        let gateway = process.wait_for(|| written("gateway"))?;
        let rpc = rpc_url(&process.wait_for(|| written("api"))?)?;
        Ok(Self { process, gateway: gateway.trim().trim_end_matches('/').to_owned(), rpc, folder })
    }

    /// `http://127.0.0.1:PORT`, the gateway; trustless responses (`application/vnd.ipld.raw`, `.car`) are on.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// `http://127.0.0.1:PORT`, the RPC: `POST /api/v0/…`.
    pub fn rpc(&self) -> &str {
        &self.rpc
    }

    /// Process id of the node.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Adds a file or a folder with all below it, and gives its CID.
    pub fn add(&self, path: &Path, layout: &Layout) -> anyhow::Result<String> {
        let mut command = self.ipfs();
        command.args(["add", "--quieter", "--recursive"]).args(layout.arguments()).arg(path);
        Ok(text(command.output().context("failed to start ipfs add")?)?.trim().to_owned())
    }

    /// Adds bytes as a file.
    pub fn add_bytes(&self, bytes: &[u8], layout: &Layout) -> anyhow::Result<String> {
        let file = tempfile::NamedTempFile::new().context("failed to create a file")?;
        fs::write(file.path(), bytes).context("failed to write a file")?;
        self.add(file.path(), layout)
    }

    /// The CAR of everything below the CID, as `ipfs dag export` writes it.
    pub fn car(&self, cid: &str) -> anyhow::Result<Vec<u8>> {
        self.run(&["dag", "export", "--progress=false", cid])
    }

    /// One block.
    pub fn block(&self, cid: &str) -> anyhow::Result<Vec<u8>> {
        self.run(&["block", "get", cid])
    }

    /// The CIDs of all blocks below the CID, without itself.
    pub fn blocks_below(&self, cid: &str) -> anyhow::Result<Vec<String>> {
        let lines = self.run(&["refs", "--recursive", "--unique", cid])?;
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }

    /// Forgets one block, so that the node can no longer give it.
    pub fn remove_block(&self, cid: &str) -> anyhow::Result<()> {
        self.run(&["pin", "rm", cid]).ok();
        self.run(&["block", "rm", "--force", cid]).map(drop)
    }

    /// A file's bytes, as the node itself reads them.
    pub fn cat(&self, cid: &str) -> anyhow::Result<Vec<u8>> {
        self.run(&["cat", cid])
    }

    /// Whether the node keeps the CID and all below it.
    pub fn is_pinned(&self, cid: &str) -> anyhow::Result<bool> {
        let output = self.ipfs().args(["pin", "ls", "--type=recursive", cid]).output().context("failed to start ipfs pin ls")?;
        Ok(output.status.success())
    }

    /// Runs any other `ipfs` command against this node and gives its standard output.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        bytes(self.ipfs().args(arguments).output().context("failed to start ipfs")?)
    }

    fn ipfs(&self) -> Command {
        let mut command = Command::new(COMPONENT.program().expect("it was found when the node started"));
        command.env_clear().env("HOME", self.folder.path()).env("IPFS_PATH", self.folder.path().join("repository"));
        command
    }
}

impl Layout {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--cid-version={}", u8::from(self.cid_v1))];
        arguments.extend(self.raw_leaves.map(|raw| format!("--raw-leaves={raw}")));
        arguments.extend(self.chunk.map(|bytes| format!("--chunker=size-{bytes}")));
        arguments.extend(self.max_file_links.map(|links| format!("--max-file-links={links}")));
        arguments.extend(self.hash.map(|hash| format!("--hash={hash}")));
        if let Some(entries) = self.shard_above {
            arguments.extend([format!("--max-directory-links={entries}"), "--max-hamt-fanout=16".to_owned()]);
        }
        if self.trickle {
            arguments.push("--trickle".to_owned());
        }
        arguments
    }
}

/// `/ip4/127.0.0.1/tcp/5001` as a URL.
fn rpc_url(multiaddress: &str) -> anyhow::Result<String> {
    let parts: Vec<&str> = multiaddress.trim().split('/').collect();
    match parts[..] {
        ["", "ip4", host, "tcp", port] => Ok(format!("http://{host}:{port}")),
        _ => bail!("kubo's RPC listens at {multiaddress:?}, which is not /ip4/HOST/tcp/PORT"),
    }
}

fn text(output: Output) -> anyhow::Result<String> {
    String::from_utf8(bytes(output)?).context("ipfs said something that is not text")
}

fn bytes(output: Output) -> anyhow::Result<Vec<u8>> {
    if !output.status.success() {
        bail!("ipfs ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
