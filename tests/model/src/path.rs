//! A path of the model in words.
use super::{ModelAction, ModelState, channel::Words, station::Station};

/// What happens when `action` does in `state`.
pub fn describe(state: &ModelState, action: ModelAction) -> String {
    let station = state.stations.get(action.station());
    station.map_or(String::new(), |station| format!("{}: {}", station.name, at_station(station, action)))
}

fn at_station(station: &Station, action: ModelAction) -> String {
    let up = |link: usize, frame| station.links.get(link).and_then(|link| link.to_host.get(frame));
    let down = |frame| station.links.last().and_then(|link| link.to_terminal.get(frame));
    let words =
        |frame: Option<super::channel::Frame>| frame.map_or(String::new(), |frame| Words(&frame).to_string());
    match action {
        ModelAction::TypeAnswer(_, text) => format!("the person types {text:?}"),
        ModelAction::DeliverToHost(_, link, frame) => {
            format!("link {link} to host: {}", words(up(link, frame)))
        }
        ModelAction::DeliverToTerminal(_, frame) => format!("to terminal: {}", words(down(frame))),
        ModelAction::DeliverThenCrash(_, frame) => {
            format!("to terminal: {}; the power fails before it is stored", words(down(frame)))
        }
        ModelAction::Commit(_) => format!("the ledger commits {:?}", station.requests.first()),
        ModelAction::CommitInDoubt(_) => {
            format!("the ledger commits {:?}, in doubt", station.requests.first())
        }
        ModelAction::CommitOrphaned(_) => {
            format!("the ledger commits {:?} of the host before", station.orphaned.first())
        }
        ModelAction::Respond(_) => format!("the ledger responds {:?}", station.responses.first()),
        ModelAction::Retransmit(_) => "the terminal repeats".to_owned(),
        ModelAction::NextPerson(_) => "the terminal gives up on the person".to_owned(),
        ModelAction::Reconnect(_) => "the terminal comes on a new link".to_owned(),
        ModelAction::CloseLink(_, link) => format!("the host notices that link {link} is dead"),
        ModelAction::IdleTimeout(_, link) => format!("nobody answers for too long on link {link}"),
        ModelAction::DropParked(_) => "the host forgets the parked conversation".to_owned(),
        ModelAction::TerminalCrash(_) => "the terminal loses its power and gets it back".to_owned(),
        ModelAction::HostCrash(_) => "the host loses its power and gets it back".to_owned(),
    }
}

/// What became of it, in a few words: what is stored, held and in flight.
pub fn summarize(state: &ModelState) -> String {
    let mut lines = Vec::new();
    for station in &state.stations {
        lines.push(format!(
            "{} life {} hellos {} stored {:?} prompt {:?} waits {} over {} violation {:?}",
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
