//! What frames give, however they are cut, and which are refused with which code.

use super::*;
use proptest::prelude::*;

/// Writes one frame of a client.
fn frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_head(payload.len(), &mut bytes);
    bytes[0] = first;
    bytes[1] |= MASKED;
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(FINAL | BINARY, payload, [1, 2, 3, 4])
}

fn open(frames: &mut Frames, bytes: &[u8]) -> Result<Vec<u8>, FrameFault> {
    let mut wire = bytes.to_vec();
    let length = frames.open(&mut wire, 0)?;
    wire.truncate(length);
    Ok(wire)
}

fn open_once(bytes: &[u8]) -> Result<Vec<u8>, FrameFault> {
    open(&mut Frames::default(), bytes)
}

/// Gives bytes in pieces of one byte; what is refused must be refused by then as well.
fn open_by_byte(bytes: &[u8]) -> Result<Vec<u8>, FrameFault> {
    let mut frames = Frames::default();
    let pieces: Result<Vec<_>, _> = bytes.chunks(1).map(|byte| open(&mut frames, byte)).collect();
    Ok(pieces?.concat())
}

// RFC 6455 §5.7: a single-frame masked message, as binary.
#[test]
fn the_example_of_the_rfc_is_read() {
    let bytes = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(open_once(&bytes).unwrap(), b"Hello");
}

#[test]
fn our_frames_have_the_shortest_length_that_there_is() {
    for (length, head) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 255, 255]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut out = Vec::new();
        write_head(length, &mut out);
        assert_eq!(out, head);
    }
}

#[test]
fn frames_that_break_the_protocol_are_refused_with_the_right_code_however_they_are_cut() {
    let key = [9, 8, 7, 6];
    let unmasked = vec![FINAL | BINARY, 1, b'x'];
    let long = |length: u64| {
        let mut bytes = vec![FINAL | BINARY, MASKED | 127];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&key);
        bytes
    };
    let middle = |length: u16| {
        let [high, low] = length.to_be_bytes();
        vec![FINAL | BINARY, MASKED | 126, high, low, 0, 0, 0, 0]
    };
    let close = |payload: &[u8]| frame(FINAL | CLOSE, payload, key);
    for (bytes, fault, code) in [
        (unmasked, FrameFault::Unmasked, 1002),
        (frame(FINAL | BINARY | 0x40, b"x", key), FrameFault::ReservedBits, 1002),
        (frame(FINAL | BINARY | 0x10, b"x", key), FrameFault::ReservedBits, 1002),
        (frame(FINAL | 3, b"x", key), FrameFault::UnknownKind, 1002),
        (frame(FINAL | 15, b"x", key), FrameFault::UnknownKind, 1002),
        (frame(FINAL | TEXT, b"x", key), FrameFault::Text, 1003),
        (frame(TEXT, b"x", key), FrameFault::Text, 1003),
        (frame(FINAL | PING, &[0; 126], key), FrameFault::LongControl, 1002),
        (frame(PING, b"x", key), FrameFault::LongControl, 1002),
        (frame(CLOSE, &[], key), FrameFault::LongControl, 1002),
        (frame(FINAL | CONTINUATION, b"x", key), FrameFault::Sequence, 1002),
        ([frame(BINARY, b"x", key), binary(b"y")].concat(), FrameFault::Sequence, 1002),
        (middle(125), FrameFault::Length, 1002),
        (long(65_535), FrameFault::Length, 1002),
        (long(1 << 63), FrameFault::Length, 1002),
        (long(WEBSOCKET_FRAME_BYTES + 1), FrameFault::TooLong, 1009),
        (close(&[3]), FrameFault::BadClose, 1002),
        (close(&1005_u16.to_be_bytes()), FrameFault::BadClose, 1002),
        (close(&1006_u16.to_be_bytes()), FrameFault::BadClose, 1002),
        (close(&999_u16.to_be_bytes()), FrameFault::BadClose, 1002),
        (close(&5000_u16.to_be_bytes()), FrameFault::BadClose, 1002),
        (close(&[3, 0xe8, 0xff]), FrameFault::BadReason, 1007),
    ] {
        assert_eq!(open_once(&bytes), Err(fault), "{bytes:x?}");
        assert_eq!(open_by_byte(&bytes), Err(fault), "{bytes:x?}");
        assert_eq!(fault.code(), CloseCode(code));
    }
}

#[test]
fn the_longest_frame_is_as_long_as_the_longest_packet() {
    let mut bytes = vec![FINAL | BINARY, MASKED | 127];
    bytes.extend_from_slice(&WEBSOCKET_FRAME_BYTES.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 0, b'x']);
    assert_eq!(open_once(&bytes).unwrap(), b"x");
}

#[test]
fn only_the_last_of_many_pings_is_answered_and_pongs_are_let_pass() {
    let key = [1, 1, 1, 1];
    let pings =
        [frame(FINAL | PING, b"one", key), frame(FINAL | PONG, b"-", key), frame(FINAL | PING, b"two", key)];
    let mut frames = Frames::default();
    assert!(open(&mut frames, &pings.concat()).unwrap().is_empty());
    assert_eq!(frames.take_ping().unwrap(), b"two");
    assert_eq!((frames.take_ping(), frames.take_count(), frames.held()), (None, 3, 0));
}

#[test]
fn nothing_is_taken_behind_a_close() {
    let close = frame(FINAL | CLOSE, &[3, 0xe9, b'!'], [5; 4]);
    let mut frames = Frames::default();
    let bytes = [binary(b"before"), close, binary(b"behind")].concat();
    assert_eq!(open(&mut frames, &bytes).unwrap(), b"before");
    assert_eq!(frames.closed(), Some(&[3, 0xe9, b'!'][..]));
    assert!(open(&mut frames, &binary(b"later")).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_cut_and_any_fragments_give_the_same_bytes(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..400), any::<[u8; 4]>(), any::<bool>()), 1..12),
        cuts in prop::collection::vec(1_usize..300, 1..40),
        pings in any::<bool>(),
    ) {
        let mut stream = Vec::new();
        let mut goes_on = false;
        for (payload, key, is_last) in &parts {
            let kind = if goes_on { CONTINUATION } else { BINARY };
            stream.extend(frame(if *is_last { FINAL | kind } else { kind }, payload, *key));
            goes_on = !is_last;
            if pings {
                stream.extend(frame(FINAL | PING, &payload[..payload.len().min(125)], *key));
            }
        }
        let expected: Vec<u8> = parts.iter().flat_map(|(payload, ..)| payload.clone()).collect();
        prop_assert_eq!(&open_once(&stream).unwrap(), &expected);
        let (mut frames, mut got, mut rest) = (Frames::default(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            got.extend(open(&mut frames, piece).unwrap());
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&got, &expected);
    }
}
