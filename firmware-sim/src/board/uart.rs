//! The first serial port, UART0 (PL011, chapter 12): 115,200 baud, eight bits, no parity, one stop bit.
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

const BASE: usize = 0x4000_c000;
const DR: Register = Register::at(BASE);
const FR: Register = Register::at(BASE + 0x18);
const IBRD: Register = Register::at(BASE + 0x24);
const FBRD: Register = Register::at(BASE + 0x28);
const LCRH: Register = Register::at(BASE + 0x2c);
const CTL: Register = Register::at(BASE + 0x30);
const IFLS: Register = Register::at(BASE + 0x34);
const IM: Register = Register::at(BASE + 0x38);
const ICR: Register = Register::at(BASE + 0x44);

/// Bits of FR.
const RXFE: u32 = 0x10;
const TXFF: u32 = 0x20;
/// Bits of IM and ICR: something came, something came and then nothing, there is room to send.
const RX: u32 = 0x10;
const RT: u32 = 0x40;
const TX: u32 = 0x20;

const BAUD: u32 = 115_200;
/// The divisor in 64ths (chapter 12.3.2).
const DIVISOR: u32 = (CLOCK * 4 + BAUD / 2) / BAUD;

static INCOMING: Ring = Ring::new();

/// When bytes came: the only thing here that nobody can foresee.
static NOISE: AtomicU32 = AtomicU32::new(0);

/// The serial port.
pub struct Uart(());

impl Uart {
    /// Starts it; once.
    pub fn start() -> Self {
        CTL.write(0);
        IBRD.write(DIVISOR / 64);
        FBRD.write(DIVISOR % 64);
        LCRH.write(0x70); // eight bits, FIFOs
        IFLS.write(0); // ask for more to send when the FIFO is nearly empty, and tell what came at two bytes
        IM.write(RX | RT);
        CTL.write(0x301); // on, in both directions
        // A byte that came before the FIFO was on would hold the line up until it is read.
        DR.read();
        unmask(Interrupt::UART0);
        Self(())
    }

    /// Is there something to read?
    pub fn is_ready(&self) -> bool {
        !INCOMING.is_empty()
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> usize {
        INCOMING.len()
    }

    /// What the times at which bytes came have added up to.
    pub fn noise() -> u32 {
        NOISE.load(Ordering::Relaxed)
    }
}

#[interrupt]
fn UART0() {
    while FR.read() & RXFE == 0 {
        if INCOMING.is_full() {
            // No more, until the loop has read some.
            IM.write(0);
            return;
        }
        // The upper bits tell of bytes that were lost or garbled: the check sum of the frame tells that too.
        let [byte, ..] = DR.read().to_le_bytes();
        INCOMING.push(byte);
        let noise = NOISE.load(Ordering::Relaxed);
        NOISE.store(noise.rotate_left(7) ^ clock::ticks(), Ordering::Relaxed);
    }
    // There is room to send: that the loop is awake is all that it takes. RX and RT end with the reading; to clear them
    // would lose a byte that has come since.
    ICR.write(TX);
    IM.write(RX | RT);
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.is_ready())
    }
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        while count == 0 && !bytes.is_empty() {
            for (place, byte) in bytes.iter_mut().zip(core::iter::from_fn(|| INCOMING.pop())) {
                *place = byte;
                count += 1;
            }
        }
        // The interrupt may have stopped for want of room.
        IM.set(RX | RT);
        Ok(count)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        let full = FR.read() & TXFF != 0;
        if full {
            IM.set(TX);
        }
        Ok(!full)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for byte in bytes {
            // Only the first may have to wait, as the trait wants it; a caller that asks `write_ready` never does.
            while FR.read() & TXFF != 0 && count == 0 {}
            if FR.read() & TXFF != 0 {
                break;
            }
            DR.write(u32::from(*byte));
            count += 1;
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        const BUSY: u32 = 0x8;
        while FR.read() & BUSY != 0 {}
        Ok(())
    }
}
