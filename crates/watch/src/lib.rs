//! What a device in a public place can suffer, told from what it sends: detectors as state machines.
//!
//! There is one so far: [`readings`], which judges the values of one sensor against their own history. That a device is
//! silent, was moved or copied is not judged here yet, nor do readings of neighbours speak.
//!
//! Nothing here does IO, reads a clock, starts a task or draws a random number: the same readings give the same verdicts.

pub mod readings;
