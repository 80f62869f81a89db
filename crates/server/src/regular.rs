//! Work that is done now and then, on a thread of its own.

use std::{
    io,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Does something every so often until it is dropped.
pub(crate) struct Regular {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Regular {
    /// Begins to `act`, the first time after `every`.
    pub(crate) fn start(
        name: &str,
        every: Duration,
        mut act: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        let watch = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                act();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(watch)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Regular {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
