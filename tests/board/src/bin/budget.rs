//! `budget`: measures the microcontroller images in QEMU and compares their resources with the limits.
use atm_board::budget::{Resources, measure};
use atm_e2e::println;
use clap::Parser;
use std::{
    fs, io,
    process::{self, Command, ExitCode},
};

/// Build the images for a Cortex-M3, measure them in QEMU, and fail if one exceeds a limit.
///
/// The compiler's version is printed; the sizes differ by some percent with another one.
#[derive(Parser)]
#[command(name = "budget")]
struct Arguments {}

/// The limits of each image: the measured values and a small reserve, because compilers differ. A change that
/// needs more says why.
const LIMITS: [(&str, Resources); 7] = [
    (
        "kiosk, postcard",
        Resources {
            // 1,200 of them are for turns, admitted hellos and a ledger that was set back; 450 for records that are kept
            // in memory, hellos that are bounded by time, and a new ledger that begins on a blank medium alone; 80 for `busy`
            // beyond that bound, a peer of another wire that is recognised by its first bytes, and the fault `other-name`; 390 for
            // hellos of version 2.
            flash: 25_450,
            statics: 160,
            // 24 of them are three numbers for the same; 90 for hellos of version 2.
            stack: 2_730,
            deposit: 11_200,
            withdrawal: 11_900,
            bytes: 80,
            pages: 2,
        },
    ),
    (
        "kiosk, json",
        Resources {
            // 1,100 of them are for hellos of version 2.
            flash: 43_250,
            statics: 160,
            // 240 of them are for the fields of a hello of version 2.
            stack: 4_050,
            deposit: 16_600,
            withdrawal: 17_900,
            bytes: 500,
            pages: 2,
        },
    ),
    // The instructions are those of the endpoint, without the console.
    (
        "terminal, postcard",
        Resources {
            // 100 of them are for hellos of version 2.
            flash: 21_100,
            statics: 290,
            stack: 3_300,
            deposit: 7_900,
            withdrawal: 7_600,
            bytes: 80,
            pages: 8,
        },
    ),
    // Bytes are copied one by one.
    (
        "kiosk, postcard, Cortex-M0",
        Resources {
            flash: 26_980,
            statics: 160,
            stack: 2_980,
            deposit: 17_700,
            withdrawal: 17_900,
            bytes: 80,
            pages: 2,
        },
    ),
    // The kiosk may take 7,000 bytes of flash and 700 of stack more than in clear.
    (
        "kiosk, postcard, sealed",
        Resources {
            flash: 30_700,
            statics: 160,
            stack: 3_280,
            deposit: 290_000,
            withdrawal: 290_000,
            bytes: 420,
            pages: 2,
        },
    ),
    (
        "terminal, postcard, sealed",
        Resources {
            flash: 26_200,
            statics: 290,
            stack: 3_900,
            deposit: 280_000,
            withdrawal: 215_000,
            bytes: 420,
            pages: 8,
        },
    ),
    (
        "terminal, postcard, cards",
        Resources {
            // 11,770 of them are for cards: their screens and texts, the idle timer, hidden and wiped answers; 1,960 of these are
            // Unicode's table of letters, by which initials are checked.
            flash: 37_900,
            statics: 290,
            // A reply has six screens instead of four, each of which may be a line of a statement.
            stack: 4_480,
            // A reply has 160 bytes to decrypt and authenticate instead of 80.
            deposit: 370_000,
            withdrawal: 303_000,
            bytes: 580,
            pages: 8,
        },
    ),
];

fn main() -> io::Result<ExitCode> {
    Arguments::parse();
    let version = Command::new("rustc").arg("--version").output()?;
    println!("{}", String::from_utf8_lossy(&version.stdout).trim());
    let folder = std::env::temp_dir().join(format!("atm-budget-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    fs::remove_dir_all(&folder)?;
    println!("| | {} |", LIMITS.map(|(name, _)| name).join(" | "));
    println!("|---|{}", "---|".repeat(LIMITS.len()));
    let mut over = false;
    for (row, name) in Resources::NAMES.iter().enumerate() {
        let columns = LIMITS.iter().zip(&measured).map(|((_, limits), measured)| {
            let of = |resources: &Resources| resources.values().get(row).copied().unwrap_or_default();
            let (value, limit) = (of(measured), of(limits));
            over |= value > limit;
            format!(" {value} (at most {limit}){} |", if value > limit { " OVER" } else { "" })
        });
        println!("| {name} |{}", columns.collect::<String>());
    }
    Ok(if over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
