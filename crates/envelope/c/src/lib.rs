//! The face of `keyward-envelope` for C: what `include/keyward_envelope.h` declares.
//!
//! Each function takes pointers, makes values of Rust of them ([`borrow`]), and returns a number ([`status`]).

#![no_std]

pub mod borrow;
mod numbers;
mod open;
mod sign;
mod software;
mod status;

/// Stops where nothing can be said any more. Nothing in the library panics on purpose.
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
