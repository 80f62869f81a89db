//! Scores the watch on a directory in the layout of the Numenta Anomaly Benchmark.

mod corpus;
mod report;
mod score;

use crate::args::NabArguments;
use crate::clock;
use crate::error::BenchError;
use corpus::{Corpus, Series};
use keyward_watch::readings::{Reading, Settings, Stream};
use score::Judged;

/// Judges each series as the watch would have seen it, and says what that scores.
pub(crate) fn run(arguments: &NabArguments) -> Result<String, BenchError> {
    let corpus = Corpus::read(&arguments.folder)?;
    let start = clock::now();
    let judged = judge(&corpus, Settings::default());
    let took = start.elapsed();
    let mut text = report::table(&corpus, &judged, took);
    if arguments.cross {
        text += &report::cross(&corpus, &across());
    }
    Ok(text)
}

/// Runs all series through streams of these settings, each once from its beginning to its end.
fn judge(corpus: &Corpus, settings: Settings) -> Vec<Judged> {
    corpus.series.iter().map(|series| Judged::series(&scores(series, settings), &series.windows)).collect()
}

/// What is no number scores as the usual does: that it is none is told elsewhere.
fn scores(series: &Series, settings: Settings) -> Vec<f64> {
    let mut stream = Stream::new(settings);
    let readings = series.times.iter().zip(&series.values);
    readings
        .map(|(at, value)| {
            let reading = Reading { at_ms: at.saturating_mul(1_000), value: *value };
            stream.observe(reading).map_or(0.0, |observation| observation.score())
        })
        .collect()
}

/// The settings among which `--cross` chooses: the defaults, and each halved and doubled (the tail less and more steep by a third).
fn across() -> Vec<Settings> {
    let usual = Settings::default();
    let mut grid = Vec::new();
    for memory in [0.5, 1.0, 2.0] {
        for tail in [2.0 / 3.0, 1.0, 4.0 / 3.0] {
            for hold in [0.5, 1.0, 2.0] {
                grid.push(Settings {
                    memory: usual.memory * memory,
                    tail: usual.tail * tail,
                    hold: usual.hold * hold,
                    ..usual
                });
            }
        }
    }
    grid
}
