//! The IO shell: door, workers, control socket, wiring.
