//! What people read of a run.

use super::corpus::{Corpus, Series};
use super::judge;
use super::score::{Judged, Outcome, Profile};
use keyward_watch::readings::{Settings, Stream};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// Writes the scores of each series and of all, each at the one threshold that is best for its profile.
pub(super) fn table(corpus: &Corpus, judged: &[Judged], took: Duration) -> String {
    let all = together(judged.iter());
    let best: Vec<(&Profile, Outcome)> = corpus.profiles.iter().map(|p| (p, all.best(p))).collect();
    let mut text = String::new();
    line(
        &mut text,
        "series",
        std::iter::once("windows".to_owned()).chain(best.iter().map(|(p, _)| p.name.clone())),
    );
    line(&mut text, "---", std::iter::repeat_n("---:".to_owned(), 1 + best.len()));
    for (series, judged) in corpus.series.iter().zip(judged) {
        let cells = best.iter().map(|(profile, best)| raw(judged.at(best.threshold, profile)));
        line(&mut text, &series.name, std::iter::once(judged.windows().to_string()).chain(cells));
    }
    let cells = best.iter().map(|(_, outcome)| raw(*outcome));
    line(&mut text, "all", std::iter::once(all.windows().to_string()).chain(cells));
    let cells = best.iter().map(|(profile, outcome)| normalised(&all, *outcome, profile));
    line(&mut text, "**NAB score** (0 to 100)", std::iter::once(String::new()).chain(cells));
    let cells = best.iter().map(|(_, outcome)| format!("{:.1}", bits(outcome.threshold)));
    line(&mut text, "threshold, in bits of surprise", std::iter::once(String::new()).chain(cells));
    let readings: usize = corpus.series.iter().map(|series| series.values.len()).sum();
    let _ = writeln!(
        text,
        "\nA cell: what the series adds to the sum, windows found, + false alarms. {readings} readings, {:.2} µs each; {} bytes for each \
         stream.",
        took.as_secs_f64() * 1e6 / readings as f64,
        Stream::BYTES
    );
    text
}

/// Writes what each category scores with settings that were chosen on the others only.
pub(super) fn cross(corpus: &Corpus, grid: &[Settings]) -> String {
    let Some(profile) = corpus.profiles.iter().find(|p| p.name == "standard").or(corpus.profiles.first())
    else {
        return String::new();
    };
    let runs: Vec<Vec<Judged>> = grid.iter().map(|settings| judge(corpus, *settings)).collect();
    let mut text = format!(
        "\nEach category with settings that were chosen on the others ({}, of {}):\n\n",
        profile.name,
        grid.len()
    );
    let columns =
        ["chosen: memory, tail, hold", "score", "score, threshold from the others too", "with the defaults"];
    line(&mut text, "category", columns.map(str::to_owned));
    line(&mut text, "---", ["---", "---:", "---:", "---:"].map(str::to_owned));
    let categories: BTreeSet<&str> = corpus.series.iter().map(Series::category).collect();
    for category in categories {
        let part = |run: &[Judged], inside: bool| {
            together(
                corpus
                    .series
                    .iter()
                    .zip(run)
                    .filter(|(s, _)| (s.category() == category) == inside)
                    .map(|(_, j)| j),
            )
        };
        // The first of several that are as good: the smallest change of the score is not worth a discussion.
        let score = |run: &Vec<Judged>| part(run, false).best(profile).raw;
        let Some(chosen) =
            (0..runs.len()).reduce(|a, b| if score(&runs[b]) > score(&runs[a]) { b } else { a })
        else {
            continue;
        };
        let (here, elsewhere) = (part(&runs[chosen], true), part(&runs[chosen], false));
        let defaults = part(&judge(corpus, Settings::default()), true);
        if here.windows() == 0 {
            continue;
        }
        let settings = grid[chosen];
        let cells = [
            format!("{:.0}, {:.1}, {:.0}", settings.memory, settings.tail, settings.hold),
            normalised(&here, here.best(profile), profile),
            normalised(&here, here.at(elsewhere.best(profile).threshold, profile), profile),
            normalised(&defaults, defaults.best(profile), profile),
        ];
        line(&mut text, category, cells);
    }
    text
}

fn together<'a>(parts: impl Iterator<Item = &'a Judged>) -> Judged {
    let mut all = Judged::default();
    parts.for_each(|part| all.add(part));
    all
}

fn raw(outcome: Outcome) -> String {
    format!("{:.2} ({} + {})", outcome.raw, outcome.found, outcome.false_alarms)
}

fn normalised(judged: &Judged, outcome: Outcome, profile: &Profile) -> String {
    judged.normalised(outcome, profile).map_or("–".to_owned(), |score| format!("{score:.1}"))
}

/// Returns the surprise that a score stands for.
fn bits(score: f64) -> f64 {
    -(1.0 - score).log2()
}

fn line(text: &mut String, first: &str, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
}
