//! The caller's side of the control socket.

use super::{
    Refusal, Request, Response, SCHEMA, limits,
    line::{self, Cut, Lines},
    stream::Joined,
};
use crate::{home::Home, socket_path::SocketPath};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, ErrorKind},
    os::unix::net::UnixStream,
};

/// Holds one connection to a running broker.
pub struct Client {
    stream: UnixStream,
    lines: Lines,
}

/// Says why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was refused; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No broker runs in this directory.
    #[error("no broker runs in {0}; start it with `keyward up`")]
    NotRunning(String),
    /// The socket failed.
    #[error("the control socket failed: {0}; `keyward status` tells whether the broker runs")]
    Socket(#[from] io::Error),
    /// The answer is not what this version understands.
    #[error("the broker's answer is not understood ({0}); it may be another version of Keyward")]
    Answer(String),
}

#[derive(Serialize)]
struct Asking<'a> {
    schema: u32,
    request: &'a Request,
}

#[derive(Deserialize)]
struct Answered {
    schema: u32,
    response: Option<Response>,
    refused: Option<Refusal>,
}

impl Client {
    /// Connects to the broker that runs in `home`.
    ///
    /// # Errors
    /// [`CallError::NotRunning`] if none does.
    pub fn connect(home: &Home) -> Result<Self, CallError> {
        let socket = home.control_socket();
        let stream = SocketPath::of(&socket).and_then(|path| UnixStream::connect(path.path()));
        let stream = stream.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                CallError::NotRunning(home.directory().display().to_string())
            }
            _ => CallError::Socket(error),
        })?;
        stream.set_read_timeout(Some(limits::CONTROL_ANSWER_TIME))?;
        stream.set_write_timeout(Some(limits::CONTROL_ANSWER_TIME))?;
        Ok(Self { stream, lines: Lines::new(limits::CONTROL_ANSWER_BYTES) })
    }

    /// Asks and waits for the answer; a change is durable and in force when it comes.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, request: &Request) -> Result<Response, CallError> {
        self.ask(request)
    }

    /// Asks for what is answered by a stream of bytes: returns the answer that begins it, and the stream.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn stream(mut self, request: &Request) -> Result<(Response, Stream), CallError> {
        let begins = self.ask(request)?;
        Ok((begins, Stream { client: self, joined: Joined::new() }))
    }

    fn ask(&mut self, request: &Request) -> Result<Response, CallError> {
        // A broker that has no place for another connection refuses and closes before it reads: its answer lies here
        // although the question could not be written.
        let written = line::write(&mut self.stream, &Asking { schema: SCHEMA, request });
        self.answer(written)
    }

    fn answer(&mut self, written: io::Result<()>) -> Result<Response, CallError> {
        let line = self.lines.next(&mut self.stream).map_err(|cut| match (written, cut) {
            (Err(error), _) | (Ok(()), Cut::Broken(error)) => CallError::Socket(error),
            (Ok(()), Cut::Closed) => CallError::Socket(ErrorKind::UnexpectedEof.into()),
            (Ok(()), Cut::TooLong(max)) => CallError::Answer(format!("longer than {max} bytes")),
        })?;
        read(&line)
    }
}

/// Is the stream of bytes that follows an answer.
pub struct Stream {
    client: Client,
    joined: Joined,
}

impl Stream {
    /// Waits for the answer behind the stream, whose end must have been read.
    ///
    /// # Errors
    /// [`CallError`]: the broker could not go on, and says why.
    pub fn finish(mut self) -> Result<Response, CallError> {
        self.client.answer(Ok(()))
    }
}

impl io::Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Client { stream, lines } = &mut self.client;
        self.joined.read(&mut Ahead { stream, lines }, into)
    }
}

/// Reads what was read along with the last line first.
struct Ahead<'a> {
    stream: &'a mut UnixStream,
    lines: &'a mut Lines,
}

impl io::Read for Ahead<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.lines.read_on(self.stream, into)
    }
}

/// Reads one answer. What is not understood is not quoted: it may hold a password.
pub(crate) fn read(line: &[u8]) -> Result<Response, CallError> {
    let answer: Answered = serde_json::from_slice(line)
        .map_err(|error| CallError::Answer(format!("column {}", error.column())))?;
    match (answer.response, answer.refused) {
        (Some(response), None) if answer.schema == SCHEMA => Ok(response),
        (None, Some(refusal)) => Err(CallError::Refused(refusal)),
        _ => Err(CallError::Answer(format!("schema {}", answer.schema))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_understood_is_not_quoted() {
        let line = br#"{"schema":1,"response":{"user_added":{"name":"anna","password":["hunter2"]}}}"#;
        for line in [line.as_slice(), br#"{"schema":1,"response":"hunter2"}"#, b"hunter2"] {
            let error = read(line).err().unwrap().to_string();
            assert!(error.contains("column") && !error.contains("hunter2"), "{error}");
        }
    }
}
