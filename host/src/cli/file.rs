//! Configuration file (`atm.toml`): options of `atm serve`, in TOML.
//!
//! A key is an option without its dashes, and clap parses its value by the option's own rules. The command
//! line overrides the file. Errors are one line each, in which what is quoted from the file is escaped.
use super::{Arguments, Command, Serve};
use atm_host::client::Escaped;
use clap::{
    ArgMatches, CommandFactory, Parser,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use serde::{Deserialize, Deserializer, de::Visitor};
use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
};

/// Most bytes of a configuration file; the sample with a comment at each key has 2,000.
const MAX_SIZE: u64 = 64 << 10;

/// A number or a string, which the option parses from text.
#[derive(Debug)]
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or text in quotes")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }

            // Accepted here, so that the option reports that it is out of range.
            fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The keys of the file; `examples/atm.toml` documents each.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Options {
    listen: Option<String>,
    serial: Option<String>,
    baud: Option<u64>,
    wire: Option<String>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    tls_client_ca: Option<String>,
    sealed: Option<bool>,
    secrets: Option<String>,
    access: Option<String>,
    withdrawal_limit: Option<Value>,
    day_limit: Option<Value>,
    refusal_alarm: Option<u64>,
    allow_clear: Option<bool>,
    data: Option<String>,
    #[cfg(feature = "postgres")]
    database: Option<String>,
    #[cfg(feature = "postgres")]
    database_ca: Option<String>,
    #[cfg(feature = "postgres")]
    host_name: Option<String>,
    balance: Option<Value>,
    limit: Option<Value>,
    idle_timeout: Option<u64>,
    frame_timeout: Option<u64>,
    stall_timeout: Option<u64>,
    max_sessions: Option<u64>,
    max_per_address: Option<u64>,
    max_terminals: Option<u64>,
    new_terminals: Option<u64>,
    allow_remote_quit: Option<bool>,
    metrics: Option<String>,
    allow_remote_metrics: Option<bool>,
    log: Option<String>,
    log_format: Option<String>,
}

impl Options {
    /// The options that the file sets: name and value.
    fn given(&self) -> Vec<(&'static str, String)> {
        fn text(value: &Option<impl fmt::Display>) -> Option<String> {
            value.as_ref().map(ToString::to_string)
        }
        let options = [
            ("listen", text(&self.listen)),
            ("serial", text(&self.serial)),
            ("baud", text(&self.baud)),
            ("wire", text(&self.wire)),
            ("tls-cert", text(&self.tls_cert)),
            ("tls-key", text(&self.tls_key)),
            ("tls-client-ca", text(&self.tls_client_ca)),
            ("sealed", text(&self.sealed)),
            ("secrets", text(&self.secrets)),
            ("access", text(&self.access)),
            ("withdrawal-limit", text(&self.withdrawal_limit)),
            ("day-limit", text(&self.day_limit)),
            ("refusal-alarm", text(&self.refusal_alarm)),
            ("allow-clear", text(&self.allow_clear)),
            ("data", text(&self.data)),
            #[cfg(feature = "postgres")]
            ("database", text(&self.database)),
            #[cfg(feature = "postgres")]
            ("database-ca", text(&self.database_ca)),
            #[cfg(feature = "postgres")]
            ("host-name", text(&self.host_name)),
            ("balance", text(&self.balance)),
            ("limit", text(&self.limit)),
            ("idle-timeout", text(&self.idle_timeout)),
            ("frame-timeout", text(&self.frame_timeout)),
            ("stall-timeout", text(&self.stall_timeout)),
            ("max-sessions", text(&self.max_sessions)),
            ("max-per-address", text(&self.max_per_address)),
            ("max-terminals", text(&self.max_terminals)),
            ("new-terminals", text(&self.new_terminals)),
            ("allow-remote-quit", text(&self.allow_remote_quit)),
            ("metrics", text(&self.metrics)),
            ("allow-remote-metrics", text(&self.allow_remote_metrics)),
            ("log", text(&self.log)),
            ("log-format", text(&self.log_format)),
        ];
        options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Options of the file that are ignored where the command line has the first one, because the two conflict.
const CONFLICTS: [(&str, &[&str]); 2] = [
    (
        "serial",
        &[
            "listen",
            "tls-cert",
            "tls-key",
            "tls-client-ca",
            "max-sessions",
            "max-per-address",
            "frame-timeout",
            "stall-timeout",
            "metrics",
        ],
    ),
    ("listen", &["serial", "baud"]),
];

/// The options of `atm serve --config`: those of the command line, then those of the file.
///
/// # Errors
/// The file cannot be read or parsed, or an option in it is wrong; the text is for a person, and names the
/// file.
pub(super) fn merge(path: &Path, line: &[OsString]) -> Result<Serve, String> {
    let wrong = |error: &dyn fmt::Display| escaped(&format!("{}: {error}", path.display()));
    let text = read_file(path).map_err(|error| wrong(&error))?;
    let file: Options = toml::from_str(&text).map_err(|error| wrong(&with_position(&error, &text)))?;
    let given = matches(line)?;
    let is_given = |name: &str| given.value_source(&id(name)) == Some(ValueSource::CommandLine);
    let is_ignored = |name: &str| {
        is_given(name) || CONFLICTS.iter().any(|(other, names)| is_given(other) && names.contains(&name))
    };
    let mut of_file: Vec<OsString> = vec!["atm".into(), "serve".into()];
    for (name, value) in file.given() {
        // No argument of a process has one, and no path of the system.
        if value.contains('\0') {
            return Err(wrong(&format!("a NUL character in `{name}`")));
        }
        if !is_ignored(name) {
            of_file.push(format!("--{name}={value}").into());
        }
    }
    let of_line = line.iter().skip_while(|word| *word != "serve").skip(1);
    let merged: Vec<OsString> = of_file.iter().chain(of_line).cloned().collect();
    // The command line may have what an option of the file needs. An error that the file has by itself is reported first.
    read(&merged).map_err(|error| wrong(&in_one_line(&read(&of_file).err().unwrap_or(error))))
}

fn id(name: &str) -> String {
    name.replace('-', "_")
}

fn matches(line: &[OsString]) -> Result<ArgMatches, String> {
    let all = Arguments::command().try_get_matches_from(line).map_err(|error| in_one_line(&error))?;
    all.subcommand_matches("serve")
        .cloned()
        .ok_or_else(|| "only `atm serve` has a configuration file".to_owned())
}

fn read(arguments: &[OsString]) -> Result<Serve, clap::Error> {
    let mut arguments = Arguments::try_parse_from(arguments)?;
    if let Some(Command::Serve(options)) = &mut arguments.command {
        // Nothing more comes from a file.
        options.config = None;
    }
    arguments.check()?;
    match arguments.command {
        Some(Command::Serve(options)) => Ok(*options),
        _ => Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
    }
}

/// Reads a regular file of at most [`MAX_SIZE`] bytes: a device or a pipe may never end.
fn read_file(path: &Path) -> io::Result<String> {
    let invalid = |reason: String| Err(io::Error::new(ErrorKind::InvalidInput, reason));
    // Before it is opened, which may wait or have an effect where it is a device.
    if !fs::metadata(path)?.is_file() {
        return invalid("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return invalid(format!("larger than {} KiB", MAX_SIZE >> 10));
    }
    String::from_utf8(bytes).or_else(|error| invalid(error.utf8_error().to_string()))
}

/// An error of the parser, which quotes no more of the text than a name or a value.
fn with_position(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = error.message().replace("expected u64", "expected a whole number, 0 or more");
    format!("line {line}, column {column}: {message}")
}

/// The text in one line, without characters that control a terminal.
fn escaped(text: &str) -> String {
    Escaped(&text.replace('\n', "\\n").replace('\t', "\\t")).to_string()
}

/// The error's first paragraph in one line, without the usage that follows.
fn in_one_line(error: &clap::Error) -> String {
    let mut text = error.to_string();
    // A value has line breaks of its own.
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        text = text.replace(value, &escaped(value));
    }
    let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests;
