//! Makes a picture a third narrower by taking out its least interesting seams, and shows on the way what it took.
//!
//! Reads `inputs/image0.JPG` or the file named by the first argument; writes five PNG files to `outputs/`.

mod seam;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use image::{GrayImage, ImageError, ImageReader, Luma, Rgb, RgbImage};
use imageproc::gradients::sobel_gradients;

/// Seams between two lines of progress.
const PROGRESS_STEP: u32 = 100;
const RED: Rgb<u8> = Rgb([255, 0, 0]);

fn main() -> ExitCode {
    let input = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("inputs/image0.JPG"), PathBuf::from);
    match carve(&input, Path::new("outputs")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn carve(input: &Path, outputs: &Path) -> Result<(), String> {
    let original = read(input).map_err(|error| format!("cannot read the picture {}: {error}", input.display()))?;
    let mut shrunk = original.clone();
    let mut grey = image::imageops::grayscale(&original);
    let gradients = energy(&grey);
    let mut taken = seam::Taken::none(&original);
    for number in 0..original.width() / 3 {
        if number % PROGRESS_STEP == 0 {
            println!("Removing seam {number}");
            // Whoever follows the run reads this now, not at its end.
            std::io::stdout().flush().map_err(|error| format!("cannot write to stdout: {error}"))?;
        }
        let seam = seam::cheapest(&sobel_gradients(&grey));
        shrunk = seam::remove(&shrunk, &seam);
        grey = seam::remove(&grey, &seam);
        taken.add(&seam);
    }

    let gradients = image::DynamicImage::ImageLuma8(gradients).into_rgb8();
    let pictures = [
        ("original.png", &original),
        ("annotated.png", &taken.mark(&original, RED)),
        ("gradients.png", &gradients),
        ("annotated_gradients.png", &taken.mark(&gradients, RED)),
        ("shrunk.png", &shrunk),
    ];
    for (name, picture) in pictures {
        let path = outputs.join(name);
        picture.save(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<RgbImage, ImageError> {
    Ok(ImageReader::open(path)?.with_guessed_format()?.decode()?.into_rgb8())
}

/// The gradients as a picture: the strongest is white.
fn energy(grey: &GrayImage) -> GrayImage {
    let gradients = sobel_gradients(grey);
    let strongest = gradients.pixels().map(|pixel| pixel[0]).max().unwrap_or(0).max(1);
    GrayImage::from_fn(gradients.width(), gradients.height(), |x, y| {
        Luma([(u32::from(gradients.get_pixel(x, y)[0]) * 255 / u32::from(strongest)) as u8])
    })
}
