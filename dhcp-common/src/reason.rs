//! Why a frame was answered or not: one list for counters, `xdhcpctl fastpath`, metrics and tests.
#![forbid(unsafe_code)]

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// How a run of the fast path ended. [`Reason::is_answer`] sends the reply; the guard's two
        /// ([`Reason::is_drop`]) and [`Reason::Broken`] end the frame; everything else leaves it
        /// as it came and passes it to the daemon.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$name,)+];
            pub const COUNT: usize = Self::ALL.len();

            /// The name in metrics and tables.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// Answered.
    Hit = "hit",
    /// Answered: DISCOVER, SELECTING or INIT-REBOOT of a client that boots.
    Boot = "boot",
    /// No DHCP request: not IPv4, UDP and port 67, or shorter than one.
    NotDhcp = "not-dhcp",
    /// IP options, a fragment, a wrong IP checksum, or lengths that contradict each other.
    BadHeader = "bad-header",
    /// No BOOTREQUEST from an Ethernet client with the DHCP magic cookie.
    NotRequest = "not-request",
    /// The interface is not served, or the frame is addressed to another MAC.
    NotOurs = "not-ours",
    /// Relayed (giaddr is set): the daemon chooses where the reply goes.
    Relayed = "relayed",
    /// No ciaddr, so no renewal, and there are no boot memos.
    NotRenewal = "not-renewal",
    /// The IP source address is not ciaddr.
    WrongSource = "wrong-source",
    /// Of a client that is blocked for a while; dropped.
    Blocked = "blocked",
    /// Of a client that is not known, from where more of them ask than is allowed; dropped.
    Throttled = "throttled",
    /// More option bytes than the fast path looks at.
    LongOptions = "long-options",
    /// The address is in no block of the lease table.
    NoBlock = "no-block",
    /// The address has no valid lease, or the daemon is changing it just now.
    NoLease = "no-lease",
    /// The address is leased to another MAC.
    OtherClient = "other-client",
    /// The option bytes are not those that the daemon answered before for this lease, or to this client.
    MemoMiss = "memo-miss",
    /// The lease has run out; only the daemon revives one.
    Lapsed = "lapsed",
    /// Addressed to neither the lease's server nor broadcast.
    WrongServer = "wrong-server",
    /// A broadcast renewal on another link than the lease's: the client has moved.
    OtherLink = "other-link",
    /// The new lease time would end after what is promised on disk.
    Promise = "promise",
    /// The daemon changed the lease while it was being answered.
    Raced = "raced",
    /// The frame could be grown neither at its tail nor at its head.
    NoRoom = "no-room",
    /// A write to the frame failed after the first; the frame was dropped. Never expected.
    Broken = "broken",
}

impl Reason {
    #[must_use]
    pub fn from_index(index: u32) -> Option<Self> {
        Self::ALL.get(index as usize).copied()
    }

    /// Whether the frame is the reply now.
    #[inline(always)]
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Hit | Self::Boot)
    }

    /// How many frames were answered, given how many ended for which reason.
    #[must_use]
    pub fn answered(counts: &[u64]) -> u64 {
        let counts = Self::ALL.iter().zip(counts);
        let answered = counts.filter(|(reason, _)| reason.is_answer());
        answered.map(|(_, count)| count).sum()
    }

    /// Whether the guard has dropped the frame: nobody else is to see it.
    #[inline(always)]
    #[must_use]
    pub const fn is_drop(self) -> bool {
        matches!(self, Self::Blocked | Self::Throttled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_indices_round_trip() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_index(i as u32), Some(*reason));
            assert!(
                Reason::ALL[..i]
                    .iter()
                    .all(|other| other.label() != reason.label())
            );
            assert!(reason.describe().ends_with('.'));
        }
        assert_eq!(Reason::from_index(Reason::COUNT as u32), None);
    }
}
