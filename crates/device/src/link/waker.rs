//! Wakes the thread of the link, which waits for its socket.

use crate::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Wakes whoever waits at the other end.
#[derive(Debug)]
pub(crate) struct Waker(UnixStream);

/// Waits to be woken.
#[derive(Debug)]
pub(crate) struct Wakes(UnixStream);

impl Waker {
    /// Makes both ends.
    pub(crate) fn pair() -> std::io::Result<(Self, Wakes)> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok((Self(near), Wakes(far)))
    }

    /// Wakes the other end. If so many wakings lie there that there is no room, it will wake anyway.
    pub(crate) fn wake(&self) {
        drop((&self.0).write(&[1]));
    }
}

impl Wakes {
    /// Waits for a waking, for bytes at `socket`, or until `until`; takes the wakings.
    pub(crate) fn wait(&mut self, socket: Option<BorrowedFd<'_>>, until: Instant) {
        let left = until.saturating_duration_since(clock::now());
        let timeout = Timespec::try_from(left).ok();
        let mut places = vec![PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        places.extend(socket.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        // An interruption is a waking.
        let _ = poll(&mut places, timeout.as_ref());
        let mut bytes = [0; 64];
        loop {
            match self.0.read(&mut bytes) {
                Ok(count) if count == bytes.len() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}
