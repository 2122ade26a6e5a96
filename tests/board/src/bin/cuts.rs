//! Cuts the power of a kiosk in QEMU again and again, in the middle of conversations, and audits what it remembers.
use atm_board::{Day, Lie, image};
use atm_core::wire::Wire;
use clap::Parser;
use firmware_sim::fault_injector::Chances;
use std::{fs, io, path::PathBuf, process, time::Instant};

/// Cut a kiosk's power in the middle of conversations, tear its EEPROM, and audit: what was told stands, what was not told
/// was done once or not at all, and the next hello tells which.
#[derive(Parser)]
#[command(name = "cuts")]
struct Arguments {
    /// How often to cut the power
    #[arg(long, default_value_t = 100)]
    cuts: u64,
    /// What everything is drawn from; it is printed where none is given
    #[arg(long)]
    seed: Option<u64>,
    /// The image; without it the one that `cargo fw` has built
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,
    /// The image speaks json
    #[arg(long)]
    json: bool,
    /// The chance of each fault of the line, for each chunk; on json only of those that lose and repeat nothing
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    lies: f32,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("cutting the power {} times by --seed {seed}", arguments.cuts);
    let folder = std::env::temp_dir().join(format!("atm-cuts-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let (wire, chances) = if arguments.json {
        (Wire::Json, Chances { merge: arguments.lies, ..Chances::default() })
    } else {
        // A delay would cost a run only time.
        (Wire::Postcard, Chances { delay: 0.0, reorder: 0.0, cut: 0.0, ..Chances::all(arguments.lies) })
    };
    let image = arguments.image.unwrap_or_else(|| image("kiosk"));
    let began = Instant::now();
    let day = Day::new(image, wire, Lie { chances, seed }, folder.clone()).run(arguments.cuts);
    println!(
        "{} operations told at once, {} found done after a cut, {} found not done, {} pages spoilt; {:.1} s",
        day.told,
        day.done,
        day.undone,
        day.torn,
        began.elapsed().as_secs_f64()
    );
    fs::remove_dir_all(&folder)?;
    // A run that never cut where it hurts has shown nothing.
    assert!(arguments.cuts < 50 || (day.done > 0 && day.undone > 0 && day.torn > 0), "no cut was in time");
    Ok(())
}
