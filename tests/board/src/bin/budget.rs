//! Builds the images for a microcontroller, runs them in QEMU, and holds what they take against what they may.
use atm_board::budget::{Limits, measure};
use clap::Parser;
use std::{
    fs, io,
    process::{self, Command, ExitCode},
};

/// Build the images for a Cortex-M3, measure them in QEMU, and fail where one takes more than it may.
///
/// Sizes are those of the compiler that is named; another one's differ by some percent.
#[derive(Parser)]
#[command(name = "budget")]
struct Arguments {}

/// What each image may take: what it takes, and a little, because compilers differ. A change that needs more says why here.
const LIMITS: [(&str, Limits); 3] = [
    (
        "kiosk, postcard",
        Limits {
            flash: 23_300,
            statics: 160,
            stack: 2_600,
            deposit: 11_200,
            withdrawal: 11_900,
            bytes: 80,
            pages: 2,
        },
    ),
    (
        "kiosk, json",
        Limits {
            flash: 41_500,
            statics: 160,
            stack: 3_800,
            deposit: 16_600,
            withdrawal: 17_900,
            bytes: 500,
            pages: 2,
        },
    ),
    // Instructions are those of the endpoint alone, without the console.
    (
        "terminal, postcard",
        Limits {
            flash: 21_000,
            statics: 290,
            stack: 3_300,
            deposit: 7_900,
            withdrawal: 7_600,
            bytes: 80,
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
    let taken = measure(&folder);
    fs::remove_dir_all(&folder)?;
    println!("| | {} |", LIMITS.map(|(name, _)| name).join(" | "));
    println!("|---|{}", "---|".repeat(LIMITS.len()));
    let mut over = false;
    for (row, name) in Limits::ROWS.iter().enumerate() {
        let columns = LIMITS.iter().zip(&taken).map(|((_, may), takes)| {
            let of = |limits: &Limits| limits.rows().get(row).copied().unwrap_or_default();
            let (value, limit) = (of(takes), of(may));
            over |= value > limit;
            format!(" {value} (at most {limit}){} |", if value > limit { " OVER" } else { "" })
        });
        println!("| {name} |{}", columns.collect::<String>());
    }
    Ok(if over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
