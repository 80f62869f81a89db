//! Asks one name server, or the network.

use super::question::{Answer, Question};
use crate::clock;
use crate::limits::DATAGRAM_BYTES;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Asks a server for IPv4 and IPv6 addresses at once; none means that it knows of none.
///
/// # Errors
/// It does not answer, or refuses to.
pub(super) fn ask(server: SocketAddr, name: &str, until: Instant) -> io::Result<Vec<IpAddr>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Only this server's datagrams are heard.
    socket.connect(server)?;
    let questions = questions(name)?;
    for question in &questions {
        socket.send(&bytes(question, true)?)?;
    }
    let mut answers = hear(&socket, &questions, until)?;
    for (question, answer) in questions.iter().zip(&mut answers) {
        if *answer == Some(Answer::CutOff) {
            *answer = Some(ask_whole(server, question, until)?);
        }
    }
    let [v4, v6] = answers;
    let is_refused = [&v4, &v6].contains(&&Some(Answer::Refused));
    let has_all = v4.is_some() && v6.is_some();
    let addresses =
        |answer| if let Some(Answer::Addresses(addresses)) = answer { addresses } else { Vec::new() };
    let found = [addresses(v4), addresses(v6)].concat();
    match found.is_empty() {
        // One of the two is enough; some servers keep silent about IPv6.
        false => Ok(found),
        true if is_refused => Err(io::Error::other("the name server refuses to say")),
        true if !has_all => Err(ErrorKind::TimedOut.into()),
        true => Ok(found),
    }
}

/// Asks the network who has a name, and takes the first answer (RFC 6762 §5.1, a question of one shot).
///
/// # Errors
/// There is no network.
pub(super) fn ask_network(group: SocketAddr, name: &str, until: Instant) -> io::Result<Vec<IpAddr>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let questions = questions(name)?;
    for question in &questions {
        socket.send_to(&bytes(question, false)?, group)?;
    }
    let mut datagram = [0; DATAGRAM_BYTES];
    while let Some(count) = receive(&socket, &mut datagram, until)? {
        for question in &questions {
            if let Some(Answer::Addresses(found)) = question.read(&datagram[..count])
                && !found.is_empty()
            {
                return Ok(found);
            }
        }
    }
    Ok(Vec::new())
}

fn questions(name: &str) -> io::Result<[Question<'_>; 2]> {
    let mut random = [0; 4];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .secure_random
        .fill(&mut random)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let [a, b, c, d] = random;
    let [v4, v6] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    Ok([Question { id: v4, name, v6: false }, Question { id: v6, name, v6: true }])
}

fn bytes(question: &Question<'_>, recursion: bool) -> io::Result<Vec<u8>> {
    question.bytes(recursion).ok_or_else(|| ErrorKind::InvalidInput.into())
}

/// Waits for the answers to both questions.
fn hear(
    socket: &UdpSocket,
    questions: &[Question<'_>; 2],
    until: Instant,
) -> io::Result<[Option<Answer>; 2]> {
    let mut answers = [None, None];
    let mut datagram = [0; DATAGRAM_BYTES];
    while answers.contains(&None) {
        let Some(count) = receive(socket, &mut datagram, until)? else { break };
        for (question, answer) in questions.iter().zip(&mut answers) {
            if answer.is_none() {
                *answer = question.read(&datagram[..count]);
            }
        }
    }
    Ok(answers)
}

fn receive(socket: &UdpSocket, into: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
    loop {
        let left = until.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(into) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Asks over TCP, where an answer of any length is whole (RFC 7766).
fn ask_whole(server: SocketAddr, question: &Question<'_>, until: Instant) -> io::Result<Answer> {
    let left = || until.saturating_duration_since(clock::now()).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&server, left())?;
    stream.set_write_timeout(Some(left()))?;
    let asked = bytes(question, true)?;
    let length = u16::try_from(asked.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], &asked].concat())?;
    let mut length = [0; 2];
    stream.set_read_timeout(Some(left()))?;
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    let mut filled = 0;
    while filled < answer.len() {
        if until <= clock::now() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left()))?;
        match stream.read(&mut answer[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    question.read(&answer).ok_or_else(|| ErrorKind::InvalidData.into())
}
