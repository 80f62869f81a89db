//! What the watch hears, in a file that can be played to another: one event a line, in JSON.
//!
//! Recorded is as much as the operator gives room for, in two files: when the newer one has half of it, it takes the place of the older. Each
//! begins with the devices that there are and where they stand.

use keyward_watch::Watch;
use keyward_watch::event::{Event, UnixMillis};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Is one line.
#[derive(Serialize, Deserialize)]
pub(super) struct Line<'a> {
    pub(super) at: UnixMillis,
    pub(super) event: Cow<'a, Event>,
}

/// Writes what is heard.
pub(super) struct Recorder {
    file: PathBuf,
    /// Bytes of both files together.
    room: u64,
    out: Option<BufWriter<File>>,
    written: u64,
}

impl Recorder {
    /// Records into `file`, and keeps what was before beside it; nothing is recorded if there is no room.
    pub(super) fn new(file: PathBuf, room: u64) -> Self {
        Self { file, room, out: None, written: 0 }
    }

    /// Takes an event that `watch` is about to hear.
    pub(super) fn note(&mut self, at: UnixMillis, event: &Event, watch: &Watch) {
        if self.room == 0 {
            return;
        }
        if let Err(error) = self.try_note(at, event, watch) {
            tracing::error!(
                file = %self.file.display(),
                "what the watch hears is recorded no longer, until the next start: {error}"
            );
            (self.room, self.out) = (0, None);
        }
    }

    fn try_note(&mut self, at: UnixMillis, event: &Event, watch: &Watch) -> io::Result<()> {
        if self.out.is_none() || self.written > self.room / 2 {
            self.begin(at, watch)?;
        }
        self.write(at, event)
    }

    /// Begins a file: that of before is the older one now.
    fn begin(&mut self, at: UnixMillis, watch: &Watch) -> io::Result<()> {
        self.flush()?;
        if self.file.exists() {
            fs::rename(&self.file, self.file.with_extension("before.jsonl"))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file)?;
        (self.out, self.written) = (Some(BufWriter::new(file)), 0);
        for (device, place) in watch.places() {
            self.write(at, &Event::Registered { device: device.clone(), place: place.clone() })?;
        }
        for (device, declared) in watch.declared() {
            let declared = Box::new(declared.clone());
            self.write(at, &Event::Declared { device: device.clone(), declared })?;
        }
        if self.written > self.room / 2 {
            // Else each event would begin a file.
            let needed = self.written.saturating_mul(4);
            return Err(io::Error::other(format!(
                "there is no room beside the devices: `record` in the section [watch] of keyward.toml has to be some {needed} bytes"
            )));
        }
        Ok(())
    }

    fn write(&mut self, at: UnixMillis, event: &Event) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let mut line = serde_json::to_vec(&Line { at, event: Cow::Borrowed(event) })?;
        line.push(b'\n');
        self.written += line.len() as u64;
        out.write_all(&line)
    }

    /// Hands over what was gathered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_watch::event::Place;

    #[test]
    fn what_is_recorded_has_bounds_and_each_file_begins_with_the_devices() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watch.jsonl");
        let mut watch = Watch::new();
        let device: keyward_ids::DeviceId = "pump".parse().unwrap();
        watch.handle(UnixMillis(1), &Event::Registered { device: device.clone(), place: Place::default() });
        let room = 4_000;
        let mut recorder = Recorder::new(file.clone(), room);
        for at in 0..200 {
            recorder.note(UnixMillis(at), &Event::Denied { device: device.clone() }, &watch);
        }
        recorder.flush().unwrap();
        let older = file.with_extension("before.jsonl");
        for path in [&file, &older] {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.len() as u64 <= room / 2 + 300, "{}", text.len());
            let first: Line<'_> = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert!(matches!(*first.event, Event::Registered { .. }));
        }
        let last: Line<'_> =
            serde_json::from_str(fs::read_to_string(&file).unwrap().lines().last().unwrap()).unwrap();
        assert_eq!(last.at, UnixMillis(199));
    }

    #[test]
    fn devices_that_fill_the_room_end_the_recording_and_not_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watch.jsonl");
        let mut watch = Watch::new();
        for number in 0..20 {
            let device = format!("pump-{number}").parse().unwrap();
            watch.handle(UnixMillis(1), &Event::Registered { device, place: Place::default() });
        }
        let mut recorder = Recorder::new(file.clone(), 1_000);
        (0..5).for_each(|at| recorder.note(UnixMillis(at), &Event::Restarted, &watch));
        assert_eq!((recorder.room, file.with_extension("before.jsonl").exists()), (0, false));
    }

    #[test]
    fn nothing_is_recorded_without_room_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("watch.jsonl"), folder.path().join("elsewhere"));
        let event = Event::Restarted;
        Recorder::new(file.clone(), 0).note(UnixMillis(1), &event, &Watch::new());
        assert!(!file.exists());
        keyward_identity::files::write_new(&elsewhere, b"kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        let mut recorder = Recorder::new(file, 1_000);
        recorder.note(UnixMillis(1), &event, &Watch::new());
        recorder.flush().unwrap();
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
    }
}
