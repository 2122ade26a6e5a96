//! A thief with many cards at one terminal, and one guess for each: the delay allows about one a minute, whatever the cards.
use crate::counter::{SmallLedger, keys, ledger};
use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, Ledger, Origin, Outcome, Refusal, Request, Response, Ticket,
        card::{CardNumber, CardRequest},
    },
    time::UnixTime,
};

const CARDS: usize = 10_000;
const START: u64 = 1_790_000_000_000;
const DAY: u64 = 86_400_000;

/// Numbers of cards, none of them issued here.
fn numbers() -> impl Iterator<Item = CardNumber> {
    (0..).filter_map(|number: u64| format!("{:016}", 6_200_000_000_000_000 + number).parse().ok())
}

struct Thief {
    ledger: SmallLedger,
    turn: u32,
    next: u64,
}

impl Thief {
    fn ask(&mut self, command: Command) -> Response {
        let origin = Origin::Terminal("kiosk-1".parse().unwrap());
        self.ledger.apply(&Request { ticket: Ticket::default(), origin, turn: self.turn, command }).unwrap()
    }

    /// Types the number of a card and a PIN; whether it was judged.
    fn guess(&mut self, number: &CardNumber, now: u64) -> bool {
        self.ledger.set_time(UnixTime::from_millis(now));
        let claim = keys().claim(number);
        let proof = keys().proof(&claim, &"2580".parse().unwrap());
        if self.next.is_multiple_of(256) {
            let Response::Reserved(_) = self.ask(Command::Reserve) else { panic!("no numbers") };
        }
        self.next += 1;
        match self.ask(Command::Card { id: self.next, request: CardRequest::Verify { claim, proof } }) {
            Response::Settled { outcome: Outcome::Refused(Refusal::NotVerified), .. } => true,
            Response::Settled { outcome: Outcome::Refused(Refusal::Delayed { seconds }), .. } => {
                assert!((1..=60).contains(&seconds));
                false
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_guess_for_each_of_many_cards_takes_a_minute_each() {
    let mut thief = Thief { ledger: ledger(), turn: 0, next: 0 };
    let claim = HelloClaim { epoch: Epoch::clear(1, 1), admit_equal: false, ledger: None, seen: 0 };
    let Response::Admitted(admission) = thief.ask(Command::Hello(claim)) else { panic!("not admitted") };
    thief.turn = admission.turn;
    let (mut now, mut judged) = (START, 0);
    for number in numbers().take(CARDS) {
        // He types again every ten seconds until it is judged.
        while !thief.guess(&number, now) {
            now += 10_000;
        }
        judged += 1;
        if now >= START + DAY {
            break;
        }
    }
    // 1 + 2 + 4 + 8 + 16 + 32 s, and a minute each from there on.
    assert!((1_440..=1_446).contains(&judged), "{judged} guesses in a day");
}
