//! Measures how much stack and how many instructions a device needs, on a Cortex-M4 that QEMU imitates.
//!
//! `rustup target add thumbv7em-none-eabihf`, Debian's `qemu-system-arm`, then `cargo run --release` in this folder. With `-icount
//! shift=0` an instruction takes a nanosecond of the machine's time, which SysTick counts at 168 MHz.

#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::ptr::{read_volatile, write_volatile};
use keyward_envelope::software::{Ed25519Key, P256Agreement, P256Key};
use keyward_envelope::{
    Cipher, Claims, Content, Context, Direction, Epoch, GroupKey, Message, PublicKey, Random, Sequence,
    Signer, Unavailable, inspect, sign, sign_for_group, sign_for_recipient,
};

const STACK_TOP: usize = 0x2002_0000;
/// How far below the stack is painted.
const PAINTED: usize = 64 * 1024;
const PAINT: u32 = 0xa5a5_a5a5;

#[unsafe(link_section = ".vectors")]
#[used]
static HANDLERS: [Vector; 16] = {
    let fault = Vector { call: fault };
    let mut vectors = [fault; 16];
    vectors[0] = Vector { value: STACK_TOP };
    vectors[1] = Vector { call: reset };
    vectors
};

#[derive(Clone, Copy)]
union Vector {
    value: usize,
    call: unsafe extern "C" fn() -> !,
}

// SAFETY: it is read by the processor alone.
unsafe impl Sync for Vector {}

unsafe extern "C" fn fault() -> ! {
    say("fault\n\0");
    leave()
}

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    say("panic\n\0");
    leave()
}

/// Asks the machine's host for something (ARM's semihosting).
fn host(what: u32, with: usize) {
    // SAFETY: the host reads what it is asked to and changes r0.
    unsafe { asm!("bkpt 0xab", inout("r0") what => _, in("r1") with) }
}

/// Prints a text that ends with a zero byte.
fn say(text: &str) {
    host(4, text.as_ptr() as usize);
}

/// Ends the machine.
fn leave() -> ! {
    host(0x18, 0x2_0026);
    loop {
        core::hint::spin_loop();
    }
}

/// Collects a line.
struct Line([u8; 120], usize);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        // The last byte stays zero.
        for (place, byte) in self.0[self.1..119].iter_mut().zip(text.bytes()) {
            *place = byte;
            self.1 += 1;
        }
        Ok(())
    }
}

/// SysTick: control, reload and current value.
const SYSTICK: [usize; 3] = [0xe000_e010, 0xe000_e014, 0xe000_e018];

/// Counts ticks of 168 MHz, for 100 ms.
struct Clock;

impl Clock {
    fn start() {
        // SAFETY: registers of the processor, and nothing interrupts.
        unsafe {
            write_volatile(SYSTICK[0] as *mut u32, 0);
            write_volatile(SYSTICK[1] as *mut u32, 0x00ff_ffff);
            write_volatile(SYSTICK[2] as *mut u32, 0);
            write_volatile(SYSTICK[0] as *mut u32, 5);
            // It reads zero until it has begun.
            while read_volatile(SYSTICK[2] as *const u32) == 0 {}
        }
    }

    /// Returns the ticks since the start; none if the counter went round.
    fn ticks() -> Option<u32> {
        // SAFETY: registers of the processor.
        let (control, left) =
            unsafe { (read_volatile(SYSTICK[0] as *const u32), read_volatile(SYSTICK[2] as *const u32)) };
        (control & 1 << 16 == 0).then_some(0x00ff_ffff - left)
    }
}

/// Paints the stack below here.
#[inline(never)]
fn paint() {
    let here: usize;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {}, sp", out(reg) here) };
    for place in (STACK_TOP - PAINTED..here - 64).step_by(4) {
        // SAFETY: memory below the stack, which nobody uses.
        unsafe { write_volatile(place as *mut u32, PAINT) };
    }
}

/// Returns how far down the paint is gone.
fn depth() -> usize {
    let gone = |place: &usize| {
        // SAFETY: memory that `paint` wrote.
        unsafe { read_volatile(*place as *const u32) != PAINT }
    };
    STACK_TOP - (STACK_TOP - PAINTED..STACK_TOP).step_by(4).find(gone).unwrap_or(STACK_TOP)
}

/// Runs a step and prints what it took. The step is called, never inlined, so that its own frame counts.
#[inline(never)]
fn measure(name: &str, step: &mut dyn FnMut()) {
    let above: usize;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {}, sp", out(reg) above) };
    paint();
    Clock::start();
    step();
    let ticks = Clock::ticks();
    let stack = depth().saturating_sub(STACK_TOP - above);
    let mut line = Line([0; 120], 0);
    // 168 ticks are a thousand instructions.
    let _ = match ticks {
        Some(ticks) => {
            writeln!(line, "{name:40} {stack:6} bytes of stack, {:6} thousand instructions", ticks / 168)
        }
        None => writeln!(line, "{name:40} {stack:6} bytes of stack"),
    };
    say(core::str::from_utf8(&line.0).unwrap_or("?\0"));
}

const CONTEXT: Context<'_> = Context {
    direction: Direction::Up { device: "pump-1" },
    installation: "k7m2q9xw4hp3a8cd",
    topic: "plant/pump-1/temperature",
    correlation: None,
};

/// Counts, which is enough to measure.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        self.0 += 1;
        out.fill(self.0);
        Ok(())
    }
}

/// The vectors of the crate: what is signed here stands there, made by another processor.
const VECTORS: &str = include_str!("../../tests/vectors/vectors.json");

/// Tells whether a message is one of the vectors.
fn is_vector(message: &[u8]) -> bool {
    let mut text = [0; 2 * 512];
    for (place, byte) in text.chunks_exact_mut(2).zip(message) {
        for (place, digit) in place.iter_mut().zip([byte >> 4, byte & 15]) {
            *place = char::from_digit(u32::from(digit), 16).map_or(b'?', |digit| digit as u8);
        }
    }
    let text = text.get(..2 * message.len()).and_then(|text| core::str::from_utf8(text).ok());
    text.is_some_and(|text| message.len() > 100 && VECTORS.contains(text))
}

fn each(names: [&str; 2], signer: &mut dyn Signer, public: &PublicKey) {
    let payload: [u8; 64] = core::array::from_fn(|at| at as u8);
    let claims = Claims::issued_at(Sequence((3 << 32) + 17), 1_795_000_000);
    let message = Message { claims, format: None, payload: &payload };
    let (mut out, mut len) = ([0; 512], 0);
    measure(names[0], &mut || len = sign(&message, &CONTEXT, signer, &mut out).unwrap_or(0));
    assert!(is_vector(&out[..len]));
    measure(names[1], &mut || {
        let verified = inspect(&out[..len]).ok().and_then(|found| found.verify(public, &CONTEXT).ok());
        assert!(verified.is_some());
    });
}

fn encrypted(signer: &mut dyn Signer, public: &PublicKey) {
    let payload = [7; 64];
    let claims = Claims::issued_at(Sequence::after_boot(3), 1_795_000_000);
    let message = Message { claims, format: None, payload: &payload };
    let (mut out, mut opened, mut len) = ([0; 512], [0; 64], 0);
    let (Ok(mut to), Some(group)) =
        (P256Agreement::from_secret(&[5; 32]), GroupKey::new("plant", Epoch(7), &[3; 16]))
    else {
        panic!()
    };
    let recipient = to.public();
    measure("ES256, for a group", &mut || {
        len = sign_for_group(&message, &CONTEXT, signer, &group, Cipher::Ccm, &mut out).unwrap_or(0);
    });
    measure("ES256, verify and open for a group", &mut || {
        let verified = inspect(&out[..len]).ok().and_then(|found| found.verify(public, &CONTEXT).ok());
        let content = verified.and_then(|verified| verified.content().ok());
        assert!(
            matches!(content, Some(Content::ForGroup(sealed)) if sealed.open(&group, &mut opened).is_ok())
        );
    });
    measure("ES256, for one", &mut || {
        len = sign_for_recipient(&message, &CONTEXT, signer, &recipient, &mut Counting(0), &mut out)
            .unwrap_or(0);
    });
    measure("ES256, verify and open for one", &mut || {
        let verified = inspect(&out[..len]).ok().and_then(|found| found.verify(public, &CONTEXT).ok());
        let content = verified.and_then(|verified| verified.content().ok());
        assert!(
            matches!(content, Some(Content::ForRecipient(sealed)) if sealed.open(&mut to, &mut opened).is_ok())
        );
    });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn reset() -> ! {
    // SAFETY: it allows the unit for floating point, which the compiler may use.
    unsafe { write_volatile(0xe000_ed88 as *mut u32, 0xf << 20) };
    measure("nothing", &mut || {});
    let Ok(mut es256) = P256Key::from_secret(&[9; 32]) else { panic!() };
    let public = es256.public();
    each(["ES256, sign", "ES256, verify"], &mut es256, &public);
    encrypted(&mut es256, &public);
    let mut ed25519 = Ed25519Key::from_seed(&[7; 32]);
    let public = ed25519.public();
    each(["Ed25519, sign", "Ed25519, verify"], &mut ed25519, &public);
    leave()
}
