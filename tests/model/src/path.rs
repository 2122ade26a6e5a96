//! A path through the states of the model, in words.
use super::{
    ModelAction, ModelState,
    channel::{Frame, FrameDisplay},
    station::Station,
};

/// One line of text on `action` in `state`.
pub fn describe(state: &ModelState, action: ModelAction) -> String {
    let station = state.stations.get(action.station());
    station.map_or(String::new(), |station| format!("{}: {}", station.name, at_station(station, action)))
}

fn at_station(station: &Station, action: ModelAction) -> String {
    let to_host = |link: usize, frame| station.links.get(link).and_then(|link| link.to_host.get(frame));
    let to_terminal = |frame| station.links.last().and_then(|link| link.to_terminal.get(frame));
    let text = |frame: Option<Frame>| frame.map_or(String::new(), |frame| FrameDisplay(&frame).to_string());
    match action {
        ModelAction::TypeAnswer(_, text) => format!("the person types {text:?}"),
        ModelAction::DeliverToHost(_, link, frame) => {
            format!("link {link} to host: {}", text(to_host(link, frame)))
        }
        ModelAction::DeliverToTerminal(_, frame) => format!("to terminal: {}", text(to_terminal(frame))),
        ModelAction::DeliverThenCrash(_, frame) => {
            format!("to terminal: {}; it loses power before it stores that", text(to_terminal(frame)))
        }
        ModelAction::Commit(_) => format!("the ledger commits {:?}", station.requests.first()),
        ModelAction::CommitInDoubt(_) => {
            format!("the ledger commits {:?}, in doubt", station.requests.first())
        }
        ModelAction::CommitOrphaned(_) => {
            format!("the ledger commits {:?} of the crashed host", station.orphaned.first())
        }
        ModelAction::Respond(_) => format!("the ledger responds {:?}", station.responses.first()),
        ModelAction::Retransmit(_) => "the terminal retransmits".to_owned(),
        ModelAction::NextPerson(_) => "the terminal gives to_host, or the next person comes".to_owned(),
        ModelAction::Reconnect(_) => "the terminal connects by a new link".to_owned(),
        ModelAction::CloseLink(_, link) => format!("the host notices that link {link} is dead"),
        ModelAction::IdleTimeout(_, link) => format!("the idle time ends on link {link}"),
        ModelAction::DropParked(_) => "the host drops the parked conversation".to_owned(),
        ModelAction::TerminalCrash(_) => "the terminal loses power and restarts".to_owned(),
        ModelAction::HostCrash(_) => "the host loses power and restarts".to_owned(),
    }
}

/// One line of text on `state`: what each terminal has stored, and what it is doing.
pub fn summarize(state: &ModelState) -> String {
    let mut lines = Vec::new();
    for station in &state.stations {
        lines.push(format!(
            "{} life {} hellos {} stored {:?} prompt {:?} awaits reply {} over {} violation {:?}",
            station.name,
            station.life,
            station.hellos,
            station.stored,
            station.terminal.prompt(),
            station.terminal.is_awaiting_reply(),
            station.terminal.is_over(),
            station.audit.violation
        ));
    }
    lines.join("; ")
}
