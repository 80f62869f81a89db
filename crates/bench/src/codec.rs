//! MQTT 3.1.1 and 5 as bytes, as far as the generator and the relay need them. It shares no code with the broker, so
//! that a fault of one is not hidden by the same fault of the other.
//!
//! Not here: properties (the encoder writes none, the decoder skips them), wills, topic aliases.

use thiserror::Error;

/// Bytes of the longest frame that is taken: more is a fault of the peer.
pub(crate) const MAX_FRAME: usize = 4 * 1024 * 1024;

/// The version that a link speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

/// Says what is wrong with a frame.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    #[error("a remaining length of more than four bytes")]
    Length,
    #[error("a frame that ends in the middle of a field")]
    Short,
    #[error("an unexpected packet type {0}")]
    Type(u8),
}

/// The four acknowledgements, by their first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ack {
    Puback = 0x40,
    Pubrec = 0x50,
    Pubrel = 0x62,
    Pubcomp = 0x70,
}

/// A frame that arrived; it borrows from the buffer that it was read into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Connect { version: Version },
    Connack { code: u8 },
    Publish { qos: u8, topic: &'a [u8], id: u16, id_at: usize, payload: &'a [u8] },
    Ack { ack: Ack, id: u16, code: u8 },
    Subscribe { id: u16, filter: &'a [u8], qos: u8 },
    Suback { id: u16, code: u8, refused: u64 },
    Unsuback { id: u16 },
    Pingreq,
    Pingresp,
    Disconnect { code: u8 },
}

/// What a CONNECT says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connect<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) clean: bool,
    /// Seconds for which a session of 5.0 outlives its link; 3.1.1 has only `clean`.
    pub(crate) expiry_secs: u32,
    /// User name and password.
    pub(crate) login: Option<(&'a str, &'a str)>,
}

/// Appends a CONNECT without keep-alive.
pub(crate) fn connect(out: &mut Vec<u8>, version: Version, connect: Connect<'_>) {
    let mut body = Vec::with_capacity(64);
    text(&mut body, b"MQTT");
    body.push(if version == Version::V5 { 5 } else { 4 });
    body.push(u8::from(connect.clean) << 1 | if connect.login.is_some() { 0xC0 } else { 0 });
    body.extend_from_slice(&[0, 0]);
    if version == Version::V5 {
        body.extend_from_slice(&[5, 0x11]);
        body.extend_from_slice(&connect.expiry_secs.to_be_bytes());
    }
    text(&mut body, connect.client_id.as_bytes());
    if let Some((user, password)) = connect.login {
        text(&mut body, user.as_bytes());
        text(&mut body, password.as_bytes());
    }
    frame(out, 0x10, &body);
}

/// Appends a CONNACK that admits.
pub(crate) fn connack(out: &mut Vec<u8>, version: Version) {
    let body: &[u8] = if version == Version::V5 { &[0, 0, 0] } else { &[0, 0] };
    frame(out, 0x20, body);
}

/// Appends a SUBSCRIBE for some filters, all with one QoS.
pub(crate) fn subscribe<'a>(
    out: &mut Vec<u8>,
    version: Version,
    id: u16,
    filters: impl IntoIterator<Item = &'a str>,
    qos: u8,
) {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        text(&mut body, filter.as_bytes());
        body.push(qos);
    }
    frame(out, 0x82, &body);
}

/// Appends an UNSUBSCRIBE of 5.0.
pub(crate) fn unsubscribe<'a>(out: &mut Vec<u8>, id: u16, filters: impl IntoIterator<Item = &'a str>) {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    for filter in filters {
        text(&mut body, filter.as_bytes());
    }
    frame(out, 0xA2, &body);
}

/// Appends a SUBACK for one filter.
pub(crate) fn suback(out: &mut Vec<u8>, version: Version, id: u16, qos: u8) {
    let [high, low] = id.to_be_bytes();
    let with: &[u8] = &[high, low, 0, qos];
    let without: &[u8] = &[high, low, qos];
    frame(out, 0x90, if version == Version::V5 { with } else { without });
}

/// Appends a PUBLISH; `id` counts only above QoS 0.
pub(crate) fn publish(out: &mut Vec<u8>, version: Version, message: Publish<'_>) -> Places {
    let Publish { topic, qos, retain, id, payload } = message;
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    text(&mut body, topic.as_bytes());
    let id_in_body = body.len();
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    let payload_in_body = body.len();
    body.extend_from_slice(payload);
    let start = out.len();
    frame(out, 0x30 | qos << 1 | u8::from(retain), &body);
    let header = out.len() - start - body.len();
    Places { id: header + id_in_body, payload: header + payload_in_body }
}

/// A message to publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) id: u16,
    pub(crate) payload: &'a [u8],
}

/// Where in an encoded PUBLISH things stand that differ from message to message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) id: usize,
    pub(crate) payload: usize,
}

/// Appends an acknowledgement; without a reason code it is the same in both versions.
pub(crate) fn ack(out: &mut Vec<u8>, ack: Ack, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[ack as u8, 2, high, low]);
}

/// Appends a PINGRESP.
pub(crate) fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

/// Appends a DISCONNECT.
pub(crate) fn disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xE0, 0]);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    // Only topics, names and passwords of this program come here; a longer one would be cut, not wrapped.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

fn frame(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    let mut rest = body.len();
    loop {
        let more = rest > 0x7F;
        out.push((rest & 0x7F) as u8 | if more { 0x80 } else { 0 });
        rest >>= 7;
        if !more {
            break;
        }
    }
    out.extend_from_slice(body);
}

/// Returns the first frame of `bytes` and its length, or `None` if it is not there in whole.
///
/// # Errors
/// [`Malformed`] for what is no frame or none that a measurement has.
pub(crate) fn decode(bytes: &[u8], version: Version) -> Result<Option<(Frame<'_>, usize)>, Malformed> {
    let Some((length, header)) = remaining_length(bytes)? else { return Ok(None) };
    let end = header + length;
    if end > MAX_FRAME {
        return Err(Malformed::TooLong(end));
    }
    let Some(body) = bytes.get(header..end) else { return Ok(None) };
    Ok(Some((parse(bytes[0], Fields { body, at: 0 }, header, version)?, end)))
}

fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (n, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return Ok(Some((length, n + 2)));
        }
    }
    if bytes.len() > 4 { Err(Malformed::Length) } else { Ok(None) }
}

fn parse(first: u8, mut fields: Fields<'_>, header: usize, version: Version) -> Result<Frame<'_>, Malformed> {
    let v5 = version == Version::V5;
    Ok(match first >> 4 {
        1 => {
            fields.text()?;
            Frame::Connect { version: if fields.byte()? == 5 { Version::V5 } else { Version::V311 } }
        }
        2 => {
            fields.byte()?;
            Frame::Connack { code: fields.byte()? }
        }
        3 => {
            let qos = first >> 1 & 3;
            let topic = fields.text()?;
            let id_at = header + fields.at;
            let id = if qos > 0 { fields.id()? } else { 0 };
            if v5 {
                fields.skip_properties()?;
            }
            Frame::Publish { qos, topic, id, id_at, payload: fields.rest() }
        }
        4 => fields.acknowledges(Ack::Puback)?,
        5 => fields.acknowledges(Ack::Pubrec)?,
        6 => fields.acknowledges(Ack::Pubrel)?,
        7 => fields.acknowledges(Ack::Pubcomp)?,
        8 => {
            let id = fields.id()?;
            if v5 {
                fields.skip_properties()?;
            }
            Frame::Subscribe { id, filter: fields.text()?, qos: fields.byte()? & 3 }
        }
        9 => {
            let id = fields.id()?;
            if v5 {
                fields.skip_properties()?;
            }
            let codes = fields.rest();
            let refused = codes.iter().filter(|code| **code >= 0x80).count() as u64;
            // The highest of all codes: one refused filter makes it a refusal.
            Frame::Suback { id, code: codes.iter().copied().max().ok_or(Malformed::Short)?, refused }
        }
        11 => Frame::Unsuback { id: fields.id()? },
        12 => Frame::Pingreq,
        13 => Frame::Pingresp,
        14 => Frame::Disconnect { code: fields.byte().unwrap_or(0) },
        other => return Err(Malformed::Type(other)),
    })
}

struct Fields<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.body.get(self.at..self.at + count).ok_or(Malformed::Short)?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|one| one[0])
    }

    fn id(&mut self) -> Result<u16, Malformed> {
        self.take(2).map(|two| u16::from_be_bytes([two[0], two[1]]))
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.id()?;
        self.take(length.into())
    }

    fn rest(&self) -> &'a [u8] {
        &self.body[self.at..]
    }

    fn skip_properties(&mut self) -> Result<(), Malformed> {
        let mut length = 0;
        for n in 0..4 {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7F) << (7 * n);
            if byte & 0x80 == 0 {
                return self.take(length).map(|_| ());
            }
        }
        Err(Malformed::Length)
    }

    fn acknowledges(&mut self, ack: Ack) -> Result<Frame<'a>, Malformed> {
        Ok(Frame::Ack { ack, id: self.id()?, code: self.byte().unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8], version: Version) -> Frame<'_> {
        let (frame, length) = decode(bytes, version).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        frame
    }

    fn message(qos: u8, payload: &[u8]) -> Publish<'_> {
        Publish { topic: "a/b", qos, retain: false, id: 0x0102, payload }
    }

    #[test]
    fn a_publish_of_qos_1_is_what_the_standard_draws() {
        let mut out = Vec::new();
        let places = publish(&mut out, Version::V311, message(1, b"hi"));
        assert_eq!(out, b"\x32\x09\x00\x03a/b\x01\x02hi");
        assert_eq!(places, Places { id: 7, payload: 9 });
    }

    #[test]
    fn a_publish_comes_back_as_it_was_encoded() {
        for version in [Version::V311, Version::V5] {
            for qos in 0..=2 {
                let mut out = Vec::new();
                let places = publish(&mut out, version, message(qos, &[7; 300]));
                let Frame::Publish { qos: found, topic, id, id_at, payload } = one(&out, version) else {
                    panic!("not a PUBLISH")
                };
                assert_eq!((found, topic, payload), (qos, &b"a/b"[..], &[7; 300][..]));
                assert_eq!(id, if qos == 0 { 0 } else { 0x0102 });
                assert_eq!(id_at, places.id);
                assert_eq!(&out[places.payload..], &[7; 300]);
            }
        }
    }

    #[test]
    fn half_a_frame_waits_for_its_other_half() {
        let mut out = Vec::new();
        publish(&mut out, Version::V311, message(0, &[7; 200]));
        for cut in 0..out.len() {
            assert_eq!(decode(&out[..cut], Version::V311), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn a_connect_names_its_version_and_login() {
        let mut out = Vec::new();
        let who = Connect { client_id: "c", clean: true, expiry_secs: 0, login: Some(("u", "p")) };
        connect(&mut out, Version::V311, who);
        assert_eq!(out, b"\x10\x13\x00\x04MQTT\x04\xC2\x00\x00\x00\x01c\x00\x01u\x00\x01p");
        out.clear();
        connect(&mut out, Version::V5, who);
        assert_eq!(one(&out, Version::V5), Frame::Connect { version: Version::V5 });
    }

    #[test]
    fn one_refused_filter_makes_a_suback_a_refusal() {
        let bytes = b"\x90\x05\x00\x07\x01\x80\x01";
        assert_eq!(one(bytes, Version::V311), Frame::Suback { id: 7, code: 0x80, refused: 1 });
    }

    #[test]
    fn properties_are_skipped() {
        let bytes = b"\x30\x08\x00\x01t\x03\x23\x00\x01x";
        let Frame::Publish { payload, .. } = one(bytes, Version::V5) else { panic!("not a PUBLISH") };
        assert_eq!(payload, b"x");
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        assert_eq!(decode(b"\x30\xFF\xFF\xFF\xFF", Version::V311), Err(Malformed::Length));
        assert_eq!(decode(b"\x30\xFF\xFF\xFF\x7F", Version::V311), Err(Malformed::TooLong(268_435_460)));
        assert_eq!(decode(b"\x30\x02\x00\x09", Version::V311), Err(Malformed::Short));
        assert_eq!(decode(b"\xF0\x00", Version::V311), Err(Malformed::Type(15)));
    }
}
