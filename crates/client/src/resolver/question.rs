//! One question to a name server and its answer, as bytes (RFC 1035 §4).

use crate::limits::{ADDRESSES, ANSWER_RECORDS};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name, and the longest of its labels, in bytes (RFC 1035 §2.3.4).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// How many aliases (CNAME) lead on.
const ALIASES: usize = 8;

/// Tells whether DNS can be asked for a name, which is in lower case: labels of letters, digits, `-` and `_`.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() <= NAME_BYTES
        && name
            .split('.')
            .all(|label| (1..=LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_plain))
}

/// Is a question for the addresses of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Chosen at random: who cannot read the question does not know it.
    pub(crate) id: u16,
    pub(crate) name: &'a str,
    /// For IPv6 addresses, else IPv4.
    pub(crate) v6: bool,
}

/// Is what an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These; none if there is no such name.
    Addresses(Vec<IpAddr>),
    /// There is more than fits: ask again over TCP.
    CutOff,
    /// The server cannot or will not say.
    Refused,
}

impl Question<'_> {
    /// Returns the question as bytes; `None` for a name that cannot be one.
    pub(crate) fn bytes(&self, recursion: bool) -> Option<Vec<u8>> {
        let kind = if self.v6 { TYPE::AAAA } else { TYPE::A };
        let mut packet = Packet::new_query(self.id);
        if recursion {
            packet.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        let (kind, class) = (QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN));
        packet.questions.push(simple_dns::Question::new(Name::new(self.name).ok()?, kind, class, false));
        packet.build_bytes_vec().ok()
    }

    /// Reads an answer; `None` if it is not one to this question.
    pub(crate) fn read(&self, bytes: &[u8]) -> Option<Answer> {
        // What the library makes room for are the counts in the head, before it has seen a record.
        let counts = bytes.get(4..12)?.chunks_exact(2);
        if counts.clone().any(|count| usize::from(u16::from_be_bytes([count[0], count[1]])) > ANSWER_RECORDS)
        {
            return None;
        }
        let packet = Packet::parse(bytes).ok()?;
        let is_ours =
            |asked: &simple_dns::Question<'_>| same(&asked.qname, self.name) && asked.qtype == self.kind();
        if packet.id() != self.id
            || !packet.has_flags(PacketFlag::RESPONSE)
            || !packet.questions.iter().all(is_ours)
        {
            return None;
        }
        match packet.rcode() {
            RCODE::NoError if packet.has_flags(PacketFlag::TRUNCATION) => Some(Answer::CutOff),
            RCODE::NoError => Some(Answer::Addresses(self.addresses(&packet))),
            RCODE::NameError => Some(Answer::Addresses(Vec::new())),
            _ => Some(Answer::Refused),
        }
    }

    fn kind(&self) -> QTYPE {
        QTYPE::TYPE(if self.v6 { TYPE::AAAA } else { TYPE::A })
    }

    /// Follows the aliases from the name that was asked for.
    fn addresses(&self, packet: &Packet<'_>) -> Vec<IpAddr> {
        let mut name = self.name.to_owned();
        for _ in 0..ALIASES {
            let alias = packet.answers.iter().find_map(|record| match &record.rdata {
                RData::CNAME(target) if same(&record.name, &name) => Some(target.0.to_string()),
                _ => None,
            });
            match alias {
                Some(alias) => name = alias,
                None => break,
            }
        }
        let address = |rdata: &RData<'_>| match rdata {
            RData::A(a) if !self.v6 => Some(IpAddr::V4(Ipv4Addr::from(a.address))),
            RData::AAAA(aaaa) if self.v6 => Some(IpAddr::V6(Ipv6Addr::from(aaaa.address))),
            _ => None,
        };
        let own = packet.answers.iter().filter(|record| same(&record.name, &name));
        own.filter_map(|record| address(&record.rdata)).take(ADDRESSES).collect()
    }
}

fn same(name: &Name<'_>, text: &str) -> bool {
    name.to_string().trim_end_matches('.').eq_ignore_ascii_case(text.trim_end_matches('.'))
}
