//! From a CID and a path below it to the CID that is meant: block by block, through directories and shards. Fetches nothing else.

use crds::reason::Reason;

use super::blocks::Blocks;
use super::cid::Cid;
use super::hamt::{Position, hash};
use super::unixfs::{Link, Links, Node};
use super::walk::{link, read, unusable};
use crate::failure::Failure;

/// The CID that `path` names below `root`.
///
/// # Errors
///
/// `FetchNotFound` when a directory has no such entry, `InvalidSpec` when the path goes on below a file.
pub(super) async fn resolve(blocks: &mut Blocks<'_>, root: Cid, path: &[&str]) -> Result<Cid, Failure> {
    let mut at = root;
    for name in path {
        let mut position = Position::default();
        at = loop {
            let child = match read(&at, &blocks.get(&at).await?)? {
                Node::File(_) => return Err(below_file(&root, path, name)),
                Node::Directory(links) => find(&at, &links, name)?,
                Node::Shard(shard) => match position.slot(&shard, hash(name)).map_err(|error| unusable(&at, &error))? {
                    Some((index, below)) => {
                        let link = link(&at, &shard.links, index)?;
                        if link.name.len() == shard.prefix {
                            position = below;
                            at = link.cid;
                            continue;
                        }
                        (link.name[shard.prefix..] == **name).then_some(link)
                    }
                    None => None,
                },
            };
            break child.ok_or_else(|| no_entry(&root, path, name))?.cid;
        };
    }
    Ok(at)
}

fn find(cid: &Cid, links: &Links, name: &str) -> Result<Option<Link>, Failure> {
    for link in links.iter() {
        let link = link.map_err(|error| unusable(cid, &error))?;
        if link.name == name {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

fn below_file(root: &Cid, path: &[&str], name: &str) -> Failure {
    let path = path.join("/");
    Failure::new(Reason::InvalidSpec, format!("ipfs.path {path:?} below {root}: {name:?} would be below a file"))
}

fn no_entry(root: &Cid, path: &[&str], name: &str) -> Failure {
    let path = path.join("/");
    Failure::new(Reason::FetchNotFound, format!("ipfs.path {path:?} is not there: no entry {name:?} on the way below {root}"))
}
