//! Who is at the other end of a Unix socket.

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io;
use std::os::fd::AsFd;

/// Returns the user of the process that connected, as a number.
///
/// The system gives its process id too, and that is 0 for a process of another namespace, such as one in another container
/// with the same volume. rustix cannot hold such an id and takes the answer for an error, so it is asked for by nix.
pub(crate) fn user(socket: &impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(socket, PeerCredentials)?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_peer_of_a_pair_is_this_user() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(user(&one).unwrap(), rustix::process::geteuid().as_raw());
    }
}
