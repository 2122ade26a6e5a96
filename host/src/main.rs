//! The `atm` program.
#![forbid(unsafe_code)]

mod cli;
mod run;

use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse_or_exit();
    match run::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // The causes behind it on the same line: a person reads one, and so does grep.
            // Nobody is left to be told where this fails.
            let _ = writeln!(io::stderr(), "atm: {error:#}");
            ExitCode::FAILURE
        }
    }
}
