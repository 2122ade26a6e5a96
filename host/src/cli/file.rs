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
    data: Option<String>,
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
            ("data", text(&self.data)),
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
    ("serial", &["listen", "max-sessions", "max-per-address", "frame-timeout", "stall-timeout", "metrics"]),
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
    let mut arguments: Vec<OsString> = vec!["atm".into(), "serve".into()];
    for (name, value) in file.given() {
        if !is_ignored(name) {
            arguments.push(format!("--{name}={value}").into());
        }
    }
    // The file's options alone are parsed first: an error is then the file's.
    read(&arguments).map_err(|error| wrong(&in_one_line(&error)))?;
    arguments.extend(line.iter().skip_while(|word| *word != "serve").skip(1).cloned());
    read(&arguments).map_err(|error| wrong(&in_one_line(&error)))
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
    let arguments = Arguments::try_parse_from(arguments)?;
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
    format!("line {line}, column {column}: {}", error.message())
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
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn merge_text(file: &str, line: &str) -> Result<Serve, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("atm.toml");
        fs::write(&path, file).unwrap();
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        merge(&path, &line)
    }

    #[test]
    fn the_file_sets_what_the_command_line_does_not() {
        let file = "listen = '127.0.0.1:7'\nbalance = 250\nlimit = '10.50'\nidle-timeout = 7\nwire = 'raw'";
        let serve = merge_text(file, "atm serve --idle-timeout 9").unwrap();
        assert_eq!((serve.listen.as_str(), serve.idle_timeout, serve.stall_timeout), ("127.0.0.1:7", 9, 30));
        assert_eq!((serve.balance.minor(), serve.limit.minor()), (25_000, 1_050));
        assert_eq!(serve.wire, Some(atm_core::wire::Wire::Raw));
        let serve = merge_text("allow-remote-quit = true\nserial = 'a'\nbaud = 9600", "atm serve").unwrap();
        assert!(serve.allow_remote_quit && serve.serial.as_deref() == Some("a") && serve.baud == 9600);
        // The command line names TCP and the file a serial line, and the other way round.
        let serve = merge_text("serial = 'a'\nbaud = 9600", "atm serve --listen a:1").unwrap();
        assert_eq!((serve.serial, serve.listen.as_str()), (None, "a:1"));
        let serve = merge_text("listen = 'a:1'\nmax-sessions = 7", "atm serve --serial b").unwrap();
        assert_eq!(serve.serial.as_deref(), Some("b"));
    }

    #[test]
    fn the_command_line_overrides_every_key() {
        let file = "listen = '127.0.0.1:7'\nwire = 'raw'\ndata = 'a'\nbalance = 7\nlimit = 7\nidle-timeout = 7\n\
                    frame-timeout = 7\nstall-timeout = 7\nmax-sessions = 7\nmax-per-address = 7\nmax-terminals = 7\nnew-terminals = 7\nallow-remote-quit = true\n\
                    metrics = '127.0.0.1:7'\nlog = 'off'\n";
        let defaults = format!("{:?}", merge_text("", "atm serve").unwrap());
        let line = "atm serve --listen 127.0.0.1:65432 --balance 100 --limit 1000000 --idle-timeout 300 --frame-timeout 10 \
                    --stall-timeout 30 --max-sessions 10000 --max-per-address 9 --max-terminals 100000 --new-terminals 1000 --allow-remote-quit=false --metrics=off --log info \
                    --data b --wire json";
        let serve = merge_text(file, line).unwrap();
        assert_eq!(
            (serve.wire, serve.data.as_deref()),
            (Some(atm_core::wire::Wire::Json), Some(Path::new("b")))
        );
        assert_eq!(
            format!("{:?}", Serve { wire: None, data: None, max_per_address: None, ..serve }),
            defaults
        );
        for (line, allowed) in
            [("", true), (" --allow-remote-quit=false", false), (" --allow-remote-quit", true)]
        {
            let serve = merge_text(file, &format!("atm serve{line}")).unwrap();
            assert_eq!(serve.allow_remote_quit, allowed, "{line}");
        }
        let serve = merge_text("allow-remote-quit = false", "atm serve --allow-remote-quit").unwrap();
        assert!(serve.allow_remote_quit);
        // A serial line and its speed.
        let file = "serial = 'a'\nbaud = 9600\nmetrics = 'off'";
        let serve = merge_text(file, "atm serve --serial b --baud 19200").unwrap();
        assert_eq!((serve.serial.as_deref(), serve.baud), (Some("b"), 19_200));
        let error = merge_text(file, "atm serve --metrics 127.0.0.1:7").unwrap_err();
        assert!(error.contains("--metrics is for TCP"), "{error}");
    }

    #[test]
    fn an_error_in_the_file_is_reported() {
        for (file, expected) in [
            ("balence = 7", "unknown field `balence`"),
            ("balance = -7", "invalid value '-7' for '--balance"),
            ("balance = 99999999999999999999", "invalid value '99999999999999999999' for '--balance"),
            ("balance = 1.5", "a whole number, or text in quotes"),
            ("baud = 9600", "were not provided: --serial <PATH>"),
            ("log = 'loud'", "for '--log <LOG>' [possible values: off, error"),
            ("balance = '1e3'", "invalid value '1e3' for '--balance"),
            ("idle-timeout = 0", "invalid value '0' for '--idle-timeout"),
            ("idle-timeout = '7'", "invalid type"),
            ("listen = 'nowhere'", "invalid value 'nowhere'"),
            ("listen = 'a:1'\nserial = 'b'", "cannot be used with"),
            ("serial = 'b'\nwire = 'raw'", "--wire raw has no hello"),
            ("listen = ", "line 1, column 10: string values must be quoted"),
            ("# ü\nlog = 'a\x1b[2J'", "line 2, column 9: invalid literal string"),
            ("\"li\\u001b\\nx\" = 1", "line 1, column 1: unknown field `li\\u{1b}\\nx`"),
            ("wire = \"x\\u001b\\n\\n\\u202ey\"", "invalid value 'x\\u{1b}\\n\\n\\u{202e}y' for '--wire"),
            ("baud = \"\\u001b\"", "line 1, column 8: invalid type: string \"\\u{1b}\""),
            ("\"\" = 1", "unknown field ``"),
            ("wire = ''", "a value is required for '--wire"),
            ("[serve]", "unknown field `serve`"),
            ("config = 'b'", "unknown field `config`"),
        ] {
            let error = merge_text(file, "atm serve").unwrap_err();
            assert!(error.contains("atm.toml: ") && error.contains(expected), "{file}: {error}");
            assert!(!error.contains(char::is_control), "{file}: {error:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_regular_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let line: Vec<OsString> = ["atm", "serve"].map(OsString::from).to_vec();
        for path in [Path::new("/dev/zero"), folder.path()] {
            let error = merge(path, &line).unwrap_err();
            assert!(error.ends_with(": not a regular file"), "{error}");
        }
        let largest = " ".repeat(MAX_SIZE as usize);
        merge_text(&largest, "atm serve").unwrap();
        let error = merge_text(&format!("{largest}\n"), "atm serve").unwrap_err();
        assert!(error.ends_with("atm.toml: larger than 64 KiB"), "{error}");
        let path = folder.path().join("latin-1");
        fs::write(&path, b"data = '\xe9'").unwrap();
        let error = merge(&path, &line).unwrap_err();
        assert!(error.ends_with("latin-1: invalid utf-8 sequence of 1 bytes from index 8"), "{error}");
    }

    /// The sample has every option with its default, and is valid with all keys uncommented.
    #[test]
    fn the_sample_has_every_key() {
        let sample = include_str!("../../../examples/atm.toml");
        let keys: BTreeSet<String> = sample
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
            .map(|(key, _)| key.to_owned())
            .collect();
        let command = Arguments::command();
        let serve = command.find_subcommand("serve").unwrap();
        let options: BTreeSet<String> =
            serve.get_arguments().filter_map(|option| option.get_long().map(str::to_owned)).collect();
        // A loss is accepted by a person, for one start.
        let others = ["accept-loss", "check-config", "config", "help", "version"].map(str::to_owned);
        assert_eq!(keys, options.difference(&BTreeSet::from(others)).cloned().collect());
        merge_text(sample, "atm serve").unwrap();
        // A serial port excludes an address.
        let all = |serial: bool| -> String {
            let is_taken = |key: &str| match key {
                "serial" | "baud" => serial,
                "listen" | "max-sessions" | "max-per-address" | "frame-timeout" | "stall-timeout"
                | "metrics" => !serial,
                _ => true,
            };
            let lines = sample.lines().map(|line| line.trim_start_matches("# "));
            lines
                .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| is_taken(key)))
                .map(|line| format!("{line}\n"))
                .collect()
        };
        for serial in [false, true] {
            let serve = merge_text(&all(serial), "atm serve").unwrap();
            let defaults = merge_text("", "atm serve").unwrap();
            assert_eq!(
                (serve.idle_timeout, serve.limit, serve.balance),
                (defaults.idle_timeout, defaults.limit, defaults.balance)
            );
            assert_eq!(
                (serve.listen, serve.max_sessions, serve.baud),
                (defaults.listen, defaults.max_sessions, defaults.baud)
            );
        }
    }
}
