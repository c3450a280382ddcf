//! What a client is in a subnet: which host, of which classes, and whether it is served there.
//!
//! All of it follows from the subnet, chaddr, the option bytes, the option 82 that the lease has and
//! the configuration, and from nothing else, so that a renewal that the kernel answers finds it as
//! it was.

use std::borrow::Cow;

use dhcp_common::slot::Kind;
use dhcp_common::wire::option;

use super::api::Ignored;
use super::context::Context;
use super::state::{State, SubnetId};
use crate::class::{ClassId, ClassSet, Subject, Test, ready};
use crate::config::model::{Class, Hosts, Keys, Mac, Reservation};
use crate::packet::{MessageType, Request, suboption};

const CIRCUIT_ID: u8 = 1;
const REMOTE_ID: u8 = 2;

/// What a client is in a subnet.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) host: Option<&'a Reservation>,
    pub(super) members: ClassSet,
    /// Classes that count for guards as if it were a member: it came through them before.
    untestable: ClassSet,
    /// Why it is not served there.
    pub(super) refused: Option<Ignored>,
}

impl Standing<'_> {
    /// Whether a guard lets it pass; one without classes is none.
    pub(super) fn passes(&self, guard: &[ClassId]) -> bool {
        let counts =
            |class: &ClassId| self.members.contains(*class) || self.untestable.contains(*class);
        guard.is_empty() || guard.iter().any(counts)
    }
}

/// What a message says that a host may be known by, its MAC apart.
pub(super) struct Said<'a> {
    client_id: Option<Cow<'a, [u8]>>,
    uuid: Option<Cow<'a, [u8]>>,
    circuit_id: Option<Cow<'a, [u8]>>,
    remote_id: Option<Cow<'a, [u8]>>,
}

impl<'a> Said<'a> {
    /// `remembered` is option 82 if the message has none.
    pub(super) fn of(request: &Request<'a>, remembered: Option<&[u8]>) -> Self {
        let relayed = |code| {
            let remembered = || Some(Cow::Owned(suboption(remembered?, code)?.to_vec()));
            request.relay_suboption(code).or_else(remembered)
        };
        Self {
            client_id: request.client_id(),
            uuid: request.option(option::UUID),
            circuit_id: relayed(CIRCUIT_ID),
            remote_id: relayed(REMOTE_ID),
        }
    }

    pub(super) fn keys(&self, mac: Mac) -> Keys<'_> {
        Keys {
            mac,
            client_id: self.client_id.as_deref(),
            // The type before it is 0: of the others nothing is known (RFC 4578 section 2.3).
            uuid: self
                .uuid
                .as_deref()
                .and_then(|uuid| uuid.strip_prefix(&[0])),
            circuit_id: self.circuit_id.as_deref(),
            remote_id: self.remote_id.as_deref(),
        }
    }
}

impl<'a> Context<'a> {
    /// What the client is in this subnet.
    pub(super) fn standing(&self, id: SubnetId) -> Standing<'a> {
        if let Some((last, standing)) = self.standing.get()
            && last == id
        {
            return standing;
        }
        let host = self.find_host(id);
        let mut standing = Standing {
            members: self.members(host),
            untestable: self.untestable(id),
            refused: None,
            host,
        };
        standing.refused = self.state.refusal(id, &standing);
        self.standing.set(Some((id, standing)));
        standing
    }

    /// What the configuration has about this client in a subnet.
    pub(super) fn host(&self, id: SubnetId) -> Option<&'a Reservation> {
        match self.standing.get() {
            Some((last, standing)) if last == id => standing.host,
            _ if self.own == Some(id) => self.standing(id).host,
            _ => self.find_host(id),
        }
    }

    fn find_host(&self, id: SubnetId) -> Option<&'a Reservation> {
        self.state.host_of(id, |hosts| self.find_in(hosts))
    }

    /// Whether the client is among the subnet's own hosts.
    pub(super) fn is_home(&self, id: SubnetId) -> bool {
        self.find_in(&self.subnet(id).hosts).is_some()
    }

    fn find_in(&self, hosts: &'a Hosts) -> Option<&'a Reservation> {
        if hosts.are_by_mac() {
            return hosts.by_mac(&self.mac());
        }
        let said = self
            .said
            .get_or_init(|| Said::of(self.request, self.remembered_agent()));
        // Classes may ask whether a host is known, so a host cannot ask for classes.
        let nobody = Subject {
            request: self.request,
            members: &ClassSet::default(),
            known: false,
            relay_agent: self.remembered_agent(),
        };
        hosts.find(&said.keys(self.mac()), |test| test.matches(&nobody))
    }

    /// Whether this client has a lease or a reservation here.
    pub(super) fn is_known_in(&self, id: SubnetId) -> bool {
        self.host(id).is_some() || self.has_been_in(id)
    }

    /// Whether this client has a lease or a reservation anywhere.
    pub(super) fn is_known(&self) -> bool {
        let config = &self.state.config;
        let is_in = |id| self.is_home(id) || self.has_been_in(id);
        self.find_in(&config.hosts).is_some() || (0..config.subnets.len()).any(is_in)
    }

    /// Whether this client has or had a lease here.
    fn has_been_in(&self, id: SubnetId) -> bool {
        let Some(address) = self.engine.clients.address(&self.key(id)) else {
            return false;
        };
        self.engine.table.index(address).is_some_and(|index| {
            let slot = self.engine.table.slot(index);
            let leased = matches!(slot.kind(), Kind::Bound | Kind::Released | Kind::Expired);
            leased && slot.lease().chaddr == self.chaddr
        })
    }

    /// Whether the client's classes let it be answered at all. One that has a lease where it may
    /// not be any more hears so; one that asks for an address gets no answer.
    pub(super) fn check_classes(&self) -> Result<(), Ignored> {
        if self.state.config.classes.is_empty() {
            return Ok(());
        }
        let mut refusals = self.meant().iter().map(|id| self.standing(*id).refused);
        let Some(first) = refusals.next().flatten() else {
            return Ok(());
        };
        let mut why = first;
        for refused in refusals {
            match refused {
                None => return Ok(()),
                Some(Ignored::IgnoredClass) => why = Ignored::IgnoredClass,
                Some(_) => {}
            }
        }
        let asks = matches!(
            self.request.message_type,
            MessageType::Discover | MessageType::Inform
        );
        match why {
            Ignored::IgnoredClass => Err(why),
            _ if asks => Err(why),
            _ => Ok(()),
        }
    }

    /// The ready-made classes that the client is of, also those that nothing is configured for.
    pub(super) fn ready_made(&self, id: SubnetId) -> impl Iterator<Item = &'static str> {
        let standing = self.standing(id);
        ready::all().iter().filter_map(move |class| {
            let subject = Subject {
                request: self.request,
                members: &standing.members,
                known: standing.host.is_some(),
                relay_agent: self.remembered_agent(),
            };
            let is_of = ready::test(class.name)?.matches(&subject);
            is_of.then_some(class.name)
        })
    }

    /// The classes of a client that is this host, each tested once, in their order.
    fn members(&self, host: Option<&Reservation>) -> ClassSet {
        let mut members = ClassSet::default();
        if self.state.config.classes.is_empty() {
            return members;
        }
        for class in host.into_iter().flat_map(|host| &host.classes) {
            members.insert(*class);
        }
        for (id, class) in self.state.classes() {
            let subject = Subject {
                request: self.request,
                members: &members,
                known: host.is_some(),
                relay_agent: self.remembered_agent(),
            };
            let matches = |test: &Test| test.matches(&subject);
            if class.test.as_ref().is_some_and(matches) {
                members.insert(id);
            }
        }
        members
    }
}

impl State {
    fn refusal(&self, id: SubnetId, standing: &Standing<'_>) -> Option<Ignored> {
        let mut classes = self.classes();
        if classes.any(|(id, class)| class.ignore && standing.members.contains(id)) {
            return Some(Ignored::IgnoredClass);
        }
        let passes = standing.passes(&self.subnet(id).classes);
        (!passes).then_some(Ignored::WrongClass)
    }

    /// In their order.
    pub(super) fn classes(&self) -> impl Iterator<Item = (ClassId, &Class)> {
        (0..).map(ClassId).zip(&self.config.classes)
    }
}
