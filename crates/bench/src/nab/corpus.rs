//! A directory in the layout of the Numenta Anomaly Benchmark: `data/CATEGORY/SERIES.csv` (timestamp, value), the labelled
//! windows in `labels/combined_windows.json`, the weights in `config/profiles.json`.

use super::score::{Profile, Window};
use crate::error::BenchError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What stands in the directory.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// The one called "standard" first.
    pub(crate) profiles: Vec<Profile>,
    /// In the order of their names.
    pub(crate) series: Vec<Series>,
}

/// A series with what people found anomalous in it.
#[derive(Debug)]
pub(crate) struct Series {
    /// As the labels call it: CATEGORY/SERIES.csv.
    pub(crate) name: String,
    /// Seconds since 1970, in the series' own time zone.
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) windows: Vec<Window>,
}

impl Series {
    /// Returns the category, the folder in which the series stands.
    pub(crate) fn category(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct ProfileFile {
    #[serde(rename = "CostMatrix")]
    costs: Costs,
}

#[derive(Deserialize)]
struct Costs {
    #[serde(rename = "tpWeight")]
    true_positive: f64,
    #[serde(rename = "fpWeight")]
    false_positive: f64,
    #[serde(rename = "fnWeight")]
    false_negative: f64,
}

impl Corpus {
    /// Reads a directory; labels of series that are not there are passed over.
    ///
    /// # Errors
    /// Names the file, and the line, that is missing or says what it may not.
    pub(crate) fn read(folder: &Path) -> Result<Self, BenchError> {
        let profiles: BTreeMap<String, ProfileFile> = json(&folder.join("config/profiles.json"))?;
        let labels_file = folder.join("labels/combined_windows.json");
        let labels: BTreeMap<String, Vec<(String, String)>> = json(&labels_file)?;
        let mut series = Vec::new();
        for category in entries(&folder.join("data"))?.iter().filter(|path| path.is_dir()) {
            for file in entries(category)?.iter().filter(|path| path.extension().is_some_and(|e| e == "csv"))
            {
                let name = format!("{}/{}", last(category), last(file));
                let labels = labels.get(&name).ok_or_else(|| {
                    BenchError::Misuse(format!(
                        "{}: says nothing of {name}: a series without anomalies has an empty list there",
                        labels_file.display()
                    ))
                })?;
                series.push(read_series(file, name, labels)?);
            }
        }
        if series.is_empty() {
            return Err(BenchError::Misuse(format!("{}/data/*/*.csv: there is none", folder.display())));
        }
        let profiles = profiles.into_iter().map(|(name, ProfileFile { costs })| Profile {
            name,
            true_positive: costs.true_positive,
            false_positive: costs.false_positive,
            false_negative: costs.false_negative,
        });
        let mut profiles: Vec<Profile> = profiles.collect();
        profiles.sort_by_key(|profile| profile.name != "standard");
        Ok(Self { profiles, series })
    }
}

fn read_series(file: &Path, name: String, labels: &[(String, String)]) -> Result<Series, BenchError> {
    let text = text(file)?;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
        let row = line.split_once(',').and_then(|(at, value)| Some((time(at)?, value.trim().parse().ok()?)));
        let Some((at, value)) = row else {
            let (file, number) = (file.display(), number + 1);
            return Err(BenchError::Misuse(format!(
                "{file}:{number}: {line:?} is no row \"YYYY-MM-DD HH:MM:SS,VALUE\""
            )));
        };
        times.push(at);
        values.push(value);
    }
    let windows =
        labels.iter().map(|label| window(label, &times).ok_or(label)).collect::<Result<Vec<_>, _>>();
    let mut windows = windows.map_err(|(from, to)| {
        BenchError::Misuse(format!("{name}: there is no row in its labelled window {from} to {to}"))
    })?;
    windows.sort_by_key(|window| window.first);
    if windows.windows(2).any(|pair| pair[1].first <= pair[0].last) {
        return Err(BenchError::Misuse(format!("{name}: its labelled windows overlap")));
    }
    Ok(Series { name, times, values, windows })
}

/// Finds the rows of a label; its ends are times of rows, as a rule.
fn window((from, to): &(String, String), times: &[i64]) -> Option<Window> {
    let (from, to) = (time(from)?, time(to)?);
    let exact = |at: i64| times.iter().position(|time| *time == at);
    let first = exact(from).or_else(|| times.iter().position(|time| *time >= from))?;
    let last = exact(to).or_else(|| times.iter().rposition(|time| *time <= to))?;
    (first <= last).then_some(Window { first, last })
}

/// Reads "YYYY-MM-DD HH:MM:SS", fractions of a second left aside, as seconds since 1970.
fn time(text: &str) -> Option<i64> {
    let (date, clock) = text.trim().split_once(' ')?;
    let (year, month, day) = numbers(date, '-')?;
    let (hour, minute, second) = numbers(clock.split('.').next()?, ':')?;
    // Years begin in March, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, between: char) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(between).map(str::parse);
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        (Ok(a), Ok(b), Ok(c), None) => Some((a, b, c)),
        _ => None,
    }
}

fn text(file: &Path) -> Result<String, BenchError> {
    std::fs::read_to_string(file).map_err(BenchError::io(format!("reading {}", file.display())))
}

fn json<T: DeserializeOwned>(file: &Path) -> Result<T, BenchError> {
    serde_json::from_str(&text(file)?).map_err(|e| BenchError::Misuse(format!("{}: {e}", file.display())))
}

/// Lists a folder in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let doing = || format!("reading the directory {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(BenchError::io(doing()))? {
        paths.push(entry.map_err(BenchError::io(doing()))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_here() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../watch/tests/data/nab")
    }

    /// A directory with one series and the labels that a test gives it.
    fn with(rows: &str, labels: &str) -> Result<Corpus, BenchError> {
        let folder = crate::files::temporary().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["config", "labels", "data", "data/real"] {
            crate::files::make_folder(&at(path)).unwrap();
        }
        std::fs::copy(kept_here().join("config/profiles.json"), at("config/profiles.json")).unwrap();
        crate::files::write_new(&at("labels/combined_windows.json"), labels).unwrap();
        crate::files::write_new(&at("data/real/a.csv"), rows).unwrap();
        Corpus::read(folder.path())
    }

    const ROWS: &str =
        "timestamp,value\n2014-02-28 23:59:00,1\n2014-03-01 00:00:00,2.5\n2014-03-01 00:01:00,3\n";

    #[test]
    fn the_series_that_are_kept_here_are_read_with_their_windows() {
        let corpus = Corpus::read(&kept_here()).unwrap();
        let found: Vec<_> =
            corpus.series.iter().map(|s| (s.name.as_str(), s.values.len(), s.windows.len())).collect();
        assert_eq!(
            found,
            [
                ("realKnownCause/ambient_temperature_system_failure.csv", 7_267, 2),
                ("realKnownCause/machine_temperature_system_failure.csv", 22_695, 4),
                ("realKnownCause/nyc_taxi.csv", 10_320, 5),
            ]
        );
        assert_eq!(corpus.series[2].windows[0], Window { first: 5_839, last: 6_045 });
        assert_eq!(corpus.profiles[0].name, "standard");
    }

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(time("1970-01-01 00:00:00"), Some(0));
        assert_eq!(time("2000-02-29 00:00:01.000000"), Some(951_782_401));
        assert_eq!(time("2014-03-01 12:30:00"), Some(1_393_677_000));
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn a_window_between_rows_is_that_of_the_rows_in_it() {
        let labels = r#"{"real/a.csv": [["2014-02-28 23:59:30", "2014-03-01 00:00:30"]]}"#;
        assert_eq!(with(ROWS, labels).unwrap().series[0].windows, [Window { first: 1, last: 1 }]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let message = |rows: &str, labels: &str| with(rows, labels).unwrap_err().to_string();
        let bad_row = message(&format!("{ROWS}2014-03-01 00:02:00,much\n"), r#"{"real/a.csv": []}"#);
        assert!(bad_row.contains("a.csv:5: \"2014-03-01 00:02:00,much\" is no row"), "{bad_row}");
        let unlabelled = message(ROWS, "{}");
        assert!(unlabelled.contains("combined_windows.json: says nothing of real/a.csv"), "{unlabelled}");
        let elsewhere = message(ROWS, r#"{"real/a.csv": [["2015-01-01 00:00:00", "2015-01-02 00:00:00"]]}"#);
        assert!(elsewhere.contains("real/a.csv: there is no row in its labelled window"), "{elsewhere}");
        let overlapping = r#"{"real/a.csv": [["2014-02-28 23:59:00", "2014-03-01 00:00:00"],
            ["2014-03-01 00:00:00", "2014-03-01 00:01:00"]]}"#;
        assert!(message(ROWS, overlapping).contains("overlap"));
    }
}
