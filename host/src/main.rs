//! The `atm` program.
#![forbid(unsafe_code)]

mod cli;
mod run;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match run::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // The causes behind it on the same line: a person reads one, and so does grep.
            eprintln!("atm: {error:#}");
            ExitCode::FAILURE
        }
    }
}
