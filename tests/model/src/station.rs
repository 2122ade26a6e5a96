//! A station: one terminal with its links, the hosts' ends of them, its parked conversations and its requests
//! to the ledger. Stations share only the ledger.
use super::{attacker::Attacker, audit::Audit, bounds::Bounds, cards, channel::LossyChannel};
use atm_core::{
    host::{self, Conversation, LinkKind},
    ledger::{Name, Origin, Request, Response, SessionId, Ticket},
    message::Capabilities,
    seal::{Key, TerminalKey},
    session::Policy,
    terminal::{self, Memory, Profile, Retransmit},
    time::{Duration, Instant},
    wire::Wire,
};
use std::num::NonZeroU32;

/// The only time. A deadline that can pass is set to now, and passes when the model chooses the action for
/// it, by a tick; one that never passes, because another action stands for it, is set to [`NEVER`].
pub(super) const NOW: Instant = Instant::from_millis(0);
const NEVER: Duration = Duration::from_secs(1);

/// Buffers are just large enough for the model's frames: states are hashed and copied millions of times.
pub(super) type Host = host::Host<{ host::POSTCARD_IN }, { host::POSTCARD_OUT }>;
pub(super) type Terminal = terminal::Terminal<200, 112>;

/// A link with a host's end of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelLink {
    /// The index of the host.
    pub(super) server: usize,
    /// Tells its requests from those of the other links that are in use.
    number: u64,
    pub(super) to_host: LossyChannel,
    pub(super) to_terminal: LossyChannel,
    /// `None` once the host has closed it.
    pub(super) host: Option<Host>,
}

impl ModelLink {
    /// A link that was just opened.
    fn open(server: usize, number: u64, salt: u64, bounds: &Bounds) -> Self {
        let (to_host, to_terminal) = (LossyChannel::default(), LossyChannel::default());
        let mut link = Self { server, number, to_host, to_terminal, host: None };
        link.restart(salt, bounds);
        link
    }

    /// The host opens its end.
    pub(super) fn restart(&mut self, salt: u64, bounds: &Bounds) {
        let config = host::Config {
            policy: Policy::default(),
            idle_timeout: Duration::ZERO,
            frame_timeout: NEVER,
            stall_timeout: NEVER,
            sealed_only: bounds.sealed,
            salt,
            ..host::Config::new(Wire::Postcard, bounds.link)
        };
        let session = SessionId { host: self.server as u32, number: self.number };
        let mut host = Host::new(config, session, NOW);
        if bounds.cards {
            host.serve_cards(cards::keys());
        }
        self.host = Some(host);
    }

    /// Is the conversation of `name` held here?
    fn holds(&self, name: &Name) -> bool {
        let conversation = self.host.as_ref().and_then(Host::conversation);
        conversation.is_some_and(
            |conversation| matches!(conversation.origin(), Origin::Terminal(here) if here == name),
        )
    }
}

/// What a host holds of a terminal, apart from the links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HostSide {
    pub(super) parked: Option<Conversation>,
    /// Requests on their way to the ledger, and its responses on their way back.
    pub(super) requests: Vec<Request>,
    pub(super) responses: Vec<(Ticket, Response)>,
    /// Requests from before a crash of the host; they may still reach the ledger, at any time.
    pub(super) orphaned: Vec<Request>,
}

/// A terminal with its side of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Station {
    pub(super) name: Name,
    pub(super) terminal: Terminal,
    /// What survives a power loss.
    pub(super) stored: Memory,
    pub(super) life: u8,
    /// Hellos in this life.
    pub(super) hellos: u32,
    /// Hellos in earlier lives.
    past_hellos: u32,
    /// The terminal uses the last one.
    pub(super) links: Vec<ModelLink>,
    pub(super) hosts: Vec<HostSide>,
    /// How often a host may still drop the conversation because no answer comes.
    pub(super) idle_timeouts: u8,
    /// How often a host's ends of this station may still lose power.
    pub(super) host_crashes: u8,
    /// How often the ledger may still be set back.
    pub(super) set_backs: u8,
    pub(super) attacker: Attacker,
    /// The step of the key: starts after a life that was welcomed.
    step: u32,
    pub(super) audit: Audit,
}

impl Station {
    pub(super) fn new(name: Name, bounds: &Bounds) -> Self {
        let mut station = Self {
            terminal: start_terminal(&name, 1, 0, Memory::default(), bounds),
            name,
            stored: Memory::default(),
            life: 1,
            hellos: 1,
            past_hellos: 0,
            links: Vec::new(),
            hosts: vec![HostSide::default(); bounds.hosts],
            idle_timeouts: bounds.idle_timeouts,
            host_crashes: bounds.host_crashes,
            set_backs: bounds.set_backs,
            attacker: Attacker::new(bounds),
            step: 0,
            audit: Audit::new(bounds.set_backs > 0),
        };
        station.open_link(0, bounds);
        station
    }

    /// Connects the terminal to a host by a new link.
    pub(super) fn open_link(&mut self, server: usize, bounds: &Bounds) {
        // The smallest number that is not in use, so that states with the same future are equal.
        let in_use = |number: u64| {
            let held = &self.hosts;
            self.links.iter().any(|link| link.number == number)
                || held
                    .iter()
                    .flat_map(|host| &host.requests)
                    .any(|request| u64::from(request.ticket.link) == number)
                || held
                    .iter()
                    .flat_map(|host| &host.responses)
                    .any(|(ticket, _)| u64::from(ticket.link) == number)
        };
        let number = (0..).find(|number| !in_use(*number)).unwrap_or(u64::MAX);
        self.links.push(ModelLink::open(server, number, self.salt(), bounds));
    }

    /// Random bytes of the hosts' start: every one has others.
    fn salt(&self) -> u64 {
        u64::from(self.host_crashes)
    }

    /// The host that the terminal is connected to.
    pub(super) fn server(&self) -> usize {
        self.links.last().map_or(0, |link| link.server)
    }

    /// The terminal loses power and restarts from what it has stored.
    pub(super) fn crash_terminal(&mut self, bounds: &Bounds) {
        self.life += 1;
        self.past_hellos += self.hellos;
        self.hellos = 1;
        self.audit.restart();
        self.step += u32::from(self.terminal.was_welcomed());
        self.terminal = start_terminal(&self.name, self.life, self.step, self.stored, bounds);
        if bounds.link == LinkKind::Connection {
            self.open_link(self.server(), bounds);
        }
    }

    /// A host loses power and restarts: it loses its conversations; its requests may still reach the
    /// ledger.
    pub(super) fn crash_host(&mut self, server: usize, bounds: &Bounds) {
        let salt = self.salt();
        let mut left = self.links.len();
        self.links.retain(|link| {
            left -= 1;
            left == 0 || link.server != server
        });
        for link in self.links.iter_mut().filter(|link| link.server == server) {
            match bounds.link {
                // The bytes in flight still arrive.
                LinkKind::Serial => link.restart(salt, bounds),
                LinkKind::Connection => {
                    link.host = None;
                    link.to_host.clear();
                }
            }
        }
        let Some(host) = self.hosts.get_mut(server) else { return };
        host.parked = None;
        host.orphaned.append(&mut host.requests);
        host.responses.clear();
    }

    /// Do the bounds allow `more` further hellos?
    pub(super) fn may_say_hello(&self, more: u32, bounds: &Bounds) -> bool {
        self.hellos + more <= bounds.hellos && self.past_hellos + self.hellos + more <= bounds.hellos_in_all
    }

    /// The index of the link where this host holds the conversation.
    pub(super) fn held_at(&self, server: usize) -> Option<usize> {
        self.links.iter().rposition(|link| link.server == server && link.holds(&self.name))
    }

    /// Is the conversation on the newest link, while the host still has an older one open?
    pub(super) fn was_taken_over(&self) -> bool {
        let server = self.server();
        let is_open = |link: &ModelLink| link.server == server && link.host.is_some();
        let older = self.links.split_last().is_some_and(|(_, older)| older.iter().any(is_open));
        older && self.held_at(server).is_some_and(|at| at + 1 == self.links.len())
    }

    /// Drops what has no effect any more, so that states with the same future are equal.
    pub(super) fn normalize(&mut self) {
        for link in &mut self.links {
            if let Some(host) = &mut link.host {
                host.take_counters();
            } else {
                link.to_host.clear();
            }
        }
        self.terminal.take_counters();
        let present = self.links.len().saturating_sub(1);
        let name = &self.name;
        let mut at = 0;
        self.links.retain(|link| {
            at += 1;
            at > present || link.holds(name) || (link.host.is_some() && link.to_host.len() > 0)
        });
    }
}

/// The key of a terminal at a step.
pub(super) fn key(name: &Name, step: u32) -> TerminalKey {
    let first = TerminalKey::derive(&Key::from([7; Key::LENGTH]), NonZeroU32::MIN, name);
    first.forward(step, step).unwrap_or(first)
}

fn start_terminal(name: &Name, life: u8, step: u32, memory: Memory, bounds: &Bounds) -> Terminal {
    let start = u64::from(life);
    let capabilities = if bounds.cards { Capabilities::SECRET_PROMPTS } else { Capabilities::NONE };
    let usual = Profile { name: Some(name.clone()), start, memory, salt: start, ..Profile::default() };
    let profile = Profile { capabilities, key: bounds.sealed.then(|| key(name, step)), ..usual };
    let config = terminal::Config {
        profile: Some(profile),
        retransmit: Some(Retransmit {
            first_wait: Duration::ZERO,
            max_wait: Duration::ZERO,
            down_after: NEVER,
            give_up_after: NEVER,
        }),
        frame_timeout: NEVER,
        ..terminal::Config::new(Wire::Postcard, bounds.link)
    };
    Terminal::new(config, NOW)
}
