//! `cards`: runs the terminal's image with access by card in QEMU, connected to a host on the desktop.
use atm_board::{CardRun, build};
use atm_e2e::println;
use clap::Parser;
use std::{fs, io, process, time::Instant};

/// Type numbers, PINs and amounts at the console of a terminal, and cut its power. Check that no digit of them is left, that
/// wrong PINs block the card, and that each withdrawal is done once or not at all.
#[derive(Parser)]
#[command(name = "cards")]
struct Arguments {
    /// How often to cut the power after the answer that withdraws
    #[arg(long, default_value_t = 20)]
    cuts: u64,
    /// Seed of all random numbers; random if not given, and printed
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("cutting the power {} times by --seed {seed}", arguments.cuts);
    build(&["fw-cards"]);
    let folder = std::env::temp_dir().join(format!("atm-cards-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let start = Instant::now();
    let mut run = CardRun::new(folder.clone(), seed);
    run.session();
    run.wrong_pins();
    run.cut_at_pin();
    for _ in 0..arguments.cuts {
        run.cut_at_withdrawal();
    }
    println!(
        "withdrawals: {} acknowledged before the cut, {} found done after it, {} found not done; {:.1} s",
        run.acknowledged,
        run.done,
        run.not_done,
        start.elapsed().as_secs_f64()
    );
    let counts = [run.acknowledged, run.done, run.not_done];
    drop(run);
    fs::remove_dir_all(&folder)?;
    // A run whose cuts were all before the withdrawals, or all after them, has tested nothing.
    assert!(
        arguments.cuts < 20 || counts.iter().filter(|count| **count > 0).count() > 1,
        "no cut was in between"
    );
    Ok(())
}
