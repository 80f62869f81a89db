//! The broker's side of the control socket.

use super::{
    Refusal, RefusalCode, Request, Response, SCHEMA, limits,
    line::{self, Cut, Lines},
    stream::Pieces,
};
use crate::{home::Home, peer, socket_path::SocketPath};
use rustix::{
    fs::{Mode, chmod},
    net::Shutdown,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Carries a request out for `actor`.
pub type Handler = dyn Fn(Request, &str) -> Result<Reply, Refusal> + Send + Sync;

/// Is how a request is answered.
pub enum Reply {
    /// By one line.
    Once(Response),
    /// By a line, bytes that the function writes, and the line that it ends with. It runs on the thread of the connection and
    /// is to hold nothing that others wait for; a reader that stops reading ends it.
    Stream(Response, Box<Streaming>),
}

/// Writes a stream, and says how that went.
pub type Streaming = dyn FnOnce(&mut Pieces<'_>) -> Result<Response, Refusal>;

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Once(response)
    }
}

/// Answers operators until it is dropped.
pub struct ControlSocket {
    listener: Arc<UnixListener>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(rename = "schema")]
    _schema: u32,
    request: Request,
}

#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a Response>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a Refusal>,
}

impl<'a> Answer<'a> {
    pub(crate) fn of(result: &'a Result<Response, Refusal>) -> Self {
        Self { schema: SCHEMA, response: result.as_ref().ok(), refused: result.as_ref().err() }
    }
}

impl ControlSocket {
    /// Binds the socket of `home` and answers with `handler`. Whoever calls this holds the store, so a socket that
    /// lies there was left behind by a broker that died.
    ///
    /// # Errors
    /// An IO error if the socket cannot be bound or the thread cannot be started.
    pub fn start(home: &Home, handler: Arc<Handler>) -> io::Result<Self> {
        let path = home.control_socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let address = SocketPath::of(&path)?;
        let listener = Arc::new(UnixListener::bind(address.path())?);
        chmod(&path, Mode::RUSR | Mode::WUSR)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("control".to_owned()).spawn({
            let (listener, stopping) = (Arc::clone(&listener), Arc::clone(&stopping));
            move || accept(&listener, &stopping, &handler)
        })?;
        Ok(Self { listener, stopping, thread: Some(thread), path })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the thread: accept fails on a socket that is shut for reading.
        let woken = rustix::net::shutdown(&*self.listener, Shutdown::Read).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "without file descriptors accept fails at once, again and again"
)]
fn accept(listener: &UnixListener, stopping: &AtomicBool, handler: &Arc<Handler>) {
    let open = Arc::new(AtomicUsize::new(0));
    while !stopping.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => admit(stream, &open, handler),
            Err(_) if stopping.load(Ordering::Acquire) => return,
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept a connection");
                thread::sleep(limits::CONTROL_RETRY);
            }
        }
    }
}

/// Gives the connection a thread, if its peer may speak and there is room.
fn admit(mut stream: UnixStream, open: &Arc<AtomicUsize>, handler: &Arc<Handler>) {
    let Ok(actor) = actor(&stream) else { return };
    let place = Place::take(open);
    if stream.set_read_timeout(Some(limits::CONTROL_SILENCE)).is_err()
        || stream.set_write_timeout(Some(limits::CONTROL_SILENCE)).is_err()
    {
        return;
    }
    let (actor, place) = match (actor, place) {
        (Ok(actor), Some(place)) => (actor, place),
        (Err(refusal), _) => return refuse(&mut stream, &refusal),
        (_, None) => {
            let what = "too many connections to the control socket; try again".to_owned();
            return refuse(&mut stream, &Refusal { code: RefusalCode::WrongMoment, what });
        }
    };
    let handler = Arc::clone(handler);
    let served = thread::Builder::new().name("control-peer".to_owned()).spawn(move || {
        let _place = place;
        serve(&mut stream, &actor, &*handler);
    });
    if let Err(error) = served {
        tracing::warn!(%error, "no thread for a control connection");
    }
}

/// Holds one of the few places for connections, and gives it back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::AcqRel) < limits::CONTROL_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Names the peer for the audit, or refuses it: only this user and root may speak.
fn actor(stream: &UnixStream) -> io::Result<Result<String, Refusal>> {
    let uid = peer::user(stream)?;
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        return Ok(Ok(format!("uid {uid}")));
    }
    tracing::warn!(uid, "a stranger was turned away from the control socket");
    let what = "this broker belongs to another user; only that user and root may control it".to_owned();
    Ok(Err(Refusal { code: RefusalCode::Forbidden, what }))
}

fn serve(stream: &mut UnixStream, actor: &str, handler: &Handler) {
    let mut lines = Lines::new(limits::CONTROL_REQUEST_BYTES);
    loop {
        let result = match lines.next(stream) {
            Ok(line) => parse(&line).and_then(|request| handler(request, actor)),
            Err(Cut::Closed | Cut::Broken(_)) => return,
            Err(Cut::TooLong(max)) => {
                return refuse(stream, &invalid(format!("the request is longer than {max} bytes")));
            }
        };
        if answer(stream, result).is_err() {
            return;
        }
    }
}

fn answer(stream: &mut UnixStream, result: Result<Reply, Refusal>) -> io::Result<()> {
    let result = match result {
        Ok(Reply::Stream(begins, work)) => {
            line::write(stream, &Answer::of(&Ok(begins)))?;
            let mut pieces = Pieces::new(stream);
            let result = work(&mut pieces);
            pieces.finish()?;
            result
        }
        Ok(Reply::Once(response)) => Ok(response),
        Err(refusal) => Err(refusal),
    };
    line::write(stream, &Answer::of(&result))
}

pub(crate) fn parse(line: &[u8]) -> Result<Request, Refusal> {
    let version: Versioned = serde_json::from_slice(line)
        .map_err(|_| invalid("the request is not a JSON object with a `schema` number".to_owned()))?;
    if version.schema != SCHEMA {
        let what = format!("schema {} is not known here, only {SCHEMA}", version.schema);
        return Err(invalid(what));
    }
    // The error of serde would quote what it found, which may be a password: its place is enough.
    serde_json::from_slice::<Asked>(line)
        .map(|asked| asked.request)
        .map_err(|error| invalid(format!("the request is not understood (column {})", error.column())))
}

fn invalid(what: String) -> Refusal {
    Refusal { code: RefusalCode::Invalid, what }
}

fn refuse(stream: &mut UnixStream, refusal: &Refusal) {
    let _ = line::write(stream, &Answer { schema: SCHEMA, response: None, refused: Some(refusal) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{CallError, Client};
    use std::io::{Read, Write};

    fn socket() -> (tempfile::TempDir, Home, ControlSocket) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let handler = |request, actor: &str| match request {
            Request::ClockAccept => Err(invalid(actor.to_owned())),
            Request::StoreCheck => Ok(Reply::Stream(
                Response::StoreCheckBegun,
                Box::new(|pieces| {
                    pieces.write_all(&[7; 300_000]).unwrap();
                    Err(invalid("in the middle".to_owned()))
                }),
            )),
            _ => Ok(Response::Audit(Vec::new()).into()),
        };
        let socket = ControlSocket::start(&home, Arc::new(handler)).unwrap();
        (folder, home, socket)
    }

    fn say(home: &Home, text: &[u8]) -> String {
        let mut stream = UnixStream::connect(home.control_socket()).unwrap();
        // The broker may answer and close before all of an oversized line is written.
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn a_request_is_answered_and_a_refusal_says_for_whom() {
        let (_folder, home, _socket) = socket();
        let mut client = Client::connect(&home).unwrap();
        assert!(matches!(client.call(&Request::DeviceList), Ok(Response::Audit(_))));
        let Err(CallError::Refused(refusal)) = client.call(&Request::ClockAccept) else {
            panic!("not refused");
        };
        assert_eq!(refusal.what, format!("uid {}", rustix::process::geteuid().as_raw()));
    }

    #[test]
    fn a_stream_stands_between_two_answers_and_the_connection_goes_on() {
        let (_folder, home, _socket) = socket();
        let (begins, mut stream) = Client::connect(&home).unwrap().stream(&Request::StoreCheck).unwrap();
        assert!(matches!(begins, Response::StoreCheckBegun));
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert!(bytes == [7; 300_000], "{} bytes", bytes.len());
        let Err(CallError::Refused(refusal)) = stream.finish() else { panic!("not refused") };
        assert_eq!(refusal.what, "in the middle");
        let Err(refused) = Client::connect(&home).unwrap().stream(&Request::ClockAccept) else { panic!() };
        assert!(matches!(refused, CallError::Refused(_)));
    }

    #[test]
    fn what_is_not_a_request_is_refused_without_quoting_it() {
        let (_folder, home, _socket) = socket();
        for text in
            ["hello", "[]", "{\"schema\":2,\"request\":\"status\"}", "{\"schema\":1,\"request\":\"dance\"}"]
        {
            let answer = say(&home, format!("{text}\n").as_bytes());
            assert!(answer.contains("\"refused\":{\"code\":\"invalid\""), "{text} → {answer}");
        }
        let answer =
            say(&home, b"{\"schema\":1,\"request\":{\"user_passwd\":{\"name\":1,\"pass\":\"hunter2\"}}}\n");
        assert!(answer.contains("refused") && !answer.contains("hunter2"), "{answer}");
    }

    #[test]
    fn an_oversized_request_is_refused() {
        let (_folder, home, _socket) = socket();
        let answer = say(&home, &vec![b'x'; limits::CONTROL_REQUEST_BYTES]);
        assert!(answer.contains("longer than 65536 bytes"), "{answer}");
    }

    #[test]
    fn connections_beyond_a_handful_are_turned_away() {
        let (_folder, home, _socket) = socket();
        let mut held: Vec<_> =
            (0..limits::CONTROL_CONNECTIONS).map(|_| Client::connect(&home).unwrap()).collect();
        for client in &mut held {
            client.call(&Request::DeviceList).unwrap();
        }
        // The broker has closed the connection by the time that some of these questions are written.
        for _ in 0..50 {
            let answer = Client::connect(&home).unwrap().call(&Request::DeviceList);
            let Err(CallError::Refused(refusal)) = answer else { panic!("not refused") };
            assert_eq!(refusal.code, RefusalCode::WrongMoment);
        }
    }

    #[test]
    fn the_socket_is_closed_to_others_and_gone_after_the_end() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, home, socket) = socket();
        let mode = fs::metadata(home.control_socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(matches!(Client::connect(&home), Err(CallError::NotRunning(_))));
        assert!(!home.control_socket().exists());
    }

    #[test]
    fn another_user_is_turned_away_even_where_the_modes_of_the_files_let_it_in() {
        use std::os::unix::fs::PermissionsExt;
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can play another user");
            return;
        }
        let (folder, home, _socket) = socket();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(home.control_socket(), fs::Permissions::from_mode(0o666)).unwrap();
        let request = b"{\"schema\":1,\"request\":\"device_list\"}\n";
        assert!(say(&home, request).contains("\"response\""));
        let stranger = thread::spawn(move || {
            // Of this thread alone.
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            say(&home, request)
        });
        let answer = stranger.join().unwrap();
        assert!(answer.contains("\"code\":\"forbidden\"") && !answer.contains("response"), "{answer}");
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced() {
        let (_folder, home, socket) = socket();
        std::mem::forget(socket);
        let again =
            ControlSocket::start(&home, Arc::new(|_, _: &str| Ok(Response::Audit(Vec::new()).into())))
                .unwrap();
        assert!(Client::connect(&home).unwrap().call(&Request::DeviceList).is_ok());
        drop(again);
    }

    #[test]
    fn a_long_path_is_reached_through_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("x".repeat(120)));
        fs::create_dir(home.directory()).unwrap();
        let socket =
            ControlSocket::start(&home, Arc::new(|_, _: &str| Ok(Response::Audit(Vec::new()).into())))
                .unwrap();
        assert!(Client::connect(&home).unwrap().call(&Request::DeviceList).is_ok());
        drop(socket);
    }
}
