//! One measurement, and what several rounds of it say together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::server::Server;

/// What was measured of whom. Ordered as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub work: Work,
    /// Clients that hold a lease, or nodes that boot.
    pub clients: u32,
    pub server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Renewals that the kernel makes and the kernel answers, as fast as that goes.
    Kernel,
    /// Random clients renew, 64 at any time.
    Renew,
    /// The same where who sends also receives: no thread has to be woken, so this is the fastest loop.
    Loop,
    /// Random clients renew, so many in a second.
    Steady,
    /// One client renews, again and again.
    Alone,
    /// New clients bind, DISCOVER to ACK, 64 at any time.
    Bind,
    /// The same on a disk whose every sync takes longer.
    SlowBind,
    /// Every second exchange is a bind, the others are renewals; 64 at any time.
    Mixed,
    /// All boot at once, and ask again as a firmware does.
    Storm,
    /// The same nodes once more, on the same server: each gets what it had.
    Reboot,
    /// From the start to the first answer.
    Start,
    /// New clients bind at a steady rate, by this generator and by perfdhcp.
    Check,
}

impl Work {
    pub const ALL: [Self; 12] = [
        Self::Kernel,
        Self::Renew,
        Self::Loop,
        Self::Steady,
        Self::Alone,
        Self::Bind,
        Self::SlowBind,
        Self::Mixed,
        Self::Storm,
        Self::Reboot,
        Self::Start,
        Self::Check,
    ];

    /// Whether each end receives in a thread of its own, so that the server's CPU time can be told from the
    /// generator's. Not where a burst must not be lost on the cable, or a thread's waking would be most of the time.
    pub fn by_threads(self) -> bool {
        !matches!(self, Self::Loop | Self::Alone) && !self.is_storm()
    }

    /// Whether all clients come at once.
    pub fn is_storm(self) -> bool {
        matches!(self, Self::Storm | Self::Reboot)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Renew => "renew",
            Self::Loop => "loop",
            Self::Steady => "steady",
            Self::Alone => "alone",
            Self::Bind => "bind",
            Self::SlowBind => "slow-bind",
            Self::Mixed => "mixed",
            Self::Storm => "storm",
            Self::Reboot => "reboot",
            Self::Start => "start",
            Self::Check => "check",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Kernel => "Renewals in the kernel, both ends (LIVE_FRAMES)",
            Self::Renew => "Renewals, 64 outstanding, received in threads",
            Self::Loop => "Renewals, 64 outstanding, received by who sends",
            Self::Steady => "Renewals at a steady rate",
            Self::Alone => "One client renews alone",
            Self::Bind => "New clients bind, 64 at a time",
            Self::SlowBind => "New clients bind, slow disk",
            Self::Mixed => "Binds and renewals in turn, 64 outstanding",
            Self::Storm => "All boot at once",
            Self::Reboot => "All boot at once, for the second time",
            Self::Start => "Start with leases",
            Self::Check => "Binds at a steady rate: this generator and perfdhcp",
        }
    }
}

/// Figures by name. What a name stands for is in [`FIGURES`].
pub type Figures = BTreeMap<&'static str, f64>;

/// Every figure there is, for who reads the JSON.
pub const FIGURES: &[(&str, &str)] = &[
    ("per_second", "right exchanges a second"),
    ("exchanges", "exchanges that ended right"),
    ("answers", "what they needed: a renewal one, a bind two"),
    ("seconds", "from the first request to the last right answer"),
    (
        "cpu_us",
        "CPU of the server for an exchange, receiving included; us",
    ),
    ("process_us", "of that in its process"),
    ("receive_us", "of that in its kernel's receive thread"),
    ("generator_us", "CPU of the generator for an exchange; us"),
    (
        "kernel_share",
        "answers that the kernel gave, of all (0 to 1)",
    ),
    ("renew_p50_us", "request to ACK"),
    ("renew_p99_us", "request to ACK"),
    ("renew_max_us", "request to ACK"),
    ("bind_p50_us", "first DISCOVER to ACK"),
    ("bind_p99_us", "first DISCOVER to ACK"),
    ("bind_max_us", "first DISCOVER to ACK"),
    (
        "lost",
        "exchanges given up after four seconds without answer",
    ),
    ("unserved", "clients without a lease at the end"),
    ("retransmitted", "messages sent again"),
    ("naks", "refusals"),
    ("late", "answers to what had been answered or given up"),
    (
        "refused",
        "frames that the generator's interface did not take",
    ),
    ("dropped", "frames lost on the cable, whose ring was full"),
    ("wrong", "replies that are not what was asked for"),
    ("sent_per_second", "frames that the generator made a second"),
    (
        "start_ms",
        "from the start of the program to the first answer",
    ),
    ("read_ms", "to read the lease files once, cached"),
    ("memory_mb", "anonymous memory of the process and BPF maps"),
    ("bytes_per_lease", "the same for each lease"),
];

#[derive(Clone, Debug)]
pub struct Sample {
    pub subject: Subject,
    pub round: u32,
    pub figures: Figures,
    /// What was wrong, word for word.
    pub wrong: Vec<String>,
}

impl Sample {
    pub fn json(&self) -> Value {
        json!({
            "work": self.subject.work.name(),
            "clients": self.subject.clients,
            "server": self.subject.server.name(),
            "round": self.round,
            "figures": self.figures,
            "wrong": self.wrong,
        })
    }
}

/// The middle one of all rounds, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub rounds: usize,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self {
            median,
            least,
            most,
            rounds: values.len(),
        })
    }

    pub fn json(&self) -> Value {
        json!({"median": self.median, "min": self.least, "max": self.most, "rounds": self.rounds})
    }
}

pub type Medians = BTreeMap<&'static str, Spread>;

/// All samples, by subject and figure.
#[derive(Default)]
pub struct Results(pub BTreeMap<Subject, Medians>);

impl Results {
    pub fn of(samples: &[Sample]) -> Self {
        let mut values = BTreeMap::<Subject, BTreeMap<&'static str, Vec<f64>>>::new();
        for sample in samples {
            let figures = values.entry(sample.subject.clone()).or_default();
            for (name, value) in &sample.figures {
                figures.entry(name).or_default().push(*value);
            }
        }
        let spread = |(name, values)| Some((name, Spread::of(values)?));
        let results = values.into_iter();
        Self(
            results
                .map(|(subject, figures)| {
                    (subject, figures.into_iter().filter_map(spread).collect())
                })
                .collect(),
        )
    }

    pub fn get(&self, subject: &Subject, figure: &str) -> Option<Spread> {
        self.0.get(subject)?.get(figure).copied()
    }

    /// Everything measured of this work, in order.
    pub fn of_work(&self, work: Work) -> impl Iterator<Item = (&Subject, &Medians)> {
        self.0
            .iter()
            .filter(move |(subject, _)| subject.work == work)
    }
}

#[cfg(test)]
impl Sample {
    pub fn of_bind(server: Server, round: u32, rate: f64) -> Self {
        Self {
            subject: Subject {
                work: Work::Bind,
                clients: 0,
                server,
            },
            round,
            figures: Figures::from([("per_second", rate)]),
            wrong: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd_numbers_of_rounds() {
        let median = |values: &[f64]| Spread::of(values.iter().copied()).unwrap().median;
        assert_eq!(median(&[5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(Spread::of([]), None);
        let spread = Spread::of([2.0, 9.0, 4.0]).unwrap();
        assert_eq!((spread.least, spread.most, spread.rounds), (2.0, 9.0, 3));
    }

    #[test]
    fn rounds_of_one_subject_come_together() {
        let samples = [
            Sample::of_bind(Server::Xdhcpd, 0, 10.0),
            Sample::of_bind(Server::KeaMulti, 0, 1.0),
            Sample::of_bind(Server::Xdhcpd, 1, 30.0),
        ];
        let results = Results::of(&samples);
        let found = results.get(&samples[0].subject, "per_second").unwrap();
        assert_eq!((found.median, found.rounds), (20.0, 2));
        assert_eq!(results.of_work(Work::Bind).count(), 2);
    }
}
