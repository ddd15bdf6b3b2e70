//! DAGs for tests, built by crates that are not ours where there are any: files in any shape, directories, shards, CARs.

use std::collections::{BTreeMap, HashSet};

use cid::Cid;
use ipld_dagpb::{PbLink, PbNode};
use multihash_codetable::{Code, MultihashDigest as _};

pub(crate) const RAW: u64 = 0x55;
pub(crate) const DAG_PB: u64 = 0x70;

/// Blocks by their CIDs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dag {
    pub(crate) blocks: BTreeMap<Cid, Vec<u8>>,
}

/// How a file is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) chunk: usize,
    pub(crate) width: usize,
    pub(crate) raw_leaves: bool,
    /// Bytes in the inner nodes too, as the oldest trickle files have them.
    pub(crate) inner_data: bool,
}

/// The fields of a UnixFS message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) kind: u64,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) sizes: Vec<u64>,
    pub(crate) hash: Option<u64>,
    pub(crate) fanout: Option<u64>,
}

impl Dag {
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Cid {
        let cid = Cid::new_v1(RAW, Code::Sha2_256.digest(bytes));
        self.blocks.insert(cid, bytes.to_vec());
        cid
    }

    /// Any bytes as a dag-pb block.
    pub(crate) fn block(&mut self, bytes: Vec<u8>) -> Cid {
        let cid = Cid::new_v1(DAG_PB, Code::Sha2_256.digest(&bytes));
        self.blocks.insert(cid, bytes);
        cid
    }

    pub(crate) fn node(&mut self, links: Vec<PbLink>, data: Vec<u8>) -> Cid {
        self.block(PbNode { links, data: Some(data.into()) }.into_bytes())
    }

    pub(crate) fn file(&mut self, bytes: &[u8], shape: Shape) -> Cid {
        let mut level: Vec<(Cid, u64)> = bytes.chunks(shape.chunk).map(|chunk| self.leaf(chunk, shape.raw_leaves)).collect();
        if level.is_empty() {
            level.push(self.leaf(b"", shape.raw_leaves));
        }
        while level.len() > 1 {
            level = level.chunks(shape.width.max(2)).map(|children| self.inner(children, shape)).collect();
        }
        level[0].0
    }

    fn leaf(&mut self, bytes: &[u8], raw: bool) -> (Cid, u64) {
        let size = bytes.len() as u64;
        if raw {
            return (self.raw(bytes), size);
        }
        let message = Fields { kind: 2, data: Some(bytes.to_vec()), size: Some(size), ..Fields::default() };
        (self.node(Vec::new(), message.bytes()), size)
    }

    fn inner(&mut self, children: &[(Cid, u64)], shape: Shape) -> (Cid, u64) {
        // The first child's bytes move into the node itself, where that is asked for and it is a leaf.
        let first = children.first().filter(|(cid, _)| shape.inner_data && cid.codec() == RAW);
        let data = first.map(|(cid, _)| self.blocks[cid].clone());
        let linked = &children[usize::from(data.is_some())..];
        let size = children.iter().map(|(_, size)| size).sum();
        let sizes = linked.iter().map(|(_, size)| *size).collect();
        let links = linked.iter().map(|(cid, size)| PbLink { cid: *cid, name: Some(String::new()), size: Some(*size) }).collect();
        (self.node(links, Fields { kind: 2, data, size: Some(size), sizes, ..Fields::default() }.bytes()), size)
    }

    pub(crate) fn directory(&mut self, entries: &[(&str, Cid)]) -> Cid {
        let links = entries.iter().map(|(name, cid)| PbLink { cid: *cid, name: Some((*name).to_owned()), size: Some(1) }).collect();
        self.node(links, Fields { kind: 1, ..Fields::default() }.bytes())
    }

    /// A directory spread by the hash of its names.
    pub(crate) fn sharded(&mut self, entries: &[(&str, Cid)], fanout: u64) -> Cid {
        let entries: Vec<_> = entries.iter().map(|(name, cid)| (*name, *cid, hash(name))).collect();
        self.shard(&entries, fanout, 0)
    }

    fn shard(&mut self, entries: &[(&str, Cid, u64)], fanout: u64, used_bits: u32) -> Cid {
        let bits = fanout.trailing_zeros();
        let mut slots: BTreeMap<u64, Vec<(&str, Cid, u64)>> = BTreeMap::new();
        for entry in entries {
            slots.entry(entry.2 << used_bits >> (64 - bits)).or_default().push(*entry);
        }
        let digits = format!("{:X}", fanout - 1).len();
        let mut field = vec![0_u8; usize::try_from(fanout).expect("a small fan-out") / 8];
        let mut links = Vec::new();
        for (slot, inside) in slots {
            let at = usize::try_from(slot).expect("a small slot");
            let length = field.len();
            field[length - 1 - at / 8] |= 1 << (at % 8);
            let (name, cid) = match &inside[..] {
                [(name, cid, _)] => (format!("{slot:0digits$X}{name}"), *cid),
                many => (format!("{slot:0digits$X}"), self.shard(many, fanout, used_bits + bits)),
            };
            links.push(PbLink { cid, name: Some(name), size: Some(1) });
        }
        self.node(links, Fields { kind: 5, data: Some(field), hash: Some(0x22), fanout: Some(fanout), ..Fields::default() }.bytes())
    }

    /// The blocks below `root`, each once, depth first.
    pub(crate) fn order(&self, root: Cid) -> Vec<Cid> {
        let (mut seen, mut order, mut stack) = (HashSet::new(), Vec::new(), vec![root]);
        while let Some(cid) = stack.pop() {
            let Some(bytes) = self.blocks.get(&cid) else { continue };
            if !seen.insert(cid) {
                continue;
            }
            order.push(cid);
            if cid.codec() == DAG_PB
                && let Ok(node) = PbNode::from_bytes(bytes.clone().into())
            {
                stack.extend(node.links.iter().rev().map(|link| link.cid));
            }
        }
        order
    }

    /// A CARv1 of these blocks in this order.
    pub(crate) fn car(&self, root: Cid, order: &[Cid]) -> Vec<u8> {
        let mut car = header(&[root]);
        for cid in order {
            section(&mut car, &cid.to_bytes(), &self.blocks[cid]);
        }
        car
    }

    /// A CARv1 of everything below `root`.
    pub(crate) fn whole_car(&self, root: Cid) -> Vec<u8> {
        self.car(root, &self.order(root))
    }
}

impl Fields {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let number = |bytes: &mut Vec<u8>, field: u64, value: Option<u64>| {
            if let Some(value) = value {
                varint(bytes, field << 3);
                varint(bytes, value);
            }
        };
        number(&mut bytes, 1, Some(self.kind));
        if let Some(data) = &self.data {
            varint(&mut bytes, 2 << 3 | 2);
            varint(&mut bytes, data.len() as u64);
            bytes.extend_from_slice(data);
        }
        number(&mut bytes, 3, self.size);
        for size in &self.sizes {
            number(&mut bytes, 4, Some(*size));
        }
        number(&mut bytes, 5, self.hash);
        number(&mut bytes, 6, self.fanout);
        bytes
    }
}

pub(crate) fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// The header of a CARv1, with its length.
pub(crate) fn header(roots: &[Cid]) -> Vec<u8> {
    let encoded = iroh_car::CarHeader::new_v1(roots.to_vec()).encode().expect("a header");
    let mut bytes = Vec::new();
    varint(&mut bytes, encoded.len() as u64);
    bytes.extend_from_slice(&encoded);
    bytes
}

pub(crate) fn section(car: &mut Vec<u8>, cid: &[u8], data: &[u8]) {
    varint(car, (cid.len() + data.len()) as u64);
    car.extend_from_slice(cid);
    car.extend_from_slice(data);
}

fn hash(name: &str) -> u64 {
    let wide = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).expect("a hash");
    u64::try_from(wide & u128::from(u64::MAX)).expect("64 bits")
}
