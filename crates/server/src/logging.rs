//! What the process writes to standard error.
//!
//! Secrets have no `Debug`, so they cannot get here; what peers chose is escaped by whoever logs it
//! ([`crate::escape`]).

use crate::config::{Log, LogFormat};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// Says how log lines look and how many there are, as far as somebody said so.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The filter, like `info` or `keyward_server=debug`; without it that of `keyward.toml`, else `info`.
    pub filter: Option<String>,
    /// Text or JSON; without it that of `keyward.toml`, else text.
    pub format: Option<LogFormat>,
}

/// What the library below the message store has to say is for its own people, unless somebody asks for it by name.
const STORAGE: &str = "fjall=warn,lsm_tree=warn";

/// Starts logging to standard error, in colour only on a terminal; `configured` counts where `options` says nothing.
/// Only the first call in a process counts.
///
/// # Errors
/// A line that says what is wrong with the filter.
pub fn start(options: &LogOptions, configured: &Log) -> Result<(), String> {
    let filter = options.filter.as_deref().or(configured.filter.as_deref()).unwrap_or("info");
    let parsed = EnvFilter::try_new(format!("{STORAGE},{filter}")).map_err(|error| {
        format!("log filter {filter:?}: {error}; expected a level like info, or warn,keyward_server=debug")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // An error says that somebody started logging before: theirs holds.
    let _ = match options.format.unwrap_or(configured.format) {
        LogFormat::Text => lines.with_target(false).finish().try_init(),
        LogFormat::Json => lines.json().finish().try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_peer_chose_is_escaped_once_in_a_log_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let topic = crate::escape::cut("a\\b\n\u{1b}[2J\u{202e}\"", 128);
        tracing::subscriber::with_default(log, || tracing::info!(topic, "denied"));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains(r#"topic="a\\b\n\u{1b}[2J\u{202e}\"""#), "{text}");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let options = LogOptions { filter: Some("keyward=loud".to_owned()), ..LogOptions::default() };
        let error = start(&options, &Log::default()).unwrap_err();
        assert!(error.contains("keyward=loud") && error.contains("expected a level"), "{error}");
    }
}
