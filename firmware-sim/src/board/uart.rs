//! The serial ports (PL011, chapter 12): 115,200 baud, eight bits, no parity, one stop bit.
//!
//! What comes in is taken by the interrupt into a queue, because the FIFO holds 16 bytes and a commit takes longer than
//! they last. What goes out is put into the FIFO by the loop, and an interrupt says when there is room again.
use super::{CLOCK, clock, register::Register, ring::Ring, unmask};
use core::{
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use lm3s6965::{Interrupt, interrupt};

/// The line, on UART0.
const LINK: UartInstance =
    UartInstance { base: 0x4000_c000, interrupt: Interrupt::UART0, incoming: &LINK_INPUT };
static LINK_INPUT: Ring = Ring::new();

/// The person's console, on UART1. An image that uses it calls [`on_console_interrupt`] from that interrupt.
const CONSOLE: UartInstance =
    UartInstance { base: 0x4000_d000, interrupt: Interrupt::UART1, incoming: &CONSOLE_INPUT };
static CONSOLE_INPUT: Ring = Ring::new();

/// Bits of FR.
const RXFE: u32 = 0x10;
const TXFF: u32 = 0x20;
const BUSY: u32 = 0x8;
/// Bits of IM and ICR: something came, something came and then nothing, there is room to send.
const RX: u32 = 0x10;
const RT: u32 = 0x40;
const TX: u32 = 0x20;

/// Bits a second.
pub const BAUD: u32 = 115_200;
/// The divisor in 64ths (chapter 12.3.2).
const DIVISOR: u32 = (CLOCK * 4 + BAUD / 2) / BAUD;

/// When bytes came: the only thing here that nobody can foresee.
static ENTROPY: AtomicU32 = AtomicU32::new(0);

/// What the times at which bytes came have added up to.
pub fn entropy() -> u32 {
    ENTROPY.load(Ordering::Relaxed)
}

/// A serial port, and what came in on it.
#[derive(Clone, Copy)]
struct UartInstance {
    base: usize,
    interrupt: Interrupt,
    incoming: &'static Ring,
}

impl UartInstance {
    fn data(self) -> Register {
        Register::at(self.base)
    }

    fn flags(self) -> u32 {
        Register::at(self.base + 0x18).read()
    }

    fn mask(self) -> Register {
        Register::at(self.base + 0x38)
    }

    fn on_interrupt(self) {
        while self.flags() & RXFE == 0 {
            if self.incoming.is_full() {
                // No more, until the loop has read some.
                self.mask().write(0);
                return;
            }
            // The upper bits tell of bytes that were lost or garbled: the check sum of the frame tells that too.
            let [byte, ..] = self.data().read().to_le_bytes();
            self.incoming.push(byte);
            ENTROPY.store(entropy().rotate_left(7) ^ clock::ticks(), Ordering::Relaxed);
        }
        // There is room to send: that the loop is awake is all that it takes. RX and RT end with the reading; to clear them
        // would lose a byte that has come since.
        Register::at(self.base + 0x44).write(TX);
        self.mask().write(RX | RT);
    }
}

#[interrupt]
fn UART0() {
    LINK.on_interrupt();
}

/// What the interrupt of UART1 does.
pub fn on_console_interrupt() {
    CONSOLE.on_interrupt();
}

/// A serial port.
pub struct Uart(UartInstance);

impl Uart {
    /// Starts the line; once.
    pub fn link() -> Self {
        Self::start(LINK)
    }

    /// Starts the console; once.
    pub fn console() -> Self {
        Self::start(CONSOLE)
    }

    fn start(instance: UartInstance) -> Self {
        let set = |offset, value| Register::at(instance.base + offset).write(value);
        set(0x30, 0); // off
        set(0x24, DIVISOR / 64);
        set(0x28, DIVISOR % 64);
        set(0x2c, 0x70); // eight bits, FIFOs
        set(0x34, 0); // there is room to send when the FIFO is nearly empty, and something came at two bytes
        instance.mask().write(RX | RT);
        set(0x30, 0x301); // on, in both directions
        // A byte that came before the FIFO was on would hold the line up until it is read.
        if instance.flags() & RXFE == 0 {
            let [byte, ..] = instance.data().read().to_le_bytes();
            instance.incoming.push(byte);
        }
        unmask(instance.interrupt);
        Self(instance)
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> usize {
        self.0.incoming.len()
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.waiting() > 0)
    }
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        while count == 0 && !bytes.is_empty() {
            for (place, byte) in bytes.iter_mut().zip(core::iter::from_fn(|| self.0.incoming.pop())) {
                *place = byte;
                count += 1;
            }
        }
        // The interrupt may have stopped for want of room.
        self.0.mask().set(RX | RT);
        Ok(count)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        let full = self.0.flags() & TXFF != 0;
        if full {
            self.0.mask().set(TX);
        }
        Ok(!full)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for byte in bytes {
            // Only the first may have to wait, as the trait wants it; a caller that asks `write_ready` never does.
            while self.0.flags() & TXFF != 0 {
                if count > 0 {
                    return Ok(count);
                }
            }
            self.0.data().write(u32::from(*byte));
            count += 1;
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.0.flags() & BUSY != 0 {}
        Ok(())
    }
}
