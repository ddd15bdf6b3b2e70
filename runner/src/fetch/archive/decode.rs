//! The bytes of a tar stream, decompressed: one stream, with a bounded window, and nothing after it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};

use crds::job::Unpack;

/// Largest window of a zstd frame, as a power of two: 8 MiB, what every decoder must support.
const WINDOW_LOG: u32 = 23;

pub(super) enum Decoder {
    Plain(BufReader<File>),
    Gzip(Box<flate2::bufread::GzDecoder<BufReader<File>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<File>>>),
}

// === impl Decoder ===

impl Decoder {
    pub(super) fn new(file: File, unpack: Unpack) -> io::Result<Self> {
        let file = BufReader::with_capacity(256 << 10, file);
        Ok(match unpack {
            Unpack::Tar => Self::Plain(file),
            Unpack::TarGz => Self::Gzip(Box::new(flate2::bufread::GzDecoder::new(file))),
            Unpack::TarZst => {
                let mut decoder = zstd::Decoder::with_buffer(file)?.single_frame();
                decoder.window_log_max(WINDOW_LOG)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    /// Whether nothing of the file is left.
    pub(super) fn into_end(self) -> io::Result<bool> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        Ok(file.fill_buf()?.is_empty())
    }
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
