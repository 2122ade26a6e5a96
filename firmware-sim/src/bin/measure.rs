//! Firmware image that counts instructions: runs a fixed session between a kiosk and a terminal in one image.
//!
//! The link between the two is memory. For each answer it prints a line on UART0: clock ticks of the kiosk,
//! of the terminal, bytes to the kiosk, bytes from it, and commits. It never waits, so in QEMU with `-icount`
//! every run of an image prints the same numbers.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(lm3s6965)]
mod image {
    #[cfg(not(feature = "cards"))]
    use atm_core::ledger::StoredLedger;
    #[cfg(feature = "seal")]
    use atm_core::seal::{Key, TerminalKey};
    use atm_core::{
        host::Config,
        ledger::{Ledger, LedgerId},
        money::Amount,
        terminal::{self, Profile, Terminal},
        time::Instant,
    };
    #[cfg(feature = "cards")]
    use atm_core::{
        ledger::{
            AccountNumber,
            card::{Accounts, Card, CardAccount, CardKeys, CardLedger, KeyId, Limits},
        },
        message::Capabilities,
    };
    #[cfg(feature = "seal")]
    use core::num::NonZeroU32;
    use core::{convert::Infallible, fmt::Write as _, panic::PanicInfo};
    use cortex_m_rt::entry;
    use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
    #[cfg(feature = "seal")]
    use firmware_sim::known_answers;
    use firmware_sim::{
        Kiosk,
        board::{Board, clock::ticks, halt, uart},
        sizes::{IN, OUT, TERMINAL_IN, TERMINAL_OUT, WIRE},
    };
    use heapless::{String, Vec};

    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The session: one deposit first, because a terminal's first operation takes one commit more; then a
    /// deposit and a withdrawal, each from the menu back to the menu.
    #[cfg(not(feature = "cards"))]
    const ANSWERS: [&str; 5] = ["deposit 1", "1", "40", "2", "15"];

    /// The same after a card's number and its PIN.
    #[cfg(feature = "cards")]
    const ANSWERS: [&str; 7] = [NUMBER, PIN, "deposit 1", "1", "40", "2", "15"];
    #[cfg(feature = "cards")]
    const NUMBER: &str = "4111111111111111";
    #[cfg(feature = "cards")]
    const PIN: &str = "2580";

    /// The kiosk's port: buffers in memory.
    #[derive(Default)]
    struct MemoryPort {
        incoming: Vec<u8, 1024>,
        read: usize,
        outgoing: Vec<u8, 1024>,
    }

    impl ErrorType for MemoryPort {
        type Error = Infallible;
    }

    impl ReadReady for MemoryPort {
        fn read_ready(&mut self) -> Result<bool, Infallible> {
            Ok(self.read < self.incoming.len())
        }
    }

    impl Read for MemoryPort {
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
            let rest = self.incoming.get(self.read..).unwrap_or(&[]);
            let mut count = 0;
            for (place, byte) in bytes.iter_mut().zip(rest) {
                *place = *byte;
                count += 1;
            }
            self.read += count;
            Ok(count)
        }
    }

    impl WriteReady for MemoryPort {
        fn write_ready(&mut self) -> Result<bool, Infallible> {
            Ok(true)
        }
    }

    impl Write for MemoryPort {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            // At most what the FIFO of a UART takes.
            let part = bytes.get(..16).unwrap_or(bytes);
            Ok(self.outgoing.extend_from_slice(part).map_or(0, |()| part.len()))
        }

        fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// A text port.
    #[cfg(feature = "seal")]
    struct Lines(uart::Uart);

    #[cfg(feature = "seal")]
    impl core::fmt::Write for Lines {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0.write_all(text.as_bytes()).map_err(|_| core::fmt::Error)
        }
    }

    const IDENTITY: LedgerId = LedgerId(u64::MAX / 3);

    /// A ledger in memory with one card.
    #[cfg(feature = "cards")]
    fn open(keys: &CardKeys) -> Option<CardLedger<1, 1, 1>> {
        let limit = Amount::from_units(1_000)?;
        let mut ledger = CardLedger::new(IDENTITY, Limits { withdrawal: limit, day: limit });
        let account = AccountNumber(7);
        ledger.open_account(CardAccount::new(account, Amount::ZERO, "Ada Lovelace".parse().ok()?)).ok()?;
        let number = NUMBER.parse().ok()?;
        let claim = keys.claim(&number);
        let proof = keys.proof(&claim, &PIN.parse().ok()?);
        ledger.issue(Card::new(&claim, &proof, number.last_four(), Accounts::new(&[account])?)).ok()?;
        Some(ledger)
    }

    #[entry]
    fn main() -> ! {
        let Board { mut watchdog, mut link, eeprom, .. } = Board::start();
        let now = Instant::default();
        #[cfg(not(feature = "cards"))]
        let ledger = StoredLedger::open(eeprom, || (IDENTITY, Amount::ZERO)).ok();
        #[cfg(feature = "cards")]
        let (ledger, keys) = {
            let _ = eeprom;
            let keys =
                CardKeys::new((KeyId(1), Key::from([1; 32])), None, (KeyId(1), Key::from([2; 32])), None);
            (open(&keys), keys)
        };
        let Some(ledger) = ledger else { halt() };
        let host = Config {
            #[cfg(feature = "seal")]
            sealed_only: true,
            ..Config::for_serial(WIRE, uart::BAUD)
        };
        let mut kiosk = Kiosk::<_, IN, OUT>::new(host, Some(ledger), now);
        #[cfg(feature = "cards")]
        kiosk.serve_cards(keys);
        let profile = Profile {
            name: "kiosk-1".parse().ok(),
            start: 300,
            #[cfg(feature = "cards")]
            capabilities: Capabilities::SECRET_PROMPTS,
            ..Profile::default()
        };
        #[cfg(feature = "seal")]
        let profile = {
            let mut lines = Lines(link);
            let _ = known_answers::write(&mut lines);
            link = lines.0;
            let key = TerminalKey::new(Key::from([7; Key::LENGTH]), NonZeroU32::MIN, 3);
            if let Some(name) = profile.name.clone() {
                kiosk.set_key(name, key.clone());
            }
            Profile { key: Some(key), salt: u64::MAX / 5, ..profile }
        };
        let config = terminal::Config {
            profile: Some(profile),
            retransmit: None,
            ..terminal::Config::for_serial(WIRE, uart::BAUD)
        };
        let mut terminal = Terminal::<TERMINAL_IN, TERMINAL_OUT>::new(config, now);
        let mut answers = ANSWERS.iter();
        loop {
            watchdog.feed();
            let mut port = MemoryPort::default();
            let _ = port.incoming.extend_from_slice(terminal.output());
            terminal.consume(port.incoming.len());
            let commits = kiosk.ledger().map_or(0, Ledger::commits);
            let began = ticks();
            while kiosk.turn(&mut port, now).unwrap_or(false) {}
            let kiosk_took = ticks().wrapping_sub(began);
            let commits = kiosk.ledger().map_or(0, Ledger::commits).saturating_sub(commits);
            let began = ticks();
            terminal.feed(&port.outgoing, now);
            while terminal.poll_event(now).is_some() {}
            let prompt = terminal.prompt();
            let answer = answers.next();
            if let (Some(prompt), Some(answer)) = (prompt, answer) {
                let _ = terminal.answer(prompt, answer, now);
            }
            let terminal_took = ticks().wrapping_sub(began);
            let mut text = String::<64>::new();
            let (up, down) = (port.incoming.len(), port.outgoing.len());
            let _ = writeln!(text, "{kiosk_took} {terminal_took} {up} {down} {commits}");
            let _ = link.write_all(text.as_bytes());
            if answer.is_none() {
                let _ = link.write_all(b"end\n");
                loop {
                    watchdog.feed();
                }
            }
        }
    }
}

#[cfg(not(lm3s6965))]
fn main() {
    eprintln!("This is an image for a microcontroller: build it with `cargo fw-measure`.");
}
