//! The program `atm`: runs a command, and reports its error on standard error.
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
            // The error and its causes in one line, so that grep finds both. A failure to write it cannot be
            // reported.
            let _ = writeln!(io::stderr(), "atm: {error:#}");
            ExitCode::FAILURE
        }
    }
}
