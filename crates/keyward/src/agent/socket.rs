//! The agent's Unix socket: programs of this machine say lines, and each line is answered with one.

use super::answers::Programs;
use super::config::SocketPlace;
use super::intake::{Intake, next_line};
use crate::failure::{Failure, Outcome};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::{BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::{fs, thread};

/// Programs that are served at a time.
const CONNECTIONS: usize = 32;

/// How long a program may take to read an answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long the agent waits when it could not take a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the socket on threads of their own.
pub(crate) fn serve(place: &SocketPlace, intake: &Intake, programs: &Programs) -> Outcome {
    let listener = open(place)?;
    let (intake, programs) = (intake.clone(), programs.clone());
    let served = Arc::new(AtomicUsize::new(0));
    spawn("socket", move || {
        // Nobody speaks on this: it is what waits.
        let (_never, time) = sync_channel::<()>(0);
        for stream in listener.incoming() {
            // One that hung up at once, or too many open files: the next may come through.
            let Ok(stream) = stream else {
                let _ = time.recv_timeout(ACCEPT_PAUSE);
                continue;
            };
            if served.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
                served.fetch_sub(1, Ordering::AcqRel);
                drop((&stream).write_all(b"error 32 programs are connected already\n"));
                continue;
            }
            let (intake, programs) = (intake.clone(), programs.clone());
            let place = Arc::clone(&served);
            let work = move || {
                converse(&stream, &intake, &programs);
                place.fetch_sub(1, Ordering::AcqRel);
            };
            if spawn("program", work).is_err() {
                served.fetch_sub(1, Ordering::AcqRel);
            }
        }
    })
}

/// Starts a thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Outcome {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|error| Failure::failed(format!("no thread could be started: {error}")))
}

fn open(place: &SocketPlace) -> Outcome<UnixListener> {
    let path = &place.path;
    let failed = |error| Failure::file(path, &error);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(Failure::failed(format!(
                "{}: something else than a socket is there",
                path.display()
            )));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(Failure::failed(format!("{}: another agent answers there", path.display())));
        }
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(_) => {}
    }
    // It appears under its name with its mode: nobody gets in between.
    let raw = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&raw).map_err(failed)?;
    let mode = if place.group { 0o660 } else { 0o600 };
    let named =
        fs::set_permissions(&raw, fs::Permissions::from_mode(mode)).and_then(|()| fs::rename(&raw, path));
    if let Err(error) = named {
        drop(fs::remove_file(&raw));
        return Err(failed(error));
    }
    Ok(listener)
}

fn converse(stream: &UnixStream, intake: &Intake, programs: &Programs) {
    let (Ok(reading), Ok(writing)) = (stream.try_clone(), stream.try_clone()) else { return };
    if writing.set_write_timeout(Some(ANSWER_TIME)).is_err() {
        return;
    }
    let answers = programs.join();
    let told = Arc::clone(&answers);
    let write = move || {
        told.write(|text| (&writing).write_all(text));
        // It was told everything, or does not read: whoever waits for it here waits no longer.
        drop(writing.shutdown(Shutdown::Both));
    };
    if spawn("answers", write).is_err() {
        return;
    }
    intake.hear(reading, &answers);
    answers.finish();
    // A program that says no more may still hear, till it is told everything.
    wait_hung_up(stream);
    answers.hang_up();
}

/// Waits until one of both sides has closed the connection wholly.
fn wait_hung_up(stream: &UnixStream) {
    let mut places = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::empty())];
    while poll(&mut places, None) == Err(Errno::INTR) {}
}

/// Says one line to a running agent and returns its answer, which takes `within` at most.
pub(crate) fn ask(path: &Path, line: &[u8], within: Duration) -> Outcome<String> {
    let failed = |problem: String| Failure::failed(format!("{}: {problem}", path.display()));
    let broken = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => failed(format!(
            "the agent gave no answer within {} s, and what was said may be done or not",
            within.as_secs()
        )),
        _ => failed(format!("{error}; is the agent running, and is this its socket?")),
    };
    let mut stream = UnixStream::connect(path).map_err(broken)?;
    stream.set_read_timeout(Some(within)).map_err(broken)?;
    stream.write_all(&[line, b"\n"].concat()).map_err(broken)?;
    let mut answer = Vec::new();
    if !next_line(&mut BufReader::new(stream), &mut answer).map_err(broken)? {
        return Err(failed("the agent ended before it answered".to_owned()));
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
