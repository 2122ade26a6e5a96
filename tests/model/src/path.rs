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
        ModelAction::Commit(_, host) => {
            format!("host {host}: the ledger commits {:?}", station.hosts[host].requests.first())
        }
        ModelAction::CommitInDoubt(_, host) => {
            format!("host {host}: the ledger commits {:?}, in doubt", station.hosts[host].requests.first())
        }
        ModelAction::CommitOrphaned(_, host) => {
            format!(
                "host {host}: the ledger commits {:?} from before the crash",
                station.hosts[host].orphaned.first()
            )
        }
        ModelAction::Respond(_, host) => {
            format!("host {host}: the ledger responds {:?}", station.hosts[host].responses.first())
        }
        ModelAction::Retransmit(_) => "the terminal retransmits".to_owned(),
        ModelAction::NextPerson(_) => "the terminal gives up, or the next person comes".to_owned(),
        ModelAction::Reconnect(_, host) => format!("the terminal connects to host {host} by a new link"),
        ModelAction::CloseLink(_, link) => format!("the host notices that link {link} is dead"),
        ModelAction::IdleTimeout(_, link) => format!("the idle time ends on link {link}"),
        ModelAction::DropParked(_, host) => format!("host {host} drops the parked conversation"),
        ModelAction::TerminalCrash(_) => "the terminal loses power and restarts".to_owned(),
        ModelAction::HostCrash(_, host) => format!("host {host} loses power and restarts"),
        ModelAction::CopyLedger(_) => "the ledger is copied".to_owned(),
        ModelAction::ReplayToHost(_, frame) => {
            format!("the attacker to host: {}", text(station.attacker.heard(frame).cloned()))
        }
        ModelAction::ReplayToTerminal(_, frame) => {
            format!("the attacker to terminal: {}", text(station.attacker.heard(frame).cloned()))
        }
        ModelAction::Forge(_, forgery) => format!("the attacker forges: {forgery:?}"),
        ModelAction::Order(card, order) => format!("an operator gives the order {order:?} for card {card}"),
        ModelAction::SetBack(_) => "the ledger is replaced by its copy".to_owned(),
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
