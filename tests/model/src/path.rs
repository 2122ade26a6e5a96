//! A path of the model in words.
use super::{Action, State, channel::Words, seat::Seat};

/// What happens when `action` does in `state`.
pub fn describe(state: &State, action: Action) -> String {
    let seat = state.seats.get(action.seat());
    seat.map_or(String::new(), |seat| format!("{}: {}", seat.name, at_seat(seat, action)))
}

fn at_seat(seat: &Seat, action: Action) -> String {
    let up = |line: usize, frame| seat.lines.get(line).and_then(|line| line.up.get(frame));
    let down = |frame| seat.lines.last().and_then(|line| line.down.get(frame));
    let words =
        |frame: Option<super::channel::Frame>| frame.map_or(String::new(), |frame| Words(&frame).to_string());
    match action {
        Action::Type(_, text) => format!("the person types {text:?}"),
        Action::Up(_, line, frame) => format!("line {line} to host: {}", words(up(line, frame))),
        Action::Down(_, frame) => format!("to terminal: {}", words(down(frame))),
        Action::DownInVain(_, frame) => {
            format!("to terminal: {}; the power fails before it is stored", words(down(frame)))
        }
        Action::Commit(_) => format!("the ledger commits {:?}", seat.asked.first()),
        Action::Doubt(_) => format!("the ledger commits {:?}, in doubt", seat.asked.first()),
        Action::CommitStray(_) => format!("the ledger commits {:?} of the host before", seat.stray.first()),
        Action::Respond(_) => format!("the ledger responds {:?}", seat.answered.first()),
        Action::Repeat(_) => "the terminal repeats".to_owned(),
        Action::Next(_) => "the terminal gives up on the person".to_owned(),
        Action::Reconnect(_) => "the terminal comes on a new line".to_owned(),
        Action::Close(_, line) => format!("the host notices that line {line} is dead"),
        Action::Idle(_, line) => format!("nobody answers for too long on line {line}"),
        Action::Forget(_) => "the host forgets the parked conversation".to_owned(),
        Action::TerminalCrash(_) => "the terminal loses its power and gets it back".to_owned(),
        Action::HostCrash(_) => "the host loses its power and gets it back".to_owned(),
    }
}

/// What became of it, in a few words: what is stored, held and in flight.
pub fn sketch(state: &State) -> String {
    let mut lines = Vec::new();
    for seat in &state.seats {
        lines.push(format!(
            "{} life {} hellos {} stored {:?} prompt {:?} waits {} over {} wrong {:?}",
            seat.name,
            seat.life,
            seat.hellos,
            seat.stored,
            seat.terminal.prompt(),
            seat.terminal.is_waiting(),
            seat.terminal.is_over(),
            seat.audit.wrong
        ));
    }
    lines.join("; ")
}
