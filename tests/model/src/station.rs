//! A station: one terminal with its links, the host's ends of them, its parked conversation and its requests
//! to the ledger. Stations share only the ledger.
use super::{audit::Audit, bounds::Bounds, channel::LossyChannel};
use atm_core::{
    host::{self, Conversation, LinkKind},
    ledger::{Name, Origin, Request, Response},
    session::Policy,
    terminal::{self, Memory, Profile, Retransmit},
    time::{Duration, Instant},
    wire::Wire,
};

/// The only time. A deadline that can pass is set to now, and passes when the model chooses the action for
/// it, by a tick; one that never passes, because another action stands for it, is set to [`NEVER`].
pub(super) const NOW: Instant = Instant::from_millis(0);
const NEVER: Duration = Duration::from_secs(1);

/// Buffers are just large enough for the model's frames: states are hashed and copied millions of times.
pub(super) type Host = host::Host<64, 128>;
pub(super) type Terminal = terminal::Terminal<64, 64>;

/// A link with the host's end of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelLink {
    pub(super) to_host: LossyChannel,
    pub(super) to_terminal: LossyChannel,
    /// `None` once the host has closed it.
    pub(super) host: Option<Host>,
}

impl ModelLink {
    /// A link that was just opened.
    fn open(bounds: &Bounds) -> Self {
        let mut link =
            Self { to_host: LossyChannel::default(), to_terminal: LossyChannel::default(), host: None };
        link.restart(bounds);
        link
    }

    /// The host opens its end. Its number would identify unnamed sessions, which request nothing here.
    pub(super) fn restart(&mut self, bounds: &Bounds) {
        let config = host::Config {
            wire: Wire::Postcard,
            link: bounds.link,
            policy: Policy::default(),
            idle_timeout: Duration::ZERO,
            frame_timeout: NEVER,
            stall_timeout: NEVER,
        };
        self.host = Some(Host::new(config, 0, NOW));
    }

    /// Is the conversation of `name` held here?
    fn holds(&self, name: &Name) -> bool {
        let conversation = self.host.as_ref().and_then(Host::conversation);
        conversation.is_some_and(
            |conversation| matches!(conversation.origin(), Origin::Terminal(here) if here == name),
        )
    }
}

/// A terminal with its side of the host.
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
    pub(super) parked: Option<Conversation>,
    /// Requests on their way to the ledger, and its responses on their way back.
    pub(super) requests: Vec<Request>,
    pub(super) responses: Vec<(Request, Response)>,
    /// Requests of a host that has crashed since; they may still reach the ledger, at any time.
    pub(super) orphaned: Vec<Request>,
    /// How often the host may still drop the conversation because no answer comes.
    pub(super) idle_timeouts: u8,
    /// How often the host's ends of this station may still lose power.
    pub(super) host_crashes: u8,
    pub(super) audit: Audit,
}

impl Station {
    pub(super) fn new(name: Name, bounds: &Bounds) -> Self {
        let mut station = Self {
            terminal: start_terminal(&name, 1, Memory::default(), bounds),
            name,
            stored: Memory::default(),
            life: 1,
            hellos: 1,
            past_hellos: 0,
            links: Vec::new(),
            parked: None,
            requests: Vec::new(),
            responses: Vec::new(),
            orphaned: Vec::new(),
            idle_timeouts: bounds.idle_timeouts,
            host_crashes: bounds.host_crashes,
            audit: Audit::default(),
        };
        station.open_link(bounds);
        station
    }

    /// Connects the terminal to a new link.
    pub(super) fn open_link(&mut self, bounds: &Bounds) {
        self.links.push(ModelLink::open(bounds));
    }

    /// The terminal loses power and restarts from what it has stored.
    pub(super) fn crash_terminal(&mut self, bounds: &Bounds) {
        self.life += 1;
        self.past_hellos += self.hellos;
        self.hellos = 1;
        self.audit.restart();
        self.terminal = start_terminal(&self.name, self.life, self.stored, bounds);
        if bounds.link == LinkKind::Connection {
            self.open_link(bounds);
        }
    }

    /// The host loses power and restarts: it loses its conversations; its requests may still reach the
    /// ledger.
    pub(super) fn crash_host(&mut self, bounds: &Bounds) {
        self.links.drain(..self.links.len().saturating_sub(1));
        for link in &mut self.links {
            match bounds.link {
                // The bytes in flight still arrive.
                LinkKind::Serial => link.restart(bounds),
                LinkKind::Connection => {
                    link.host = None;
                    link.to_host.clear();
                }
            }
        }
        self.parked = None;
        self.orphaned.append(&mut self.requests);
        self.responses.clear();
    }

    /// Do the bounds allow `more` further hellos?
    pub(super) fn may_say_hello(&self, more: u32, bounds: &Bounds) -> bool {
        self.hellos + more <= bounds.hellos && self.past_hellos + self.hellos + more <= bounds.hellos_in_all
    }

    /// The index of the link whose host holds the conversation.
    pub(super) fn held_at(&self) -> Option<usize> {
        self.links.iter().rposition(|link| link.holds(&self.name))
    }

    /// Is the conversation on the newest link, while the host still has an older one open?
    pub(super) fn was_taken_over(&self) -> bool {
        let older =
            self.links.split_last().is_some_and(|(_, older)| older.iter().any(|link| link.host.is_some()));
        older && self.held_at().is_some_and(|at| at + 1 == self.links.len())
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

fn start_terminal(name: &Name, life: u8, memory: Memory, bounds: &Bounds) -> Terminal {
    let profile = Profile { name: Some(name.clone()), start: u64::from(life), memory };
    let config = terminal::Config {
        wire: Wire::Postcard,
        link: bounds.link,
        profile: Some(profile),
        retransmit: Some(Retransmit {
            first_wait: Duration::ZERO,
            max_wait: Duration::ZERO,
            down_after: NEVER,
            give_up_after: NEVER,
        }),
        frame_timeout: NEVER,
    };
    Terminal::new(config, NOW)
}
