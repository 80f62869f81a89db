//! What an owner knows of the readings of a type of device: limits of each, and what several cannot say together.

use super::{
    error::{ConfigError, Places},
    file,
};
use keyward_ids::{DeviceId, TypeId};
use keyward_watch::declared::{Declared, Limits, Relation};
use keyward_watch::limits::{SENSOR_NAME_BYTES, SENSORS};
use std::collections::BTreeMap;
use toml::Spanned;

/// Stands in names of readings for the name of the device.
const ID: &str = "{id}";

/// Holds what is known of the readings of each type of device.
pub type Readings = BTreeMap<TypeId, TypeReadings>;

/// Holds what is known of the readings of a type of device: its names may hold `{id}`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TypeReadings(Declared);

/// All numbers are finite: each is equal to itself.
impl Eq for TypeReadings {}

impl TypeReadings {
    /// Returns what is known of the readings of one device.
    pub fn of(&self, device: &DeviceId) -> Declared {
        let name = |name: &str| -> Box<str> { name.replace(ID, device.as_str()).into() };
        let relation = |relation: &Relation| match relation {
            Relation::AtMost { less, more } => Relation::AtMost { less: name(less), more: name(more) },
            Relation::WhileOn { switch, stream, above } => {
                Relation::WhileOn { switch: name(switch), stream: name(stream), above: *above }
            }
            Relation::Sum { total, parts, tolerance } => Relation::Sum {
                total: name(total),
                parts: parts.iter().map(|part| name(part)).collect(),
                tolerance: *tolerance,
            },
        };
        Declared {
            limits: self.0.limits.iter().map(|(stream, limits)| (name(stream), limits.clone())).collect(),
            relations: self.0.relations.iter().map(relation).collect(),
        }
    }
}

pub(super) fn validate(
    raw: &BTreeMap<Spanned<String>, file::DeviceType>,
    places: &Places<'_>,
) -> Result<Readings, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut valid = Readings::new();
    for (name, settings) in raw {
        // A bad name is told with the other settings of the type.
        let Ok(name) = TypeId::parse(name.get_ref()) else { continue };
        let declared = of_type(settings, places, &mut errors);
        if declared != Declared::default() {
            valid.insert(name, TypeReadings(declared));
        }
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}

fn of_type(raw: &file::DeviceType, places: &Places<'_>, errors: &mut Vec<ConfigError>) -> Declared {
    let mut declared = Declared::default();
    if let Some(extra) = raw.readings.keys().nth(SENSORS) {
        errors.push(places.error(&extra.span(), format!("at most {SENSORS} readings of one type")));
    }
    for (name, limits) in raw.readings.iter().take(SENSORS) {
        match name_of(name, places).and_then(|name| Ok((name, limits_of(limits, places)?))) {
            Ok((name, limits)) => _ = declared.limits.insert(name, limits),
            Err(error) => errors.push(error),
        }
    }
    if let Some(extra) = raw.relations.get(SENSORS) {
        errors.push(places.error(&extra.span(), format!("at most {SENSORS} relations of one type")));
    }
    for relation in raw.relations.iter().take(SENSORS) {
        match relation_of(relation, places) {
            Ok(relation) => declared.relations.push(relation),
            Err(error) => errors.push(error),
        }
    }
    declared
}

fn name_of(name: &Spanned<String>, places: &Places<'_>) -> Result<Box<str>, ConfigError> {
    let text = name.get_ref();
    if text.is_empty() || text.len() > SENSOR_NAME_BYTES || text.chars().any(char::is_control) {
        let expected = format!(
            "the name of a reading: its topic, and behind a space its path in an object; at most {SENSOR_NAME_BYTES} bytes"
        );
        return Err(places.error(&name.span(), expected));
    }
    Ok(text.as_str().into())
}

fn limits_of(raw: &file::Reading, places: &Places<'_>) -> Result<Limits, ConfigError> {
    let unit = raw.unit.as_ref().map(|unit| unit_of(unit, places)).transpose()?.unwrap_or_default();
    let [min, max, rate] = [&raw.min, &raw.max, &raw.rate];
    for value in [min, max, rate].into_iter().flatten() {
        finite(value, places)?;
    }
    if let (Some(min), Some(max)) = (min, max)
        && min.get_ref() > max.get_ref()
    {
        return Err(places.error(&max.span(), format!("at least min, {}", min.get_ref())));
    }
    if let Some(rate) = rate.as_ref().filter(|rate| *rate.get_ref() <= 0.0) {
        return Err(places.error(&rate.span(), "more than 0: by how much it can change in a second"));
    }
    let value = |value: &Option<Spanned<f64>>| value.as_ref().map(|value| *value.get_ref());
    Ok(Limits { unit, min: value(min), max: value(max), per_second: value(rate) })
}

/// The longest name of a unit, in characters.
const UNIT_CHARS: usize = 16;

fn unit_of(unit: &Spanned<String>, places: &Places<'_>) -> Result<Box<str>, ConfigError> {
    let text = unit.get_ref();
    if text.chars().count() > UNIT_CHARS || text.chars().any(char::is_control) {
        return Err(
            places.error(&unit.span(), format!("a unit of at most {UNIT_CHARS} characters, like \"°C\""))
        );
    }
    Ok(text.as_str().into())
}

fn finite(value: &Spanned<f64>, places: &Places<'_>) -> Result<f64, ConfigError> {
    let number = *value.get_ref();
    if number.is_finite() { Ok(number) } else { Err(places.error(&value.span(), "a finite number")) }
}

const RELATION: &str = "{ less = NAME, more = NAME }, { switch = NAME, stream = NAME, above = NUMBER } or { total = NAME, parts = [NAME, …], tolerance = NUMBER }";

fn relation_of(relation: &Spanned<file::Relation>, places: &Places<'_>) -> Result<Relation, ConfigError> {
    let file::Relation { less, more, switch, stream, above, total, parts, tolerance } = relation.get_ref();
    let name = |name: &Spanned<String>| name_of(name, places);
    match (less, more, switch, stream, above, total, parts, tolerance) {
        (Some(less), Some(more), None, None, None, None, None, None) => {
            Ok(Relation::AtMost { less: name(less)?, more: name(more)? })
        }
        (None, None, Some(switch), Some(stream), Some(above), None, None, None) => {
            let above = finite(above, places)?;
            Ok(Relation::WhileOn { switch: name(switch)?, stream: name(stream)?, above })
        }
        (None, None, None, None, None, Some(total), Some(parts), Some(tolerance)) => {
            if !(1..SENSORS).contains(&parts.get_ref().len()) {
                return Err(places.error(&parts.span(), format!("1 to {} names", SENSORS - 1)));
            }
            let tolerance = finite(tolerance, places)?;
            let parts = parts.get_ref().iter().map(name).collect::<Result<_, _>>()?;
            Ok(Relation::Sum { total: name(total)?, parts, tolerance })
        }
        _ => Err(places.error(&relation.span(), RELATION)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use keyward_watch::declared::Relation;

    const DECLARED: &str = r#"
[types.weather]
relations = [
  { less = "{id}/tele dew", more = "{id}/tele air" },
  { switch = "{id}/pump", stream = "{id}/flow", above = 0.5 },
  { total = "all", parts = ["a", "b"], tolerance = 1 },
]
[types.weather.readings]
"{id}/tele air" = { unit = "°C", min = -40, max = 60.5, rate = 0.5 }
"{id}/door" = {}
"#;

    #[test]
    fn what_is_known_of_a_type_is_known_of_each_device_by_its_name() {
        let config = Config::parse("keyward.toml", DECLARED).unwrap();
        let readings = &config.readings[&"weather".parse().unwrap()];
        let declared = readings.of(&"w1".parse().unwrap());
        let air = &declared.limits["w1/tele air"];
        assert_eq!(
            (air.min, air.max, air.per_second, &*air.unit),
            (Some(-40.0), Some(60.5), Some(0.5), "°C")
        );
        let expected = Relation::AtMost { less: "w1/tele dew".into(), more: "w1/tele air".into() };
        assert_eq!(declared.relations[0], expected);
        assert_eq!(declared.relations.len(), 3);
        assert!(Config::parse("keyward.toml", "[types.meter]").unwrap().readings.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_place() {
        for (text, expected) in [
            (
                "[types.a.readings]\nt = { min = 5, max = 4 }",
                "keyward.toml:2:22: types.a.readings.t.max: expected at least min, 5, given 4",
            ),
            (
                "[types.a.readings]\nt = { rate = 0 }",
                "keyward.toml:2:14: types.a.readings.t.rate: expected more than 0: by how much it can change in a second, given 0",
            ),
            (
                "[types.a.readings]\nt = { max = inf }",
                "keyward.toml:2:13: types.a.readings.t.max: expected a finite number, given inf",
            ),
            (
                "[types.a]\nrelations = [{ less = \"a\" }]",
                "keyward.toml:2:14: types.a.relations: expected { less = NAME, more = NAME }, { switch = NAME, stream = NAME, above = NUMBER } or { total = NAME, parts = [NAME, …], tolerance = NUMBER }, given { less = \"a\" }",
            ),
        ] {
            assert_eq!(Config::parse("keyward.toml", text).unwrap_err().to_string(), expected);
        }
        for text in [
            "t = { mim = 5 }",
            "t = { min = \"5\" }",
            "\"\" = {}",
            "t = { unit = \"a unit that nobody knows\" }",
        ] {
            assert!(Config::parse("keyward.toml", &format!("[types.a.readings]\n{text}")).is_err(), "{text}");
        }
    }
}
