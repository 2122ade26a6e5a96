//! The program `atm`: runs a command, and reports its error on standard error.
#![forbid(unsafe_code)]

mod cli;
mod run;

use atm_host::exit::Exit;
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse_or_exit();
    run::make_file_limit_an_error();
    let is_service = arguments.is_service();
    let exit = match run::run(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            // The error and its causes in one line, so that grep finds both. A failure to write it cannot be
            // reported.
            let _ = writeln!(io::stderr(), "atm: {error:#}");
            if is_service { run::exit_of_service(&error) } else { Exit::Error }
        }
    };
    exit.into()
}
