//! `atm account` and `atm card` beside a running server: what they print, what they change, and what they refuse.
use crate::card_bank::{CardBank, done};
use atm_e2e::{Output, Program, Value, atm};
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

#[test]
fn an_account_is_opened_frozen_and_closed_beside_a_server() {
    let bank = CardBank::new();
    assert_eq!(bank.done(&["account", "open", "--owner", "Ada Lovelace", "--balance", "12.34"]), "1000\n");
    assert_eq!(bank.done(&["account", "open", "--owner", "Zoë \"Z\" %2C, \\", "--number", "1002"]), "1002\n");
    for number in ["1001\n", "1003\n"] {
        assert_eq!(bank.done(&["account", "open", "--owner", "Plato"]), number);
    }
    assert_eq!(
        bank.done(&["account", "freeze", "1000"]),
        "account 1000: frozen; no money moves until `atm account unfreeze`\n"
    );
    assert_eq!(bank.done(&["account", "close", "1001"]), "account 1001: closed for ever\n");
    let list = bank.done(&["account", "list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["account", "state", "balance", "owner"]);
    assert_eq!(rows[1], ["1", "open", "$100", "(open", "access)"]);
    assert_eq!(rows[2], ["1000", "frozen", "$12.34", "Ada", "Lovelace"]);
    assert_eq!(rows[3], ["1001", "closed", "$0", "Plato"]);
    assert_eq!(bank.objects("account")[3]["owner"], "Zoë \"Z\" %2C, \\");
    assert_eq!(bank.done(&["account", "unfreeze", "1000"]), "account 1000: open again\n");
    let shown: Value = serde_json::from_str(&bank.done(&["account", "show", "1000", "--json"])).unwrap();
    let expected = atm_e2e::json!({
        "account": 1000, "owner": "Ada Lovelace", "state": "open", "balance": 1234, "cards": [], "movements": [],
    });
    assert_eq!(shown, expected);
    bank.stop();
}

#[test]
fn a_card_is_issued_with_the_number_and_the_pin_that_are_printed_once() {
    let (bank, number, pin) = CardBank::with_card(&[]);
    bank.done(&["account", "open", "--owner", "Ada Lovelace", "--number", "7"]);
    assert!(number.starts_with("9999") && number.len() == 16 && pin.len() == 4, "{number}");
    assert!(bank.matches(1, &number, &pin));
    let long = bank.issue(&["--account", "7", "--account", "1000", "--prefix", "12345678", "--digits", "12"]);
    let (second, pin) = (long["number"].as_str().unwrap(), long["pin"].as_str().unwrap());
    assert!(second.starts_with("12345678") && pin.len() == 12 && bank.matches(2, second, pin), "{second}");
    let text = bank.done(&["card", "issue", "--account", "1000"]);
    let [row, third, pin] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let (third, pin) = (third.strip_prefix("number  ").unwrap(), pin.strip_prefix("PIN     ").unwrap());
    assert_eq!((row, third.len()), ("card    3", 19));
    assert!(bank.matches(3, third, pin) && !bank.matches(3, &number, pin));
    let list = bank.done(&["card", "list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["card", "number", "state", "tries", "accounts"]);
    assert_eq!(rows[2], ["2", &format!("…{}", &second[12..]), "in", "use", "0", "7", "1000"]);
    assert_eq!(rows.len(), 4);
    let show = bank.done(&["account", "show", "7"]);
    assert!(show.contains(&format!("\ncard     2 (…{})\n", &second[12..])), "{show}");
    bank.stop();
}

#[test]
fn a_card_is_blocked_unblocked_and_given_another_pin() {
    let (bank, number, old) = CardBank::with_card(&[]);
    let version = |bank: &CardBank| bank.row(1).version;
    assert_eq!(bank.done(&["card", "block", "1"]), "card 1: blocked, and its sessions are over\n");
    assert!(!bank.matches(1, &number, &old) && version(&bank) == 1);
    assert!(bank.done(&["account", "show", "1000"]).contains(", blocked)\n"));
    let said = bank.done(&["card", "set-pin", "1"]);
    let new = said.strip_prefix("card    1\nPIN     ").unwrap().trim_end();
    assert!(bank.row(1).is_blocked && version(&bank) == 2);
    assert_eq!(bank.done(&["card", "unblock", "1"]), "card 1: unblocked; its PIN may be tried three times\n");
    assert!(bank.matches(1, &number, new) && version(&bank) == 3);
    assert!(new == old || !bank.matches(1, &number, &old));
    let said = bank.done(&["card", "set-pin", "1", "--json", "--digits", "8"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said["card"] == 1 && bank.matches(1, &number, said["pin"].as_str().unwrap()), "{said}");
    bank.stop();
}

#[test]
fn a_pin_is_read_from_a_file_descriptor() {
    let (bank, number, _) = CardBank::with_card(&[]);
    let set = |descriptor: &str, input: &str| {
        Program::run(bank.command(&["card", "set-pin", "1", "--pin-fd", descriptor]), input)
    };
    for (input, pin) in [("2580\n", "2580"), ("31415926\r\nmore\n", "31415926"), ("8520", "8520")] {
        let said = done(&set("0", input));
        assert_eq!(said, "card 1: it has the new PIN, and its sessions are over\n");
        assert!(bank.matches(1, &number, pin), "{input:?}");
    }
    // From another one, as a shell's `3<file` gives it.
    let file = bank.folder.path().join("pin");
    fs::write(&file, "1379\n").unwrap();
    let atm = bank.command(&["card", "set-pin", "1", "--pin-fd", "3"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 3<\"$PIN\""]).arg(atm.get_program()).args(atm.get_args());
    shell.env("PIN", &file);
    done(&Program::run(shell, ""));
    assert!(bank.matches(1, &number, "1379"));
    let long = "1".repeat(65);
    for (descriptor, input, error) in [
        ("0", "1234\n", "a PIN must not be a run or a repetition of digits"),
        ("0", "123\n", "a PIN is 4 to 12 digits"),
        ("0", "25\u{b2}8\n", "a PIN is 4 to 12 digits"),
        ("0", "", "file descriptor 0: there is no line"),
        ("0", &long, "file descriptor 0: the line is too long"),
        ("77", "", "file descriptor 77: No such file"),
    ] {
        let output = set(descriptor, input);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
        assert!(output.stderr.contains(error), "{output:?}");
    }
    assert!(bank.matches(1, &number, "1379"));
    bank.stop();
}

#[test]
fn an_order_that_does_not_fit_the_rows_is_refused_in_words() {
    let (bank, ..) = CardBank::with_card(&[]);
    bank.done(&["account", "open", "--owner", "Plato", "--number", "7"]);
    bank.done(&["account", "close", "7"]);
    for (words, text) in [
        (
            &["account", "open", "--owner", "Ada", "--number", "1000"][..],
            "account 1000: there is one already",
        ),
        (&["account", "open", "--owner", "Ada", "--number", "1"], "account 1: there is one already"),
        (
            &["account", "close", "1000"],
            "account 1000: there is $100 in it, and only an empty account is closed",
        ),
        (&["account", "close", "7"], "account 7: it is closed, which is final"),
        (&["account", "freeze", "7"], "account 7: it is closed"),
        (&["account", "unfreeze", "1000"], "account 1000: it is not frozen"),
        (&["account", "freeze", "1"], "account 1: it is that of open access"),
        (&["account", "freeze", "8"], "account 8: there is none"),
        (&["account", "show", "8"], "account 8: there is none"),
        (&["card", "issue", "--account", "8"], "account 8: there is none"),
        (&["card", "issue", "--account", "7"], "account 7: it is closed"),
        (&["card", "issue", "--account", "1"], "account 1: it is that of open access"),
        (&["card", "issue", "--account", "1000", "--account", "1000"], "none of them twice"),
        (&["card", "block", "2"], "card 2: there is none (`atm card list`)"),
        (&["card", "unblock", "1"], "card 1: it is not blocked, and no wrong PIN is counted"),
        (&["card", "set-pin", "2"], "card 2: there is none"),
        (&["card", "issue", "--account", "1000", "--ask-pin"], "standard input is no terminal"),
        (&["card", "block", "--ask-number"], "standard input is no terminal"),
    ] {
        bank.refused(words, text);
    }
    bank.done(&["account", "freeze", "1000"]);
    bank.refused(&["account", "freeze", "1000"], "account 1000: it is frozen already");
    bank.done(&["card", "block", "1"]);
    bank.refused(&["card", "block", "1"], "card 1: it is blocked already");
    bank.stop();
}

#[test]
fn wrong_usage_ends_with_code_2() {
    let bank = CardBank::new();
    for words in [
        &["account", "open"][..],
        &["account", "open", "--owner", ""],
        &["account", "open", "--owner", "a\nb"],
        &["account", "open", "--owner", "Ada", "--number", "0"],
        &["account", "open", "--owner", "Ada", "--number", "1000000000"],
        &["account", "open", "--owner", "Ada", "--balance", "-1"],
        &["account", "open", "--owner", "Ada", "--balance", "007.5"],
        &["account", "open", "--owner", "Ada", "--balance", "1.234"],
        &["account", "open", "--owner", "Ada", "--balance", "1e3"],
        &["account", "open", "--owner", "Ada", "--balance", " 1"],
        &["account", "open", "--owner", "Ada", "--balance", "90071992547409.92"],
        &["account", "open", "--owner", "Ada", "--balance", "18446744073709551617"],
        &["account", "close"],
        &["account", "close", "4294968296"],
        &["card", "issue"],
        &["card", "issue", "--account", "one"],
        &["card", "issue", "--account", "1000", "--prefix", "123456789"],
        &["card", "issue", "--account", "1000", "--digits", "3"],
        &["card", "issue", "--account", "1000", "--digits", "4", "--ask-pin"],
        &["card", "issue", "--account", "1000", "--ask-pin", "--pin-fd", "3"],
        &["card", "block"],
        &["card", "block", "0"],
        &["card", "block", "1", "--ask-number"],
    ] {
        let output = bank.run(words);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{words:?}: {output:?}");
    }
    let lacks = Program::run(bank.command(&["card", "issue", "--account", "1000", "--secrets", "none"]), "");
    assert_eq!(lacks.code, Some(1), "{lacks:?}");
    bank.stop();
}

#[test]
fn commands_at_the_same_time_get_numbers_and_rows_of_their_own() {
    const EACH: usize = 6;
    let (bank, ..) = CardBank::with_card(&[]);
    let start = |words: &[&str]| (0..EACH).map(|_| Program::start(bank.command(words))).collect::<Vec<_>>();
    let accounts = start(&["account", "open", "--owner", "Ada"]);
    let cards = start(&["card", "issue", "--account", "1000", "--json"]);
    let blocks = start(&["card", "block", "1"]);
    let opened: BTreeSet<u32> =
        accounts.into_iter().map(|program| done(&program.finish()).trim().parse().unwrap()).collect();
    assert_eq!(opened, (1001..1001 + EACH as u32).collect());
    let mut rows = BTreeSet::new();
    for program in cards {
        let issued: Value = serde_json::from_str(&done(&program.finish())).unwrap();
        let row = issued["card"].as_u64().unwrap();
        assert!(bank.matches(row, issued["number"].as_str().unwrap(), issued["pin"].as_str().unwrap()));
        rows.insert(row);
    }
    assert_eq!(rows, (2..2 + EACH as u64).collect());
    // One of the orders blocks it, and each other finds it blocked.
    let codes: Vec<_> = blocks.into_iter().map(|program| program.finish().code.unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(bank.row(1).version, 1);
    bank.stop();
}

#[test]
fn a_secrets_file_without_a_key_of_the_cards_is_refused_until_every_card_is_blocked() {
    let (bank, ..) = CardBank::with_card(&[]);
    let other = bank.folder.path().join("other");
    let other = other.to_str().unwrap();
    done(&Program::run(atm(&["secrets", "new", other]), ""));
    let issue = ["card", "issue", "--account", "1000", "--secrets", other];
    let reason = "the secrets file has no key of the ledger's cards";
    bank.refused(&issue, reason);
    bank.refused(&["card", "set-pin", "1", "--secrets", other], &format!("card 1: {reason}"));
    bank.done(&["card", "block", "1"]);
    assert!(bank.done(&issue).starts_with("card    2\n"));
    bank.refused(
        &["card", "issue", "--account", "1000", "--secrets", &bank.data().join("none").to_string_lossy()],
        "none",
    );
    bank.stop();
}

#[test]
fn a_key_of_cards_is_replaced_in_three_steps() {
    let (bank, number, pin) = CardBank::with_card(&[]);
    let (file, data) = (bank.secrets(), bank.data());
    let secrets = |words: &[&str]| Program::run(atm(&[&["secrets"], words].concat()), "");
    let remove = |kind: &str| secrets(&["remove", kind, &file, "--data", data.to_str().unwrap()]);
    let refused = |output: &Output, text: &str| {
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
        assert!(output.stderr.contains(text), "{output:?}");
    };
    for early in [secrets(&["use", "pins", &file]), remove("pins")] {
        refused(&early, "it has one key of this kind, and no other: `atm secrets add`");
    }
    let key = |bank: &CardBank| bank.row(1).verifier.key;
    let old = key(&bank);
    for (step, said) in [("add", "a key of pins is added"), ("use", "the other key of pins is used")] {
        assert!(done(&secrets(&[step, "pins", &file])).contains(said));
        assert!(bank.matches(1, &number, &pin), "{step}");
    }
    refused(&secrets(&["add", "pins", &file]), "it has two keys of this kind already");
    let reason =
        "cards with the key that is to be removed: 1; the next right PIN, or `atm card set-pin`, gives";
    refused(&remove("pins"), reason);
    let said: Value = serde_json::from_str(&bank.done(&["card", "set-pin", "1", "--json"])).unwrap();
    assert_ne!(key(&bank), old);
    assert!(done(&remove("pins")).contains("one key of pins is left"));
    assert!(bank.matches(1, &number, said["pin"].as_str().unwrap()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // No number is kept, so an order cannot give a card another token.
    for step in ["add", "use"] {
        done(&secrets(&[step, "tokens", &file]));
    }
    bank.done(&["card", "set-pin", "1"]);
    refused(&remove("tokens"), "cards with the key that is to be removed: 1; the next right PIN gives");
    bank.done(&["card", "block", "1"]);
    assert!(done(&remove("tokens")).contains("one key of tokens is left"));
    bank.refused(&["card", "set-pin", "1"], "card 1: the secrets file has no key of the ledger's cards");
    assert_eq!(secrets(&["add", "terminals", &file]).code, Some(2));
    bank.stop();
}

#[test]
fn a_card_whose_number_cannot_be_printed_can_be_blocked() {
    let (bank, ..) = CardBank::with_card(&[]);
    let run = |words: &[&str]| {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = bank.command(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&["card", "issue", "--account", "1000"]);
    assert!(
        said.contains("card 2 is issued") && said.contains("`atm card block 2`, and issue another"),
        "{said}"
    );
    assert!(said.contains("No space left on device"), "{said}");
    bank.done(&["card", "block", "2"]);
    let said = run(&["card", "set-pin", "1"]);
    assert!(said.contains("card 1 has another PIN, which cannot be printed: set one more"), "{said}");
    bank.stop();
}

#[test]
fn no_file_and_no_output_but_the_first_has_the_number_or_the_pin() {
    let (bank, number, pin) = CardBank::with_card(&["--digits", "12"]);
    let folder = bank.folder.path().to_owned();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let data = bank.data();
    for words in [&["ledger", "backup", &path("backup")][..], &["ledger", "export", &path("export")]] {
        bank.done(words);
    }
    let mut texts = vec![
        bank.server.program.stderr(),
        bank.done(&["card", "list"]),
        bank.done(&["card", "list", "--json"]),
        bank.done(&["account", "show", "1000"]),
        bank.done(&["ledger", "show"]),
        format!("{:?}", bank.row(1)),
    ];
    let CardBank { folder: _kept, server } = bank;
    server.stop();
    for folder in [&folder, &data] {
        for entry in
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            texts.push(String::from_utf8_lossy(&fs::read(entry).unwrap()).into_owned());
        }
    }
    assert!(texts.len() >= 12, "{}", texts.len());
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [&number[4..15], &pin] {
        for text in &texts {
            assert!(!text.contains(secret) && !text.contains(&hex(secret)), "{text}");
        }
    }
}
