//! Board support for the Stellaris LM3S6965 evaluation board, which QEMU emulates (`-M lm3s6965evb`): clocks,
//! pins, UARTs, EEPROM, SysTick and watchdog.
//!
//! It does not depend on the protocol. Chapters, tables and registers are those of the LM3S6965 datasheet
//! (Texas Instruments, SPMS144), unless another source is named.
use clock::Clock;
use cortex_m::peripheral::NVIC;
use eeprom::Eeprom;
use lm3s6965::Interrupt;
use register::Register;
use uart::Uart;
use watchdog::Watchdog;

pub mod clock;
pub mod eeprom;
mod memory;
mod register;
mod ring;
pub mod uart;
pub mod watchdog;

/// The system clock in Hz: the PLL's 200 MHz divided by 16. QEMU counts by the same clock after a reset.
pub const CLOCK: u32 = 12_500_000;

// Registers of system control (chapter 5).
const RIS: Register = Register::at(0x400f_e050);
const RCC: Register = Register::at(0x400f_e060);
const RCGC0: Register = Register::at(0x400f_e100);
const RCGC1: Register = Register::at(0x400f_e104);
const RCGC2: Register = Register::at(0x400f_e108);

// GPIO ports (chapter 8): pins 0 and 1 of port A are UART0, 2 and 3 of port B I2C0, 2 and 3 of port D UART1.
const GPIOA: usize = 0x4000_4000;
const GPIOB: usize = 0x4000_5000;
const GPIOD: usize = 0x4000_7000;
const AFSEL: usize = 0x420;
const ODR: usize = 0x50c;
const DEN: usize = 0x51c;

/// The devices that an image uses, all started.
pub struct Board {
    /// Resets the part unless it is fed in time.
    pub watchdog: Watchdog,
    /// A monotonic clock.
    pub clock: Clock,
    /// The link to the other end, on UART0.
    pub link: Uart,
    /// The medium that survives a loss of power.
    pub eeprom: Eeprom,
}

impl Board {
    /// Starts all devices. To be called once.
    pub fn start() -> Self {
        start_clocks();
        let watchdog = Watchdog::start();
        let Some(peripherals) = cortex_m::Peripherals::take() else {
            // Unreachable, because this is the first call. Here the watchdog resets the part.
            halt()
        };
        Self { watchdog, clock: Clock::start(peripherals.SYST), link: Uart::link(), eeprom: Eeprom::start() }
    }
}

/// Starts the system clock, and connects the peripherals to it and to their pins.
fn start_clocks() {
    // Chapter 5.2.5: run from the 8 MHz crystal, bypassing the PLL; start the PLL, divided by 16; use it once
    // it has locked.
    RCC.write(0x0780_0b80 | BYPASS);
    RCC.write(0x07c0_0380 | BYPASS);
    // Bounded, because the watchdog has not started yet: a PLL that never locks must not stop the start.
    for _ in 0..100_000 {
        if RIS.read() & 0x40 != 0 {
            break;
        }
    }
    RCC.write(0x07c0_0380);

    RCGC0.write(0x8); // the watchdog
    RCGC1.write(0x1003); // I2C0, UART1, UART0
    RCGC2.write(0xb); // ports A, B, D
    // Table 5-2: a peripheral may be used three clocks after it was enabled; a read takes that long.
    RCGC2.read();
    for (port, pins) in [(GPIOA, 0x3), (GPIOB, 0xc), (GPIOD, 0xc)] {
        Register::at(port + AFSEL).set(pins);
        Register::at(port + DEN).set(pins);
    }
    // Chapter 15.3.1: the I2C pins are open drain.
    Register::at(GPIOB + ODR).set(0xc);
}

/// Stops, until the watchdog resets the part.
pub fn halt() -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::nop();
    }
}

/// A random number, for the identity of a new ledger. To be called after a terminal's first bytes: this part
/// has no random number generator, and the entropy is in the times, in ticks of 80 ns, at which they came.
pub fn random() -> u64 {
    u64::from(uart::entropy()) << 32 | u64::from(clock::ticks())
}

const BYPASS: u32 = 0x800;

/// Enables an interrupt.
fn unmask(interrupt: Interrupt) {
    // SAFETY: no critical section depends on this mask; what the interrupt shares with the loop is atomic.
    #[allow(unsafe_code)]
    unsafe {
        NVIC::unmask(interrupt);
    }
}

/// Sleeps until the next interrupt, unless `ready` returns true.
///
/// `ready` is called with interrupts masked: one that becomes pending after it wakes `wfi` at once, so no
/// wake-up is lost.
pub fn sleep_unless(ready: impl FnOnce() -> bool) {
    cortex_m::interrupt::free(|_| {
        if !ready() {
            cortex_m::asm::wfi();
        }
    });
}
