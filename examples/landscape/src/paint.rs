//! An evening at a lake: sky and sun, three ranges of hills, their mirror image, fir trees on the bank, a balloon, a boat.

use image::{Rgb, RgbImage};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const HORIZON: f64 = 290.0;
const BANK: f64 = 425.0;
const SUN: [f64; 2] = [455.0, 205.0];

type Colour = [f64; 3];

pub fn landscape() -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let grain = (noise(x, y) - 0.5) * 7.0;
        Rgb(colour(f64::from(x), f64::from(y)).map(|channel| (channel + grain).clamp(0.0, 255.0) as u8))
    })
}

fn colour(x: f64, y: f64) -> Colour {
    let ground = bank(x, y).or_else(|| boat(x, y)).or_else(|| balloon(x, y));
    ground.unwrap_or_else(|| if y < HORIZON { above_water(x, y) } else { water(x, y) })
}

fn above_water(x: f64, y: f64) -> Colour {
    // (mean height above the horizon, roughness, offset into the shape, colour), the nearest first
    const HILLS: [(f64, f64, f64, Colour); 3] =
        [(26.0, 22.0, 40.0, [38.0, 62.0, 58.0]), (62.0, 40.0, 7.0, [72.0, 88.0, 104.0]), (104.0, 62.0, 23.0, [128.0, 124.0, 150.0])];
    HILLS
        .iter()
        .find(|(mean, rough, offset, _)| HORIZON - y < mean + rough * ridge(x, *offset))
        .map_or_else(|| sky(x, y), |&(_, _, _, colour)| mix(colour, [236.0, 178.0, 140.0], ((y - 120.0) / 900.0).max(0.0)))
}

fn ridge(x: f64, offset: f64) -> f64 {
    let t = x / 97.0 + offset;
    t.sin() * 0.5 + (t * 2.3 + 1.0).sin() * 0.27 + (t * 5.9).sin() * 0.12 + (t * 17.0).sin() * 0.05 + (t * 41.0).sin() * 0.03
}

fn sky(x: f64, y: f64) -> Colour {
    let base = mix([74.0, 112.0, 178.0], [250.0, 190.0, 128.0], (y / HORIZON).powf(1.3));
    let distance = (x - SUN[0]).hypot(y - SUN[1]);
    if distance < 26.0 {
        return [255.0, 244.0, 214.0];
    }
    let glow = mix(base, [255.0, 224.0, 160.0], 0.8 * (-(distance - 26.0) / 70.0).exp());
    let streak = ((y / 13.0 + (x / 120.0).sin() * 1.4).sin() * (x / 71.0 + y / 37.0).sin()).max(0.0).powi(3);
    mix(glow, [255.0, 236.0, 226.0], streak * 0.55)
}

fn water(x: f64, y: f64) -> Colour {
    let depth = (y - HORIZON) / (480.0 - HORIZON);
    let ripple = ((y * y / 160.0).sin() + (x / 9.0 + y * 1.7).sin() * 0.6) * (1.0 + depth * 5.0);
    let mirrored = above_water(x + ripple, HORIZON - 1.0 - (y - HORIZON) * 1.25);
    let glitter = (-((x - SUN[0]) / (14.0 + depth * 60.0)).powi(2)).exp() * ((y * 0.9 + ripple).sin() * 0.5 + 0.5);
    mix(mix(mirrored, [30.0, 54.0, 84.0], 0.25 + depth * 0.4), [255.0, 230.0, 180.0], glitter * 0.6)
}

/// The near bank with its grass, and the fir trees that stand on it.
fn bank(x: f64, y: f64) -> Option<Colour> {
    // (x of the trunk, y of the root, height)
    const TREES: [(f64, f64, f64); 6] = [
        (48.0, 446.0, 190.0),
        (92.0, 452.0, 140.0),
        (20.0, 462.0, 120.0),
        (566.0, 450.0, 165.0),
        (606.0, 460.0, 210.0),
        (318.0, 470.0, 92.0),
    ];
    for (trunk, root, height) in TREES {
        let up = (root - y) / height;
        let branch = ((up * 11.0).fract() * 0.35 + 0.65) * (1.0 - up) * height * 0.21;
        if (0.08..1.0).contains(&up) && (x - trunk).abs() < branch {
            let light = 16.0 * ((x - trunk) / branch + 1.0) + 20.0 * noise(x as u32 / 2, y as u32 / 3);
            return Some([14.0 + light * 0.6, 34.0 + light, 26.0 + light * 0.4]);
        }
        if (-0.02..0.08).contains(&up) && (x - trunk).abs() < 3.5 {
            return Some([52.0, 36.0, 26.0]);
        }
    }
    let edge = BANK + 16.0 * (x / 83.0).sin() + 5.0 * (x / 19.0).sin() + 5.0 * noise(x as u32, 7);
    (y > edge).then(|| {
        let blade = 34.0 * noise(x as u32, y as u32 / 5) + 18.0 * (y - edge) / 60.0;
        [40.0 + blade, 58.0 + blade * 1.2, 28.0 + blade * 0.4]
    })
}

fn boat(x: f64, y: f64) -> Option<Colour> {
    let (dx, dy) = (x - 236.0, y - 352.0);
    let sail = dy > -52.0 && dy < -5.0 && dx > 1.0 && dx < (dy + 52.0) * 0.55;
    let mast = dx.abs() < 1.2 && dy > -56.0 && dy <= 0.0;
    let hull = (0.0..10.0).contains(&dy) && dx.abs() < 34.0 - dy * 1.3;
    if sail {
        Some(mix([250.0, 246.0, 236.0], [196.0, 186.0, 190.0], dx / 27.0))
    } else if hull {
        Some([122.0 - dy * 5.0, 44.0, 36.0])
    } else {
        mast.then_some([60.0, 46.0, 38.0])
    }
}

fn balloon(x: f64, y: f64) -> Option<Colour> {
    let (dx, dy) = (x - 150.0, y - 92.0);
    let shrink = if dy > 0.0 { 1.0 + dy / 90.0 } else { 1.0 };
    let across = dx * shrink / 40.0;
    if across.hypot(dy / 48.0) < 1.0 {
        let stripe = ((across.clamp(-1.0, 1.0).asin() * 3.2).floor() as i32).rem_euclid(2) == 0;
        let colour = if stripe { [206.0, 54.0, 48.0] } else { [246.0, 214.0, 120.0] };
        return Some(mix(colour, [40.0, 20.0, 40.0], (0.25 - across * 0.3).max(0.0)));
    }
    let rope = (44.0..64.0).contains(&dy) && (dx.abs() - 9.0 + (dy - 44.0) * 0.12).abs() < 0.8;
    let basket = (64.0..78.0).contains(&dy) && dx.abs() < 8.0;
    (rope || basket).then_some([88.0, 60.0, 40.0])
}

fn mix(a: Colour, b: Colour, share: f64) -> Colour {
    [0, 1, 2].map(|channel| a[channel] + (b[channel] - a[channel]) * share.clamp(0.0, 1.0))
}

/// 0 to 1, the same for the same place.
fn noise(x: u32, y: u32) -> f64 {
    let mut bits = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297A_2D39);
    f64::from(bits ^ (bits >> 15)) / f64::from(u32::MAX)
}
