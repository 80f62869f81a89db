//! How far it is from one place on earth to another.

use crate::event::Position;

/// The mean radius of the earth (IUGG).
const RADIUS_KM: f64 = 6_371.0;

/// Returns the kilometres between two places, along a great circle (haversine).
pub(crate) fn kilometres(from: Position, to: Position) -> f64 {
    let radians = |millionths: i32| (f64::from(millionths) / 1e6).to_radians();
    let (north, other_north) = (radians(from.latitude), radians(to.latitude));
    let half = |a: f64, b: f64| ((a - b) / 2.0).sin().powi(2);
    let square = half(other_north, north)
        + north.cos() * other_north.cos() * half(radians(to.longitude), radians(from.longitude));
    2.0 * RADIUS_KM * square.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Position {
        Position { latitude: (latitude * 1e6) as i32, longitude: (longitude * 1e6) as i32 }
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        let (berlin, paris, suva, apia) =
            (at(52.52, 13.40), at(48.86, 2.35), at(-18.14, 178.44), at(-13.83, -171.77));
        assert!((kilometres(berlin, paris) - 878.0).abs() < 3.0, "{}", kilometres(berlin, paris));
        assert!(
            (kilometres(suva, apia) - 1_149.0).abs() < 15.0,
            "over the date line: {}",
            kilometres(suva, apia)
        );
        assert!(kilometres(berlin, berlin) < 1e-6);
        assert!((kilometres(at(90.0, 0.0), at(-90.0, 0.0)) - 20_015.0).abs() < 1.0);
    }
}
