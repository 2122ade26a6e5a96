//! `cuts`: cuts the power of a kiosk in QEMU in the middle of operations, and audits every outcome and
//! balance.
use atm_board::{LinkFaults, PowerCutRun, image};
use atm_core::wire::Wire;
use atm_e2e::println;
use clap::Parser;
use firmware_sim::fault_injector::Chances;
use std::{fs, io, path::PathBuf, process, time::Instant};

/// Cut a kiosk's power in the middle of operations and corrupt its EEPROM. Check that an acknowledged
/// operation stands, and that any other was done once or not at all, as the reply to the next hello says.
#[derive(Parser)]
#[command(name = "cuts")]
struct Arguments {
    /// How often to cut the power
    #[arg(long, default_value_t = 100)]
    cuts: u64,
    /// Seed of all random numbers; random if not given, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// The kiosk's image [default: the one that `cargo fw` has built]
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,
    /// The image is for the json wire
    #[arg(long)]
    json: bool,
    /// The chance of each fault of the link, per chunk; on json only of merged chunks, because json has no
    /// checksum
    #[arg(long, alias = "lies", default_value_t = 0.0, value_name = "P")]
    fault_chance: f32,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("cutting the power {} times by --seed {seed}", arguments.cuts);
    let folder = std::env::temp_dir().join(format!("atm-cuts-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let (wire, chances) = if arguments.json {
        (Wire::Json, Chances { merge: arguments.fault_chance, ..Chances::default() })
    } else {
        // Without the faults that only make the run longer.
        (
            Wire::Postcard,
            Chances { delay: 0.0, reorder: 0.0, cut: 0.0, ..Chances::all(arguments.fault_chance) },
        )
    };
    let image = arguments.image.unwrap_or_else(|| image("kiosk"));
    let start = Instant::now();
    let run = PowerCutRun::new(image, wire, LinkFaults { chances, seed }, folder.clone()).run(arguments.cuts);
    println!(
        "{} operations acknowledged at once, {} found done after a cut, {} found not done, {} pages corrupted; {:.1} s",
        run.acknowledged,
        run.done,
        run.not_done,
        run.torn,
        start.elapsed().as_secs_f64()
    );
    fs::remove_dir_all(&folder)?;
    // A run whose cuts all missed the commits has tested nothing.
    assert!(
        arguments.cuts < 50 || (run.done > 0 && run.not_done > 0 && run.torn > 0),
        "no cut was during a commit"
    );
    Ok(())
}
