//! The principal axes of a cloud of points.

use nalgebra::{Matrix2, SymmetricEigen, Vector2};

/// The centre of the points and their two axes, the longer one first.
pub struct Axes {
    pub centre: Vector2<f64>,
    pub axes: [Axis; 2],
}

/// A direction of unit length and the variance of the points along it.
pub struct Axis {
    pub direction: Vector2<f64>,
    pub variance: f64,
}

pub fn principal(points: &[[f64; 2]]) -> Axes {
    let count = points.len() as f64;
    let centre = points.iter().map(|&point| Vector2::from(point)).sum::<Vector2<f64>>() / count;
    let covariance = points.iter().fold(Matrix2::zeros(), |sum, &point| {
        let offset = Vector2::from(point) - centre;
        sum + offset * offset.transpose()
    }) / (count - 1.0);
    let eigen = SymmetricEigen::new(covariance);
    let mut axes = [0, 1].map(|index| Axis {
        direction: upwards(eigen.eigenvectors.column(index).into_owned()),
        variance: eigen.eigenvalues[index].max(0.0),
    });
    axes.sort_by(|a, b| b.variance.total_cmp(&a.variance));
    Axes { centre, axes }
}

/// An eigenvector and its opposite are equally good: this takes the one that points right, or straight up.
fn upwards(direction: Vector2<f64>) -> Vector2<f64> {
    if direction.x < 0.0 || (direction.x == 0.0 && direction.y < 0.0) { -direction } else { direction }
}

#[cfg(test)]
mod tests {
    use super::principal;

    #[test]
    fn points_on_a_line_have_one_axis_along_it() {
        let axes = principal(&[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]);
        let [long, short] = &axes.axes;
        assert!((axes.centre.x - 1.0).abs() < 1e-12 && (axes.centre.y - 1.0).abs() < 1e-12);
        assert!((long.direction.x - 0.5_f64.sqrt()).abs() < 1e-12 && (long.direction.y - 0.5_f64.sqrt()).abs() < 1e-12);
        assert!((long.variance - 2.0).abs() < 1e-12 && short.variance.abs() < 1e-12);
    }
}
