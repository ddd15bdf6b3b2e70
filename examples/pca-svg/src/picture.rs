//! The picture: axes with numbers, the points, and both eigenvectors from the centre, two standard deviations long.

use std::ops::Range;

use plotters::prelude::{BLUE, ChartBuilder, Circle, Color as _, GREEN, IntoDrawingArea as _, LineSeries, RED, SVGBackend, WHITE};

use crate::axes::Axes;

const SIZE: (u32, u32) = (640, 640);
const DEVIATIONS: f64 = 2.0;

pub fn draw(points: &[[f64; 2]], axes: &Axes) -> String {
    let ends = axes.axes.each_ref().map(|axis| axes.centre + axis.direction * (axis.variance.sqrt() * DEVIATIONS));
    let (x, y) = frame(points.iter().copied().chain(ends.iter().map(|end| [end.x, end.y])));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).expect("a text takes every drawing");
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .x_label_area_size(30)
            .y_label_area_size(40)
            .build_cartesian_2d(x, y)
            .expect("a text takes every drawing");
        chart.configure_mesh().draw().expect("a text takes every drawing");
        chart.draw_series(points.iter().map(|&[x, y]| Circle::new((x, y), 3, BLUE.filled()))).expect("a text takes every drawing");
        for (end, colour) in ends.iter().zip([RED, GREEN]) {
            let line = [(axes.centre.x, axes.centre.y), (end.x, end.y)];
            chart.draw_series(LineSeries::new(line, colour.stroke_width(3))).expect("a text takes every drawing");
        }
        area.present().expect("a text takes every drawing");
    }
    svg
}

/// What the picture must show in each direction, and a little around it; one scale for both, so that right angles look so.
fn frame(points: impl Iterator<Item = [f64; 2]>) -> (Range<f64>, Range<f64>) {
    let all = [f64::INFINITY, f64::NEG_INFINITY];
    let [x, y] = points.fold([all, all], |bounds, point| [0, 1].map(|d| [bounds[d][0].min(point[d]), bounds[d][1].max(point[d])]));
    let largest = [x, y].as_flattened().iter().fold(0.0_f64, |largest, bound| largest.max(bound.abs()));
    let spread = (x[1] - x[0]).max(y[1] - y[0]).max(largest * 1e-9);
    let half = if spread > 0.0 { spread * 0.55 } else { 1.0 };
    let around = |[low, high]: [f64; 2]| {
        let middle = f64::midpoint(low, high);
        middle - half..middle + half
    };
    (around(x), around(y))
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::axes::principal;

    #[test]
    fn every_point_is_a_circle_and_every_eigenvector_a_line_of_its_colour() {
        let points = [[0.0, 0.0], [2.0, 1.0], [4.0, 3.0], [1.0, 2.0]];
        let svg = draw(&points, &principal(&points));
        let drawn = ["<circle", "stroke=\"#FF0000\"", "stroke=\"#00FF00\""].map(|part| svg.matches(part).count());
        assert_eq!(drawn, [4, 1, 1]);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn points_without_any_spread_still_make_a_picture() {
        for point in [[0.0, 0.0], [1e12, -1e12], [1e-300, 0.0]] {
            let points = [point; 3];
            assert!(draw(&points, &principal(&points)).contains("</svg>"), "{point:?}");
        }
    }
}
