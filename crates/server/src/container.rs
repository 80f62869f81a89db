//! Tells whether this process lives in a container, whose host name and addresses mean nothing outside of it.

use std::path::Path;

/// How long the host name is that Docker and Podman draw at random: the beginning of the container's id, in hexadecimal.
const RANDOM_NAME: usize = 12;

/// Tells whether this is a container of Docker, Podman, Kubernetes or systemd-nspawn.
pub fn is_here() -> bool {
    let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    marked || ["container", "KUBERNETES_SERVICE_HOST"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Tells whether a host name is one that was drawn at random for a container.
pub(crate) fn is_random_name(host: &str) -> bool {
    host.len() == RANDOM_NAME && host.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_container_is_told_from_a_name() {
        assert!(is_random_name("3f9c0a12be77"));
        for name in ["gate", "3f9c0a12be7", "3f9c0a12be777", "3F9C0A12BE77", "mqtt-gateway"] {
            assert!(!is_random_name(name), "{name}");
        }
    }
}
