//! MQTT over WebSocket without IO: the request that begins it ([`upgrade`]), then frames ([`frame`]). It lies between the
//! TLS channel and MQTT, and moves with its link from the door to a worker.
//!
//! What is not here: extensions, of which none is offered, and messages: MQTT packets may lie across frames or several in
//! one ([MQTT-6.0.0-2]), so that a frame is only a way to say how many bytes come.

pub(crate) mod frame;
mod upgrade;

pub use frame::FrameFault;
pub use upgrade::{Origins, UpgradeFault};

use frame::{CloseCode, Frames};
use std::fmt;
use std::sync::Arc;
use upgrade::Upgrade;

/// Is one client's WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stage: Stage,
    frames: Frames,
}

#[derive(Debug)]
enum Stage {
    /// The request has not come, or not as a whole.
    Upgrading(Upgrade),
    /// Frames come and go.
    Open,
    /// Our close is said: nothing more is.
    Closed,
}

/// Says why a WebSocket cannot go on. What the peer is told stands in the answer already.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WebSocketFault {
    /// The request that should begin it is refused.
    Upgrade(UpgradeFault),
    /// Its frames are not in order.
    Frame(FrameFault),
}

impl fmt::Display for WebSocketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upgrade(fault) => fault.fmt(f),
            Self::Frame(fault) => fault.fmt(f),
        }
    }
}

impl WebSocket {
    /// Waits for a request from a page of one of `origins`, or from no page.
    pub(crate) fn new(origins: Arc<Origins>) -> Self {
        Self { stage: Stage::Upgrading(Upgrade::new(origins)), frames: Frames::default() }
    }

    /// Takes bytes of the client, moves what they carry for MQTT to the front of `wire`, and returns how much that is;
    /// appends what there is to answer to `said`, also if it fails.
    ///
    /// # Errors
    /// [`WebSocketFault`]: the peer broke the protocol; nothing more is taken from it.
    pub(crate) fn open(&mut self, wire: &mut [u8], said: &mut Vec<u8>) -> Result<usize, WebSocketFault> {
        let from = match &mut self.stage {
            Stage::Open => 0,
            Stage::Closed => return Ok(0),
            Stage::Upgrading(upgrade) => match upgrade.take(wire, said) {
                Ok(None) => return Ok(0),
                Ok(Some(end)) => {
                    self.stage = Stage::Open;
                    end
                }
                Err(fault) => {
                    self.stage = Stage::Closed;
                    return Err(WebSocketFault::Upgrade(fault));
                }
            },
        };
        let opened = self.frames.open(wire, from);
        if let Some(ping) = self.frames.take_ping() {
            frame::write_pong(&ping, said);
        }
        if let Some(closed) = self.frames.closed() {
            frame::write_close(closed, said);
            self.stage = Stage::Closed;
        }
        opened.map_err(|fault| {
            self.close(fault.code(), said);
            WebSocketFault::Frame(fault)
        })
    }

    /// Appends the head of a frame that carries `length` bytes of MQTT, to be followed by these; false if nothing may be
    /// said any more.
    pub(crate) fn begin_frame(&self, length: usize, out: &mut Vec<u8>) -> bool {
        let is_open = matches!(self.stage, Stage::Open);
        if is_open && length > 0 {
            frame::write_head(length, out);
        }
        is_open
    }

    /// Appends our close, unless it was said.
    pub(crate) fn close(&mut self, code: CloseCode, said: &mut Vec<u8>) {
        if matches!(std::mem::replace(&mut self.stage, Stage::Closed), Stage::Open) {
            frame::write_close(&code.0.to_be_bytes(), said);
        }
    }

    /// Tells whether the peer has closed in order; it is answered.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.frames.closed().is_some()
    }

    /// Returns how many frames have come since it was asked last.
    pub(crate) fn take_frames(&mut self) -> usize {
        self.frames.take_count()
    }

    /// Returns how many bytes it holds of what is not whole.
    pub(crate) fn held(&self) -> usize {
        match &self.stage {
            Stage::Upgrading(upgrade) => upgrade.held(),
            Stage::Open | Stage::Closed => self.frames.held(),
        }
    }
}
