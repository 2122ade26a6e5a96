//! The program `atm`: runs a command, and reports its error on standard error.
#![forbid(unsafe_code)]

mod cli;
mod run;

use atm_host::{client::Escaped, exit::Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse_or_exit();
    run::make_file_limit_an_error();
    let is_service = arguments.is_service();
    let exit = match run::run(arguments) {
        Ok(exit) => {
            run::finish(None);
            exit
        }
        Err(error) => {
            // The error and its causes in one line, so that grep finds both. Names of files and the like are quoted in it.
            run::finish(Some(&Escaped(&format!("atm: {error:#}")).to_string()));
            if is_service { run::exit_of_service(&error) } else { Exit::Error }
        }
    };
    exit.into()
}
