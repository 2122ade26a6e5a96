//! Firmware image of a terminal (`cargo fw-terminal`, for a Cortex-M3): the link to a host on UART0, the
//! person's console on UART1.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(lm3s6965)]
mod image {
    #[cfg(feature = "cards")]
    use atm_core::message::Capabilities;
    #[cfg(feature = "seal")]
    use atm_core::seal::KeyStore;
    use atm_core::{
        terminal::{Config, Profile},
        time::Instant,
    };
    use cortex_m_rt::entry;
    #[cfg(feature = "seal")]
    use firmware_sim::board::random;
    use firmware_sim::{
        board::{Board, eeprom::Eeprom, halt, sleep_unless, uart},
        console_terminal::{ConsoleTerminal, write_out_of_service},
        sizes::{TERMINAL_IN, TERMINAL_OUT, WIRE},
    };
    use lm3s6965::interrupt;
    use panic_never as _;

    type Atm = ConsoleTerminal<Eeprom, TERMINAL_IN, TERMINAL_OUT>;

    /// Starts the terminal. Its name is the environment variable `ATM_TERMINAL` at build time.
    #[cfg(not(feature = "seal"))]
    fn start(eeprom: Eeprom, now: Instant) -> Option<Atm> {
        let name = option_env!("ATM_TERMINAL").unwrap_or("kiosk-1");
        let profile = Some(Profile { name: name.parse().ok(), ..Profile::default() });
        Atm::new(Config { profile, ..Config::for_serial(WIRE, uart::BAUD) }, eeprom, now).ok()
    }

    /// Starts the terminal. Its name and its key are in EEPROM: without them it is out of service, and never in clear.
    #[cfg(feature = "seal")]
    fn start(eeprom: Eeprom, now: Instant) -> Option<Atm> {
        let mut keys = KeyStore::new(eeprom.key()).ok()?;
        let (name, key) = keys.load().ok()??;
        // The part has no source of random numbers, and no byte has come: this salt hardly varies (README.md, "Sealed links").
        let profile = Some(Profile {
            name: Some(name),
            key: Some(key),
            salt: random(),
            #[cfg(feature = "cards")]
            capabilities: Capabilities::SECRET_PROMPTS,
            ..Profile::default()
        });
        let config = Config { profile, ..Config::for_serial(WIRE, uart::BAUD) };
        let mut terminal = Atm::new(config, eeprom, now).ok()?;
        terminal.step_key_in(keys);
        Some(terminal)
    }

    #[interrupt]
    fn UART1() {
        uart::on_console_interrupt();
    }

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut clock, mut link, eeprom } = Board::start();
        let mut console = uart::Uart::console();
        let Some(mut terminal) = start(eeprom, clock.now()) else {
            // Without its memory (or its key) a terminal cannot promise exactly once: the watchdog restarts the part.
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
