//! Paints the picture that the seam carver carves: `landscape images/image0.JPG`. Every pixel is computed, none is copied.

mod paint;

use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;

use image::codecs::jpeg::JpegEncoder;

const QUALITY: u8 = 88;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "outputs/image0.JPG".into());
    let written = File::create(&path)
        .map_err(image::ImageError::IoError)
        .and_then(|file| JpegEncoder::new_with_quality(BufWriter::new(file), QUALITY).encode_image(&paint::landscape()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {}: {error}", path.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}
