//! A WebSocket as a peer meets it: the request that begins it, and its frames, cut in any way.

use keyward_server::decoders::WebSocketLink;
use keyward_server::plane::WebSocketFault;
use keyward_server::plane::limits::UPGRADE_BYTES;

/// A request that is in order.
const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// The most bytes with which a request, a ping or a close is answered.
const ANSWER_BYTES: usize = 512;

/// What a peer got out of its bytes: those for MQTT, or how they failed; and what it was answered.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    text: Vec<u8>,
    fault: Option<WebSocketFault>,
    closed: bool,
    said: Vec<u8>,
}

/// Gives `bytes` in pieces to a link, until it fails.
fn give(link: &mut WebSocketLink, bytes: &[u8], piece: usize) -> Outcome {
    let mut outcome = Outcome { text: Vec::new(), fault: None, closed: false, said: Vec::new() };
    for piece in bytes.chunks(piece) {
        let before = outcome.said.len();
        match link.open(piece, &mut outcome.said) {
            Ok(text) => outcome.text.extend(text),
            Err(fault) => outcome.fault = Some(fault),
        }
        assert!(outcome.said.len() - before <= ANSWER_BYTES, "a long answer");
        assert!(link.held() <= UPGRADE_BYTES, "it holds {} bytes", link.held());
        outcome.closed = link.is_closed_by_peer();
        if outcome.fault.is_some() {
            break;
        }
    }
    outcome
}

/// Reads requests, in pieces: it is the same request however it is cut, and its answer is one of HTTP. The first byte
/// chooses the length of the pieces.
pub fn websocket_upgrade(data: &[u8]) {
    let Some((&piece, request)) = data.split_first() else { return };
    let mut whole = WebSocketLink::accept();
    let at_once = give(&mut whole, request, request.len().max(1));
    let in_pieces = give(&mut WebSocketLink::accept(), request, usize::from(piece) + 1);
    let said = String::from_utf8_lossy(&at_once.said);
    match &at_once.fault {
        Some(WebSocketFault::Upgrade(_)) => {
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
            assert_eq!(at_once.said, in_pieces.said);
        }
        _ => assert!(said.is_empty() || said.starts_with("HTTP/1.1 101 "), "{said}"),
    }
    assert_eq!(at_once.fault, in_pieces.fault);
}

/// Reads frames, in pieces: they carry the same, and fail in the same way, however they are cut. The first byte chooses
/// the length of the pieces.
pub fn websocket_frames(data: &[u8]) {
    let Some((&piece, frames)) = data.split_first() else { return };
    let [at_once, in_pieces] = [frames.len().max(1), usize::from(piece) + 1].map(|piece| {
        let mut link = WebSocketLink::accept();
        let begun = give(&mut link, REQUEST, REQUEST.len());
        assert!(begun.said.starts_with(b"HTTP/1.1 101 ") && begun.fault.is_none());
        give(&mut link, frames, piece)
    });
    assert_eq!((&at_once.fault, at_once.closed), (&in_pieces.fault, in_pieces.closed));
    match at_once.fault {
        None => assert_eq!(at_once.text, in_pieces.text),
        // What comes in one piece with a fault is not taken.
        Some(_) => assert!(at_once.text.is_empty() && at_once.said.len() >= 4),
    }
    assert!(at_once.text.len() <= frames.len());
}
