//! Buffer sizes: the longest messages fit.
use super::*;
use crate::{
    codec::json,
    ledger::Refusal,
    message::{Capabilities, Dispenser, EXTENDED},
};
use std::format;

const FAULTS: &[Fault] = &[
    Fault::Empty,
    Fault::TooLong,
    Fault::WrongWire,
    Fault::Incomplete,
    Fault::Damaged,
    Fault::NotUtf8,
    Fault::NotJson,
    Fault::TooDeep,
    Fault::NotAMessage,
    Fault::BadName,
    Fault::Version,
    Fault::Unnumbered,
    Fault::NotOpen,
    Fault::Conflict,
    Fault::OtherName,
    Fault::NotEnrolled,
    #[cfg(feature = "cards")]
    Fault::ByCard,
];

/// Every reply to an answer or a hello, with the longest numbers.
fn replies() -> Vec<Reply> {
    let most = Amount::MAX;
    let outcomes = [
        Outcome::Done(Receipt::Balance { balance: most }),
        Outcome::Done(Receipt::Deposited { amount: most, balance: most }),
        Outcome::Done(Receipt::Withdrawn { amount: most, balance: most }),
        Outcome::Refused(Refusal::Insufficient { balance: most }),
        Outcome::Refused(Refusal::Insufficient { balance: Amount::ZERO }),
        Outcome::Refused(Refusal::BalanceLimit { balance: most }),
        Outcome::Refused(Refusal::Conflict),
        Outcome::Refused(Refusal::Full),
        Outcome::NotDone,
        Outcome::Unknown,
    ];
    let prompts = [Screen::Menu, Screen::DepositPrompt, Screen::WithdrawPrompt { balance: most }];
    let reasons = [
        Screen::InvalidChoice,
        Screen::NotAnAmount,
        Screen::NotPositive,
        Screen::OverLimit { limit: most },
        Screen::AnswerTooLong,
        Screen::QuitNotPermitted,
    ];
    let mut replies: Vec<Vec<Screen>> = vec![vec![Screen::Goodbye], vec![Screen::Stopping]];
    for prompt in prompts {
        replies
            .extend(outcomes.map(|outcome| vec![Screen::EarlierRequest, Screen::Outcome(outcome), prompt]));
        replies.extend(reasons.map(|reason| vec![reason, Screen::NoFunds, prompt]));
    }
    #[cfg(feature = "cards")]
    replies.extend(card_replies());
    let number = (1 << 53) - 1;
    let welcome = Some(Welcome { ledger: Some(LEDGER), start: Numbers::MAX, attempt: u32::MAX });
    let reply = |screens: Vec<Screen>| Reply {
        seq: number,
        re: Some(number),
        screens: screens.into_iter().collect::<Screens>(),
        welcome,
    };
    replies.into_iter().map(reply).collect()
}

/// The replies of cards' sessions, with the longest numbers.
#[cfg(feature = "cards")]
fn card_replies() -> Vec<Vec<Screen>> {
    use crate::{
        ledger::{
            AccountNumber,
            card::{Accounts, Date, Kind, StatementLine},
        },
        screen::CardScreen,
        time::UnixTime,
    };
    let (most, payee) = (Amount::MAX, AccountNumber(999_999_999));
    let date = Some(Date::from(UnixTime::from_millis(3_000_000 * 86_400_000)));
    let line = StatementLine { date, kind: Kind::TransferOut, amount: most, balance: most };
    let mut statement = vec![Screen::Card(CardScreen::Movement(line)); 5];
    statement.push(Screen::Card(CardScreen::Menu));
    let transferred = Receipt::Transferred { payee, amount: most, balance: most };
    let earlier = Screen::Card(CardScreen::Earlier(transferred));
    let accounts = Accounts::new(&[payee; 4]).unwrap();
    let prompt = Screen::Card(CardScreen::AccountPrompt { accounts });
    let refused = Screen::Outcome(Outcome::Refused(Refusal::DayLimit { left: most }));
    vec![
        statement,
        vec![Screen::EarlierRequest, earlier, prompt],
        vec![refused, Screen::Card(CardScreen::TooManyPayees), Screen::Card(CardScreen::Menu)],
        vec![Screen::Outcome(Outcome::Done(transferred)), Screen::Card(CardScreen::Menu)],
    ]
}

/// A terminal waits for so long before it retransmits.
#[test]
fn the_longest_answer_and_reply_fit_an_exchange() {
    for (_, wire) in Wire::ALL {
        for reply in replies() {
            let reply = frame(*wire, |out| out.reply(&reply));
            let most = crate::terminal::EXCHANGE as usize;
            assert!(reply.len() + IN <= most, "{wire}: {}", reply.len());
        }
    }
}

#[test]
fn the_longest_fault_and_reply_fit_the_output_buffer() {
    for (_, wire) in Wire::ALL {
        for reply in replies() {
            for &fault in FAULTS {
                let mut outbox = Outbox::<OUT>::new(*wire);
                assert_eq!(outbox.notice(Notice::Fault(fault), Some(&reply)), Ok(()), "{wire} {reply:?}");
            }
        }
    }
}

#[test]
fn the_longest_reply_fits_between_two_notices() {
    // A duplicate gets `working`, then the operation ends, then the session is taken over.
    let working = Notice::Working { re: Some(Numbers::MAX) };
    let taken = Notice::TakenOver { start: Numbers::MAX, attempt: u32::MAX };
    for wire in [Wire::Json, Wire::Postcard] {
        for reply in replies() {
            let mut outbox = Outbox::<OUT>::new(wire);
            let written = (outbox.notice(working, None), outbox.reply(&reply), outbox.notice(taken, None));
            assert_eq!(written, (Ok(()), Ok(()), Ok(())), "{wire} {reply:?}");
        }
    }
}

#[test]
fn the_longest_messages_fit_the_buffers_of_postcard() {
    let working = Notice::Working { re: Some(Numbers::MAX) };
    let taken = Notice::TakenOver { start: Numbers::MAX, attempt: u32::MAX };
    for reply in replies() {
        let mut outbox = Outbox::<POSTCARD_OUT>::new(Wire::Postcard);
        let written = (outbox.notice(working, None), outbox.reply(&reply), outbox.notice(taken, None));
        assert_eq!(written, (Ok(()), Ok(()), Ok(())), "{reply:?}");
        for &fault in FAULTS {
            let mut outbox = Outbox::<POSTCARD_OUT>::new(Wire::Postcard);
            assert_eq!(outbox.notice(Notice::Fault(fault), Some(&reply)), Ok(()), "{reply:?}");
        }
    }
    let mut host = Host::<POSTCARD_IN, POSTCARD_OUT>::new(
        Config::new(Wire::Postcard, LinkKind::Serial),
        SessionId::new(1),
        Instant::default(),
    );
    let mut outbox = Outbox::<{ crate::terminal::OUT }>::new(Wire::Postcard);
    outbox.hello(&longest_hello()).unwrap();
    host.feed(outbox.output(), Instant::default());
    assert!(matches!(host.poll_event(), Some(Event::Hello(_))), "the longest hello fits");
    let mut inbox = Inbox::<POSTCARD_IN>::for_host(Wire::Postcard);
    let mut outbox = Outbox::<{ crate::terminal::OUT }>::new(Wire::Postcard);
    outbox.answer(Some(Numbers::MAX), &"x".repeat(64)).unwrap();
    inbox.push(outbox.output());
    assert_eq!(inbox.decoded().0, Decoded::Frame, "the longest answer fits");
}

#[test]
fn an_output_buffer_that_is_too_small_closes_the_link_without_a_cut_message() {
    let config = Config::new(Wire::Json, LinkKind::Connection);
    let host = Host::<IN, 64>::new(config, SessionId::new(1), Instant::default());
    assert!(host.output().is_empty() && host.is_finished());
}

#[test]
fn the_longest_answer_and_hello_fit_the_input_buffer() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
    // Every byte is escaped, as an ASCII-only writer may do.
    let data = "\\u0000".repeat(64);
    let body = format!("{{\"re\": {}, \"data\": \"{data}\"}}", Numbers::MAX - 1);
    let received = driver.send(&[&(body.len() as u32).to_be_bytes()[..], body.as_bytes()].concat());
    assert_eq!(received[0].notice, Some(Notice::Fault(Fault::NotOpen)), "it was read");
    assert!(body.len() <= IN && menu < Numbers::MAX - 1);

    let longest = longest_hello();
    for wire in [Wire::Json, Wire::Postcard] {
        let mut outbox = Outbox::<{ crate::terminal::OUT }>::new(wire);
        assert_eq!(outbox.hello(&longest), Ok(()));
        assert!(only(TestDriver::new(wire, LinkKind::Serial).send(outbox.output())).welcome.is_some());
    }
}

fn longest_hello() -> Hello {
    Hello {
        version: EXTENDED,
        terminal: Some(name(&"x".repeat(32))),
        start: Numbers::MAX - 1,
        attempt: u32::MAX,
        ledger: Some(LedgerId(u64::MAX)),
        shown: Numbers::MAX - 1,
        pending: Some(Numbers::MAX - 1),
        resume: false,
        capabilities: Capabilities::from_bits(u8::MAX),
        dispenser: Some(Dispenser { serial: u64::MAX, count: Numbers::MAX - 1 }),
        #[cfg(feature = "seal")]
        key: None,
    }
}

#[test]
fn one_object_of_the_raw_wire_fits_one_read_of_1024_bytes() {
    let longest = replies()
        .iter()
        .flat_map(|reply| {
            FAULTS.iter().map(move |&fault| {
                let mut outbox = Outbox::<4096>::new(Wire::Raw);
                outbox.notice(Notice::Fault(fault), Some(reply)).unwrap();
                outbox.output().len()
            })
        })
        .max();
    assert!(longest <= Some(1024), "{longest:?}");
    // The measured bytes are those that are sent.
    let reply = &replies()[5];
    let mut out = [0; 1024];
    let length = json::write_bare(Some(Notice::Fault(Fault::Empty)), &reply.screens, &mut out).unwrap();
    let mut outbox = Outbox::<1024>::new(Wire::Raw);
    outbox.notice(Notice::Fault(Fault::Empty), Some(reply)).unwrap();
    assert_eq!(outbox.output(), &out[..length]);
}
