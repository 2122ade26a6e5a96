//! Tests of the configuration file.
use super::*;
use crate::cli::Access;
use atm_host::{access::Secrets, server::CardAccess};
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
    assert_eq!((serve.wire, serve.data.as_deref()), (Some(atm_core::wire::Wire::Json), Some(Path::new("b"))));
    assert_eq!(format!("{:?}", Serve { wire: None, data: None, max_per_address: None, ..serve }), defaults);
    for (line, allowed) in [("", true), (" --allow-remote-quit=false", false), (" --allow-remote-quit", true)]
    {
        let serve = merge_text(file, &format!("atm serve{line}")).unwrap();
        assert_eq!(serve.allow_remote_quit, allowed, "{line}");
    }
    let serve = merge_text("allow-remote-quit = false", "atm serve --allow-remote-quit").unwrap();
    assert!(serve.allow_remote_quit);
    // The command line has what an option of the file needs.
    let serve = merge_text("baud = 9600", "atm serve --serial b").unwrap();
    assert_eq!((serve.serial.as_deref(), serve.baud), (Some("b"), 9_600));
    let file = "metrics = '0.0.0.0:7'\ntls-cert = 'a'";
    merge_text(file, "atm serve --allow-remote-metrics --tls-cert a --tls-key b --tls-client-ca c").unwrap();
    // A serial line and its speed.
    let file = "serial = 'a'\nbaud = 9600\nmetrics = 'off'";
    let serve = merge_text(file, "atm serve --serial b --baud 19200").unwrap();
    assert_eq!((serve.serial.as_deref(), serve.baud), (Some("b"), 19_200));
    let error = merge_text(file, "atm serve --metrics 127.0.0.1:7").unwrap_err();
    assert!(error.contains("--metrics is for TCP"), "{error}");
}

#[test]
fn access_by_card_has_a_shorter_time_at_a_prompt_and_needs_an_authenticated_link() {
    let card = "access = 'card'\nsecrets = 's'\ndata = 'd'\n";
    let idle = |file: &str, line: &str| merge_text(file, line).unwrap().idle_timeout;
    assert_eq!((idle(card, "atm serve --sealed"), idle("", "atm serve")), (30, 300));
    assert_eq!(idle(card, "atm serve --sealed --idle-timeout 40"), 40);
    assert_eq!(idle(&format!("{card}idle-timeout = 50"), "atm serve --sealed=true"), 50);
    assert_eq!(idle("sealed = true\ndata = 'd'", "atm serve --access card"), 30);
    assert_eq!(idle(card, "atm serve --access open --allow-clear"), 300);
    for (file, line, expected) in [
        (card, "atm serve", "--access card serves only authenticated terminals"),
        (card, "atm serve --allow-clear", "--access card serves only authenticated terminals"),
        ("access = 'card'\nsealed = true", "atm serve", "--access card needs --data"),
        ("day-limit = 7", "atm serve", "--day-limit and --refusal-alarm are for --access card"),
        ("day-limit = '7.50'\naccess = 'card'", "atm serve --access open", "are for --access card"),
        ("access = 'cards'", "atm serve", "invalid value 'cards' for '--access"),
        ("access = 'card'\nday-limit = -1", "atm serve", "invalid value '-1' for '--day-limit"),
    ] {
        let error = merge_text(file, line).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
    }
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
        ("idle-timeout = -1", "expected a whole number, 0 or more"),
        ("data = \"a\\u0000b\"", "a NUL character in `data`"),
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
    let sample = include_str!("../../../../examples/atm.toml");
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
    let all = |serial: bool, card: bool| -> String {
        let is_taken = |key: &str| match key {
            "serial" | "baud" => serial,
            "listen" | "tls-cert" | "tls-key" | "tls-client-ca" | "max-sessions" | "max-per-address"
            | "frame-timeout" | "stall-timeout" | "metrics" => !serial,
            // TLS and the sample's wire exclude them.
            "sealed" => false,
            "secrets" | "withdrawal-limit" | "day-limit" | "refusal-alarm" => card,
            _ => true,
        };
        let lines = sample.lines().map(|line| line.trim_start_matches("# "));
        lines
            .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| is_taken(key)))
            .map(|line| format!("{line}\n").replace("\"open\"", if card { "\"card\"" } else { "\"open\"" }))
            .collect()
    };
    // By card over TLS: the defaults are those of the program.
    let serve = merge_text(&all(false, true), "atm serve").unwrap();
    let limits = [serve.withdrawal_limit, serve.day_limit].map(|limit| limit.map(|limit| limit.units()));
    let defaults = CardAccess::new(Secrets::generate().unwrap().cards());
    assert_eq!(limits, [defaults.limits.withdrawal, defaults.limits.day].map(|limit| Some(limit.units())));
    assert_eq!((serve.access, serve.refusal_alarm), (Access::Card, Some(defaults.refusal_alarm)));
    for serial in [false, true] {
        let serve = merge_text(&all(serial, false), "atm serve").unwrap();
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
