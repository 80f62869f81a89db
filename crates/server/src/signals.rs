//! Signals as requests: SIGHUP reloads, SIGINT and SIGTERM stop.

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};
use std::{
    io,
    thread::{self, JoinHandle},
};

/// Hears signals until it is dropped.
pub(crate) struct Ear {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Says what a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Read configuration and rules again.
    Reload,
    /// Stop.
    Stop,
}

impl Ear {
    /// Calls `heard` on a thread of its own for each signal.
    pub(crate) fn open(heard: impl Fn(Heard) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let listen = move || {
            for signal in signals.forever() {
                heard(if signal == SIGHUP { Heard::Reload } else { Heard::Stop });
            }
        };
        let thread = thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
