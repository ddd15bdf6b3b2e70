//! Vertical seams: one column per row, neighbours at most one column apart.

use image::{ImageBuffer, Luma, Pixel, Rgb, RgbImage};

/// The column of the seam in each row, from the top.
pub type Seam = Vec<u32>;

/// The seam whose gradients have the smallest sum; of equal ones the leftmost.
pub fn cheapest(gradients: &ImageBuffer<Luma<u16>, Vec<u16>>) -> Seam {
    let (width, height) = (gradients.width() as usize, gradients.height() as usize);
    if width == 0 || height == 0 {
        return Seam::new();
    }
    // sums[y][x]: the cheapest way from the top to this pixel.
    let mut sums: Vec<u32> = gradients.iter().map(|&gradient| u32::from(gradient)).collect();
    for y in 1..height {
        let (above, rows) = sums[(y - 1) * width..].split_at_mut(width);
        for (x, sum) in rows[..width].iter_mut().enumerate() {
            *sum += above[x.saturating_sub(1)..(x + 2).min(width)].iter().min().copied().unwrap_or(0);
        }
    }

    let mut seam = vec![0; height];
    let mut reachable = 0..width;
    for (row, column) in sums.chunks_exact(width).zip(&mut seam).rev() {
        let x = reachable.min_by_key(|&x| row[x]).unwrap_or(0);
        *column = x as u32;
        reachable = x.saturating_sub(1)..(x + 2).min(width);
    }
    seam
}

/// The picture without the seam, one column narrower.
pub fn remove<P: Pixel<Subpixel = u8>>(picture: &ImageBuffer<P, Vec<u8>>, seam: &Seam) -> ImageBuffer<P, Vec<u8>> {
    let (width, height) = picture.dimensions();
    let channels = usize::from(P::CHANNEL_COUNT);
    ImageBuffer::from_raw(width - 1, height, without(picture.as_raw(), width as usize, channels, seam))
        .expect("every row lost exactly one pixel")
}

fn without<T: Copy>(values: &[T], width: usize, channels: usize, seam: &Seam) -> Vec<T> {
    let mut left = Vec::with_capacity(values.len());
    for (row, &x) in values.chunks_exact(width * channels).zip(seam) {
        let at = x as usize * channels;
        left.extend_from_slice(&row[..at]);
        left.extend_from_slice(&row[at + channels..]);
    }
    left
}

/// Which pixels of the original picture are gone.
pub struct Taken {
    width: usize,
    /// The original column of every pixel that is left.
    columns: Vec<u32>,
    pixels: Vec<(u32, u32)>,
}

impl Taken {
    pub fn none(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        Self { width: width as usize, columns: (0..height).flat_map(|_| 0..width).collect(), pixels: Vec::new() }
    }

    pub fn add(&mut self, seam: &Seam) {
        for (y, &x) in seam.iter().enumerate() {
            self.pixels.push((self.columns[y * self.width + x as usize], y as u32));
        }
        self.columns = without(&self.columns, self.width, 1, seam);
        self.width -= 1;
    }

    pub fn mark(&self, picture: &RgbImage, colour: Rgb<u8>) -> RgbImage {
        let mut marked = picture.clone();
        for &(x, y) in &self.pixels {
            marked.put_pixel(x, y, colour);
        }
        marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_seam_follows_the_low_ground() {
        let gradients = ImageBuffer::from_raw(4, 3, vec![9, 9, 1, 9, 9, 1, 9, 9, 1, 9, 9, 9]).unwrap();
        assert_eq!(cheapest(&gradients), [2, 1, 0]);
    }

    #[test]
    fn a_later_seam_is_marked_where_it_was_in_the_original() {
        let picture = RgbImage::from_fn(4, 1, |x, _| Rgb([x as u8, 0, 0]));
        let mut taken = Taken::none(&picture);
        taken.add(&vec![1]);
        taken.add(&vec![1]);
        let left = remove(&remove(&picture, &vec![1]), &vec![1]);
        let red = Rgb([255, 0, 0]);
        assert_eq!(left.pixels().copied().collect::<Vec<_>>(), [Rgb([0, 0, 0]), Rgb([3, 0, 0])]);
        assert_eq!(taken.mark(&picture, red).pixels().copied().collect::<Vec<_>>(), [Rgb([0, 0, 0]), red, red, Rgb([3, 0, 0])]);
    }
}
