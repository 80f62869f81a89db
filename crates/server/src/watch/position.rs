//! Where a device says that it is: latitude and longitude beside each other in one message, as trackers write them.

use keyward_watch::event::Position;

const LATITUDE: [&str; 2] = ["lat", "latitude"];
const LONGITUDE: [&str; 4] = ["lon", "lng", "long", "longitude"];
const ACCURACY: [&str; 2] = ["acc", "accuracy"];

/// How exact a position has to be, in metres, if it says how exact it is: the nearest cell of a telephone network is nowhere.
const ACCURACY_M: f64 = 100.0;

/// Takes latitude and longitude out of the values of a message; what is left are readings. Returns where that is, if it is exact enough.
/// Zero and zero is what receivers say before they know.
pub(super) fn take(values: &mut Vec<(Box<str>, f64)>) -> Option<Position> {
    let (north, object) = values.iter().find_map(|(name, value)| {
        let object = object_of(name, &LATITUDE)?;
        (value.abs() <= 90.0).then(|| (*value, object.to_owned()))
    })?;
    let beside = |values: &[(Box<str>, f64)], names: &[&str]| {
        values.iter().find(|(name, _)| object_of(name, names) == Some(&object)).map(|(_, value)| *value)
    };
    let east = beside(values, &LONGITUDE).filter(|value| value.abs() <= 180.0)?;
    let accuracy = beside(values, &ACCURACY);
    values.retain(|(name, _)| {
        [&LATITUDE[..], &LONGITUDE, &ACCURACY].iter().all(|names| object_of(name, names) != Some(&object))
    });
    let is_known = (north, east) != (0.0, 0.0) && accuracy.is_none_or(|metres| metres <= ACCURACY_M);
    let millionths = |degrees: f64| (degrees * 1e6).round() as i32;
    is_known.then(|| Position { latitude: millionths(north), longitude: millionths(east) })
}

/// Returns the path of the object in which a value has one of these names.
fn object_of<'a>(stream: &'a str, names: &[&str]) -> Option<&'a str> {
    let (object, name) = stream.rsplit_once(' ')?;
    names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::super::readings;
    use super::*;

    fn of(payload: &str) -> (Option<(i32, i32)>, Vec<String>) {
        let mut values = readings::of("truck", payload.as_bytes());
        let position = take(&mut values);
        let names = values.into_iter().map(|(name, _)| name.into()).collect();
        (position.map(|it| (it.latitude, it.longitude)), names)
    }

    #[test]
    fn a_position_is_taken_from_beside_what_else_is_said() {
        let berlin = Some((52_516_200, 13_377_700));
        assert_eq!(
            of(r#"{"lat":52.5162,"lon":13.3777,"acc":8,"batt":80}"#),
            (berlin, vec!["truck batt".into()])
        );
        let nested = r#"{"speed":3,"gps":{"Latitude":52.5162,"Longitude":13.3777}}"#;
        assert_eq!(of(nested), (berlin, vec!["truck speed".into()]));
        assert_eq!(of(r#"{"latitude":-90,"lng":-180}"#), (Some((-90_000_000, -180_000_000)), vec![]));
    }

    #[test]
    fn what_is_nowhere_or_not_exact_is_no_position() {
        assert_eq!(of(r#"{"lat":0,"lon":0.0}"#), (None, vec![]));
        assert_eq!(of(r#"{"lat":52.5,"lon":13.4,"accuracy":2400}"#), (None, vec![]));
        for other in
            [r#"{"lat":52.5}"#, r#"{"lat":91,"lon":13.4}"#, r#"{"a":{"lat":1},"b":{"lon":2}}"#, "52.5"]
        {
            let (position, left) = of(other);
            assert!(position.is_none() && !left.is_empty(), "{other}");
        }
    }
}
