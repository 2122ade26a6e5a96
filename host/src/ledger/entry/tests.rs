use super::*;
use proptest::prelude::*;

fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![0..100_000u64, Just(Amount::MAX.minor())].prop_map(|minor| Amount::from_minor(minor).unwrap())
}

fn settled() -> impl Strategy<Value = (Option<Operation>, Outcome)> {
    let takes = |amount, all| if all { Operation::WithdrawAll } else { Operation::Withdraw(amount) };
    let insufficient = |balance| Outcome::Refused(Refusal::Insufficient { balance });
    let limit = |balance| Outcome::Refused(Refusal::BalanceLimit { balance });
    prop_oneof![
        (amounts(), amounts()).prop_map(|(amount, balance)| {
            (Some(Operation::Deposit(amount)), Outcome::Done(Receipt::Deposited { amount, balance }))
        }),
        // What is taken is what was asked for; the line says it once.
        (amounts(), amounts(), any::<bool>()).prop_map(move |(amount, balance, all)| {
            (Some(takes(amount, all)), Outcome::Done(Receipt::Withdrawn { amount, balance }))
        }),
        (amounts(), amounts(), any::<bool>())
            .prop_map(move |(amount, balance, all)| (Some(takes(amount, all)), insufficient(balance))),
        (amounts(), amounts())
            .prop_map(move |(amount, balance)| (Some(Operation::Deposit(amount)), limit(balance))),
        Just((None, Outcome::NotDone)),
    ]
}

fn facts() -> impl Strategy<Value = Fact> {
    let ledgers = any::<u64>().prop_map(LedgerId);
    let keys = prop::option::of(("[A-Za-z0-9._-]{1,32}", any::<u64>()))
        .prop_map(|key| key.map(|(name, id)| (name.parse().unwrap(), id)));
    prop_oneof![
        (ledgers.clone(), any::<u64>(), amounts()).prop_map(|(ledger, account, balance)| Fact::Created {
            ledger,
            account,
            balance
        }),
        ledgers.prop_map(|ledger| Fact::Restored { ledger }),
        any::<u64>().prop_map(|end| Fact::Numbers { end }),
        ("[A-Za-z0-9._-]{1,32}", any::<u64>(), any::<u64>()).prop_map(|(name, start, end)| Fact::SetBack {
            terminal: name.parse().unwrap(),
            gap: Gap { start, end }
        }),
        (keys, settled(), any::<u64>()).prop_map(|(key, (operation, outcome), account)| {
            // A void is under an id and of no account.
            let key = key.or_else(|| operation.is_none().then(|| ("a".parse().unwrap(), 1)));
            let account = if operation.is_some() { account } else { ACCOUNT };
            Fact::Settled { key, operation, outcome, account }
        }),
    ]
}

proptest! {
    #[test]
    fn a_line_is_read_as_it_was_written(number in any::<u64>(), time in any::<u64>(), fact in facts()) {
        let entry = Entry { number, time: Time::from_millis(time), fact };
        let line = entry.to_string();
        prop_assert_eq!(line.split(',').count(), COLUMNS.len(), "{}", line);
        prop_assert_eq!(Entry::parse(&line), Some(entry), "{}", line);
    }

    #[test]
    fn a_line_with_another_byte_in_it_is_none_or_another(
        fact in facts(),
        at in any::<prop::sample::Index>(),
        to in "[ -~]",
    ) {
        let line = Entry { number: 7, time: Time::from_millis(1_795_550_000_000), fact }.to_string();
        let at = at.index(line.len());
        let changed = format!("{}{to}{}", &line[..at], &line[at + 1..]);
        if let Some(read) = Entry::parse(&changed) {
            prop_assert_eq!(read.to_string(), changed.clone());
        }
        prop_assert_eq!(changed == line, Hash::default().next(&changed) == Hash::default().next(&line));
    }
}

#[test]
fn golden_lines() {
    let time = Time::from_millis(1_795_550_400_123);
    let units = |units| Amount::from_units(units).unwrap();
    let key = |id| Some(("kiosk-7".parse().unwrap(), id));
    let settled = |key, operation, outcome| Fact::Settled { key, operation, outcome, account: 1 };
    let facts = [
        Fact::Created { ledger: LedgerId(0xab), account: 1, balance: units(100) },
        Fact::Numbers { end: 1_048_577 },
        settled(
            key(9),
            Some(Operation::Deposit(units(40))),
            Outcome::Done(Receipt::Deposited { amount: units(40), balance: units(140) }),
        ),
        settled(
            key(10),
            Some(Operation::Withdraw(units(141))),
            Outcome::Refused(Refusal::Insufficient { balance: units(140) }),
        ),
        settled(key(11), None, Outcome::NotDone),
        settled(
            None,
            Some(Operation::WithdrawAll),
            Outcome::Done(Receipt::Withdrawn { amount: units(140), balance: Amount::ZERO }),
        ),
        Fact::Restored { ledger: LedgerId(u64::MAX) },
        Fact::SetBack { terminal: "kiosk-7".parse().unwrap(), gap: Gap { start: 66_051, end: 66_052 } },
    ];
    let (mut hash, mut lines) = (Hash::default(), format!("{},hash\n", COLUMNS.join(",")));
    for (number, fact) in (1..).zip(facts) {
        let line = Entry { number, time, fact }.to_string();
        hash = hash.next(&line);
        lines.push_str(&format!("{line},{hash}\n"));
    }
    assert_eq!(lines, include_str!("golden.csv"));
    assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
}

#[test]
fn what_no_host_writes_is_no_line() {
    let line = "1,3,2026-11-24T20:00:00.123Z,done,,,kiosk-7,9,deposit,,1,cash:kiosk-7,account:1,4000,14000";
    assert!(Entry::parse(line).is_some());
    for (from, to) in [
        ("1,3", "2,3"),
        ("1,3", "1,03"),
        (".123Z", "Z"),
        ("done", "void"),
        ("done", "refused"),
        ("cash:kiosk-7", "cash:kiosk-8"),
        ("cash:kiosk-7", "account:1"),
        ("4000,", "+4000,"),
        ("4000,", "9007199254740992,"),
        ("deposit", "withdraw"),
        ("deposit", "balance"),
        ("14000", "14000,"),
    ] {
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line);
        assert_eq!(Entry::parse(&changed), None, "{changed}");
    }
}
