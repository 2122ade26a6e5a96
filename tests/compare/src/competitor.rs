//! The programs that the comparison needs besides this project's own, and whether they are installed.
use super::postgres;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A system that can be left out of the comparison, because the machine may not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Competitor {
    /// redis-server
    Redis,
    /// PostgreSQL and pgbench
    Postgres,
    /// The original program's design in Python, a thread per client
    Python,
    /// SQLite, through Python's module
    Sqlite,
}

impl Competitor {
    const ALL: [Self; 4] = [Self::Redis, Self::Postgres, Self::Python, Self::Sqlite];

    /// Checks that the programs of all competitors but those in `without` are installed.
    ///
    /// # Errors
    /// A line for each missing program, with its Debian package.
    pub fn check(without: &[Self]) -> Result<(), String> {
        let missing: Vec<String> = Self::ALL
            .iter()
            .filter(|competitor| !without.contains(competitor))
            .filter_map(|competitor| {
                match competitor {
                    Self::Redis => installed(Path::new("redis-server"), "redis-server"),
                    Self::Postgres => postgres::programs()
                        .and_then(|programs| installed(&programs.join("initdb"), "postgresql")),
                    Self::Python | Self::Sqlite => installed(Path::new("python3"), "python3"),
                }
                .err()
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("{}\nor leave it out: --without redis,postgres,python,sqlite", missing.join("\n")))
    }
}

/// Checks the program of an earlier version.
///
/// # Errors
/// It does not run.
pub fn check_former(program: &Path) -> Result<(), String> {
    installed(program, "").map_err(|_| format!("{} does not run: --former needs an atm", program.display()))
}

fn installed(program: &Path, package: &str) -> Result<(), String> {
    let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!("{} is not installed: apt-get install {package}", program.display())),
    }
}
