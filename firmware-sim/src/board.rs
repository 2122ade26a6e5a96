//! The board: Stellaris LM3S6965 evaluation board, as QEMU has it (`-M lm3s6965evb`).
//!
//! Numbers of pages, tables and registers are those of the LM3S6965 datasheet (Texas Instruments, SPMS144).
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

/// The system clock in Hz: 200 MHz of the PLL by 16, which is also what QEMU counts by after a reset.
pub const CLOCK: u32 = 12_500_000;

/// System control (chapter 5).
const RIS: Register = Register::at(0x400f_e050);
const RCC: Register = Register::at(0x400f_e060);
const RCGC0: Register = Register::at(0x400f_e100);
const RCGC1: Register = Register::at(0x400f_e104);
const RCGC2: Register = Register::at(0x400f_e108);

/// The pins of UART0 (port A, 0 and 1), of UART1 (port D, 2 and 3) and of I2C0 (port B, 2 and 3): chapter 8.
const GPIOA: usize = 0x4000_4000;
const GPIOB: usize = 0x4000_5000;
const GPIOD: usize = 0x4000_7000;
const AFSEL: usize = 0x420;
const ODR: usize = 0x50c;
const DEN: usize = 0x51c;

/// What an image has.
pub struct Board {
    /// Resets the part unless it is fed.
    pub watchdog: Watchdog,
    /// The time.
    pub clock: Clock,
    /// The line, on UART0.
    pub link: Uart,
    /// What survives a loss of power.
    pub eeprom: Eeprom,
}

impl Board {
    /// Starts all of it; once.
    pub fn start() -> Self {
        start_clocks();
        let watchdog = Watchdog::start();
        let Some(peripherals) = cortex_m::Peripherals::take() else {
            // Never: they are taken once. The watchdog resets.
            halt()
        };
        Self { watchdog, clock: Clock::start(peripherals.SYST), link: Uart::link(), eeprom: Eeprom::start() }
    }
}

/// Starts the system clock, and lets the peripherals have it and their pins.
fn start_clocks() {
    // Chapter 5.2.5: the crystal of 8 MHz, past the PLL; then the PLL by 16; then the PLL's clock once it is steady.
    RCC.write(0x0780_0b80 | BYPASS);
    RCC.write(0x07c0_0380 | BYPASS);
    // A part whose crystal is dead goes on with what it has, rather than not at all.
    for _ in 0..100_000 {
        if RIS.read() & 0x40 != 0 {
            break;
        }
    }
    RCC.write(0x07c0_0380);

    RCGC0.write(0x8); // the watchdog
    RCGC1.write(0x1003); // I2C0, UART1, UART0
    RCGC2.write(0xb); // ports A, B, D
    // Table 5-2: it takes three clocks until they may be used; a read takes that long.
    RCGC2.read();
    for (port, pins) in [(GPIOA, 0x3), (GPIOB, 0xc), (GPIOD, 0xc)] {
        Register::at(port + AFSEL).set(pins);
        Register::at(port + DEN).set(pins);
    }
    // Chapter 15.3.1: the data line of I2C is pulled, not driven.
    Register::at(GPIOB + ODR).set(0xc);
}

/// Does nothing any more, until the watchdog resets the part.
pub fn halt() -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::nop();
    }
}

/// A number that nobody can foresee, once a terminal has sent its first bytes. The part has no source of random numbers; but
/// when they come, nobody can tell to a twelfth of a microsecond.
pub fn random() -> u64 {
    u64::from(uart::entropy()) << 32 | u64::from(clock::ticks())
}

const BYPASS: u32 = 0x800;

/// Lets interrupts through.
fn unmask(interrupt: Interrupt) {
    // SAFETY: no code here counts on this interrupt not coming; what it shares with the loop is atomic.
    #[allow(unsafe_code)]
    unsafe {
        NVIC::unmask(interrupt);
    }
}

/// Sleeps until an interrupt, unless `ready` says that there is something to do.
///
/// The question is asked with interrupts held back: one that comes after it ends the sleep at once.
pub fn sleep_unless(ready: impl FnOnce() -> bool) {
    cortex_m::interrupt::free(|_| {
        if !ready() {
            cortex_m::asm::wfi();
        }
    });
}
