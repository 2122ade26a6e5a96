//! Serial ports (PL011 UARTs, chapter 12) for `embedded-io`: 115,200 baud, 8N1.
//!
//! The interrupt moves received bytes into a ring buffer, because the FIFO holds only 16 bytes and a commit
//! takes longer than they last (1.4 ms). The loop writes to the FIFO itself; an interrupt wakes it when the
//! FIFO has room again. (Registers: also in the PL011 Technical Reference Manual, ARM DDI 0183.)
use super::{CLOCK, clock, register::Register, ring::Ring, unmask};
use core::{
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use lm3s6965::{Interrupt, interrupt};

/// The link to the other end, on UART0.
const LINK: UartInstance =
    UartInstance { base: 0x4000_c000, interrupt: Interrupt::UART0, incoming: &LINK_INPUT };
static LINK_INPUT: Ring = Ring::new();

/// The person's console, on UART1. An image that uses it calls [`on_console_interrupt`] from that interrupt.
const CONSOLE: UartInstance =
    UartInstance { base: 0x4000_d000, interrupt: Interrupt::UART1, incoming: &CONSOLE_INPUT };
static CONSOLE_INPUT: Ring = Ring::new();

// Bits of FR: receive FIFO empty, transmit FIFO full, transmitting.
const RXFE: u32 = 0x10;
const TXFF: u32 = 0x20;
const BUSY: u32 = 0x8;
// Bits of IM and ICR: receive FIFO at its level, receive timeout (bytes in the FIFO, then nothing), transmit
// FIFO at its level.
const RX: u32 = 0x10;
const RT: u32 = 0x40;
const TX: u32 = 0x20;

/// Bits a second.
pub const BAUD: u32 = 115_200;
/// The baud-rate divisor in 64ths (chapter 12.3.2).
const DIVISOR: u32 = (CLOCK * 4 + BAUD / 2) / BAUD;

/// A hash of the times at which bytes came: this part's only source of entropy.
static ENTROPY: AtomicU32 = AtomicU32::new(0);

/// The entropy gathered from the times at which bytes came.
pub fn entropy() -> u32 {
    ENTROPY.load(Ordering::Relaxed)
}

/// One UART of the part, and the buffer that its interrupt fills.
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
                // Mask the interrupt; `Uart::read` unmasks it when there is room again.
                self.mask().write(0);
                return;
            }
            // The upper bits flag overruns and line errors. A frame's checksum finds both.
            let [byte, ..] = self.data().read().to_le_bytes();
            self.incoming.push(byte);
            ENTROPY.store(entropy().rotate_left(7) ^ clock::ticks(), Ordering::Relaxed);
        }
        // The transmit interrupt only had to wake the loop. RX and RT clear themselves as the FIFO is
        // drained; to write their bits here would lose the interrupt of a byte that came since.
        Register::at(self.base + 0x44).write(TX);
        self.mask().write(RX | RT);
    }
}

#[interrupt]
fn UART0() {
    LINK.on_interrupt();
}

/// The interrupt handler of UART1.
pub fn on_console_interrupt() {
    CONSOLE.on_interrupt();
}

/// A running serial port.
pub struct Uart(UartInstance);

impl Uart {
    /// Starts the link's port. To be called once.
    pub fn link() -> Self {
        Self::start(LINK)
    }

    /// Starts the console's port. To be called once.
    pub fn console() -> Self {
        Self::start(CONSOLE)
    }

    fn start(instance: UartInstance) -> Self {
        let set = |offset, value| Register::at(instance.base + offset).write(value);
        set(0x30, 0); // CTL: off
        set(0x24, DIVISOR / 64); // IBRD
        set(0x28, DIVISOR % 64); // FBRD
        set(0x2c, 0x70); // LCRH: eight bits, FIFOs on
        set(0x34, 0); // IFLS: interrupt at 2 of 16 bytes left to send, and at 2 received
        instance.mask().write(RX | RT);
        set(0x30, 0x301); // CTL: on, in both directions
        // A byte that came before the FIFO was on would stall reception until it is read.
        if instance.flags() & RXFE == 0 {
            let [byte, ..] = instance.data().read().to_le_bytes();
            instance.incoming.push(byte);
        }
        unmask(instance.interrupt);
        Self(instance)
    }

    /// Received bytes that wait to be read.
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
        // The interrupt masks itself when the buffer is full.
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
            // `Write::write` blocks until the FIFO takes one byte: never, after `write_ready` was true.
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
