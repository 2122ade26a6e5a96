//! Firmware image of a terminal (`cargo fw-terminal`, for a Cortex-M3): the link to a host on UART0, the
//! person's console on UART1.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(lm3s6965)]
mod image {
    use atm_core::terminal::{Config, Profile};
    use cortex_m_rt::entry;
    use firmware_sim::{
        board::{Board, halt, sleep_unless, uart},
        console_terminal::{ConsoleTerminal, write_out_of_service},
        sizes::{TERMINAL_IN, TERMINAL_OUT, WIRE},
    };
    use lm3s6965::interrupt;
    use panic_never as _;

    /// The terminal's name: the environment variable `ATM_TERMINAL` at build time.
    const NAME: &str = match option_env!("ATM_TERMINAL") {
        Some(name) => name,
        None => "kiosk-1",
    };

    #[interrupt]
    fn UART1() {
        uart::on_console_interrupt();
    }

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut clock, mut link, eeprom } = Board::start();
        let mut console = uart::Uart::console();
        let profile = Some(Profile { name: NAME.parse().ok(), ..Profile::default() });
        let config = Config { profile, ..Config::for_serial(WIRE, uart::BAUD) };
        let Ok(mut terminal) =
            ConsoleTerminal::<_, TERMINAL_IN, TERMINAL_OUT>::new(config, eeprom, clock.now())
        else {
            // Without its memory a terminal cannot promise exactly once: the watchdog restarts the part.
            let _ = write_out_of_service(&mut console);
            halt()
        };
        loop {
            watchdog.feed();
            // An error is the memory's (these ports have none): nothing was sent, the next turn tries again.
            if !terminal.turn(&mut link, &mut console, clock.now()).unwrap_or(false) {
                sleep_unless(|| link.waiting() > 0 || console.waiting() > 0);
            }
        }
    }
}

#[cfg(not(lm3s6965))]
fn main() {
    eprintln!("This is an image for a microcontroller: build it with `cargo fw-terminal`.");
}
