//! The agent's Unix socket: programs of this machine say lines, and each line is answered with one.

use super::answers::Answers;
use super::config::SocketPlace;
use super::intake::{Intake, Job, next_line};
use super::orders::Orders;
use crate::failure::{Failure, Outcome};
use keyward_device::line::Line;
use std::io::{BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

/// Programs that are served at a time.
const CONNECTIONS: usize = 32;

/// How long a program may take to read an answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Serves the socket on threads of their own.
pub(crate) fn serve(place: &SocketPlace, intake: &Intake, orders: &Arc<Orders>) -> Outcome {
    let listener = open(place)?;
    let (intake, orders) = (intake.clone(), Arc::clone(orders));
    let served = Arc::new(AtomicUsize::new(0));
    spawn("socket", move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if served.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
                served.fetch_sub(1, Ordering::AcqRel);
                drop((&stream).write_all(b"error 32 programs are connected already\n"));
                continue;
            }
            let (intake, orders) = (intake.clone(), Arc::clone(&orders));
            let place = Arc::clone(&served);
            let work = move || {
                converse(&stream, &intake, &orders);
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

fn converse(stream: &UnixStream, intake: &Intake, orders: &Orders) {
    let (Ok(reading), Ok(writing)) = (stream.try_clone(), stream.try_clone()) else { return };
    if writing.set_write_timeout(Some(ANSWER_TIME)).is_err() {
        return;
    }
    let writing = Arc::new(Mutex::new(writing));
    let to = Arc::clone(&writing);
    let answers = Answers::new(move |text| answer(&to, text));
    let mut source = BufReader::new(reading);
    let mut line = Vec::new();
    loop {
        match next_line(&mut source, &mut line) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return answers.place().answer(format!("error {error}")),
        }
        let place = answers.place();
        match Line::read(&line) {
            Ok(Line::Report { topic, payload, is_json, retain }) => {
                let answer = Box::new(move |text: String| place.answer(text));
                if !intake.report(Job { topic, payload, is_json, retain, answer }) {
                    return;
                }
            }
            Ok(Line::Commands) => {
                orders.add_listener(Arc::clone(&writing));
                place.answer("ok".to_owned());
            }
            Ok(word) => place.answer(intake.obey_word(&word)),
            Err(error) => place.answer(format!("error {error}")),
        }
    }
}

/// Writes a line to a program; one that does not read loses its connection.
pub(crate) fn answer(to: &Mutex<UnixStream>, text: &str) {
    let line = format!("{}\n", text.replace('\n', " "));
    let mut stream = to.lock().unwrap_or_else(PoisonError::into_inner);
    if stream.write_all(line.as_bytes()).is_err() {
        drop(stream.shutdown(std::net::Shutdown::Both));
    }
}

/// Says one line to a running agent and returns its answer.
pub(crate) fn ask(path: &Path, line: &[u8]) -> Outcome<String> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("{}: {error}; is the agent running, and is this its socket?", path.display()))
    };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    stream.write_all(&[line, b"\n"].concat()).map_err(failed)?;
    let mut answer = Vec::new();
    next_line(&mut BufReader::new(stream), &mut answer).map_err(failed)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
