//! A file's bytes → its blocks, each given away as soon as it is made: memory holds the links that have no parent yet.
//!
//! As `ipfs add --cid-version=1` cuts files: pieces of 256 KiB as raw blocks, at most 174 of them below a node, all at the same depth.

use std::io::{self, Read};

use super::block::{self, Block, Piece};

const PIECE_BYTES: u64 = 256 << 10;
const MOST_LINKS: usize = 174;

/// Cuts the file. Every block goes to `give`, children before their parents.
pub(super) fn cut(mut from: impl Read, give: &mut impl FnMut(Block) -> io::Result<()>) -> io::Result<Piece> {
    let mut levels: Vec<Vec<Piece>> = Vec::new();
    loop {
        let mut bytes = Vec::new();
        (&mut from).take(PIECE_BYTES).read_to_end(&mut bytes)?;
        // An empty file is one piece.
        if bytes.is_empty() && !levels.is_empty() {
            break;
        }
        let last = bytes.is_empty();
        let (block, piece) = block::leaf(bytes);
        give(block)?;
        add(&mut levels, 0, piece, give)?;
        if last {
            break;
        }
    }
    root(levels, give)
}

/// Puts a piece into its level; a level that is full becomes a piece of the next one.
fn add(levels: &mut Vec<Vec<Piece>>, level: usize, piece: Piece, give: &mut impl FnMut(Block) -> io::Result<()>) -> io::Result<()> {
    let (mut level, mut piece) = (level, piece);
    loop {
        if levels.len() == level {
            levels.push(Vec::new());
        }
        levels[level].push(piece);
        if levels[level].len() < MOST_LINKS {
            return Ok(());
        }
        let (block, parent) = block::file(&std::mem::take(&mut levels[level]));
        give(block)?;
        (level, piece) = (level + 1, parent);
    }
}

/// Closes the levels from below; the root is the one piece that is left.
fn root(mut levels: Vec<Vec<Piece>>, give: &mut impl FnMut(Block) -> io::Result<()>) -> io::Result<Piece> {
    let mut level = 0;
    loop {
        let is_top = levels[level + 1..].iter().all(Vec::is_empty);
        let mut pieces = std::mem::take(&mut levels[level]);
        if is_top && pieces.len() == 1 {
            return Ok(pieces.remove(0));
        }
        if !pieces.is_empty() {
            let (block, parent) = block::file(&pieces);
            give(block)?;
            add(&mut levels, level + 1, parent, give)?;
        }
        level += 1;
    }
}
