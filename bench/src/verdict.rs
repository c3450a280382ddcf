//! How this server compares with its best peer and with the limit: the last line.

use serde_json::{Value, json};

use crate::program::MILLION;
use crate::sample::{Medians, Results, Subject, Work};
use crate::server::Server;

const KEA: [Server; 2] = [Server::KeaMulti, Server::KeaSingle];

/// Ratios; `None` where something was not measured.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// CPU of Kea for a renewal over CPU of this server for one, the best of either.
    pub renew: Option<f64>,
    /// Rate in the kernel, of the bare limit's.
    pub limit: Option<f64>,
    /// CPU of Kea for a bind over CPU of this server for one.
    pub bind: Option<f64>,
    /// Time of Kea until everybody is served, over the time of this server.
    pub storm: Option<f64>,
    /// Kea had not served everybody when time was up: the ratio is larger.
    pub storm_open: bool,
}

impl Verdict {
    pub fn of(results: &Results) -> Self {
        let kernel = |server, figure| {
            let subject = Subject {
                work: Work::Kernel,
                clients: MILLION,
                server,
            };
            results.get(&subject, figure).map(|spread| spread.median)
        };
        let ours = kernel(Server::Xdhcpd, "cpu_us")
            .or_else(|| least(results, Work::Renew, &[Server::Xdhcpd], "cpu_us"));
        let (ours_served, ours_took) = storm(results, &[Server::Xdhcpd]);
        let (kea_served, kea_took) = storm(results, &KEA);
        let rate = |server| kernel(server, "per_second");
        Self {
            renew: ratio(least(results, Work::Renew, &KEA, "cpu_us"), ours),
            limit: ratio(rate(Server::Xdhcpd), rate(Server::Limit)),
            bind: against_kea(results, Work::Bind, "cpu_us"),
            storm: ratio(kea_took, ours_took.filter(|_| ours_served)),
            storm_open: !kea_served,
        }
    }

    pub fn line(&self) -> String {
        let times =
            |ratio: Option<f64>| ratio.map_or("?".to_owned(), |ratio| format!("x{ratio:.1}"));
        let percent = self
            .limit
            .map_or("?".to_owned(), |share| format!("{:.0}%", share * 100.0));
        let open = if self.storm_open { "more than " } else { "" };
        format!(
            "bench: renew {} of kea, {percent} of bare limit; bind {} of kea; storm {open}{} of kea",
            times(self.renew),
            times(self.bind),
            times(self.storm)
        )
    }

    pub fn json(&self) -> Value {
        json!({
            "renew_of_kea": self.renew,
            "share_of_limit": self.limit,
            "bind_of_kea": self.bind,
            "storm_of_kea": self.storm,
            "line": self.line(),
        })
    }
}

fn against_kea(results: &Results, work: Work, figure: &str) -> Option<f64> {
    let kea = least(results, work, &KEA, figure);
    ratio(kea, least(results, work, &[Server::Xdhcpd], figure))
}

/// The best median of these servers with any number of clients.
fn least(results: &Results, work: Work, servers: &[Server], figure: &str) -> Option<f64> {
    let found = results.of_work(work);
    let found = found.filter(|(subject, _)| servers.contains(&subject.server));
    let values = found.filter_map(|(_, figures)| Some(figures.get(figure)?.median));
    values.min_by(f64::total_cmp)
}

/// In the smallest storm: whether one of these has served everybody, and the time of the fastest that has, or, if none
/// has, of the one that gave up first.
fn storm(results: &Results, servers: &[Server]) -> (bool, Option<f64>) {
    let storms = || results.of_work(Work::Storm);
    let fewest = storms().map(|(subject, _)| subject.clients).min();
    let of_them = storms().filter(|(subject, _)| {
        Some(subject.clients) == fewest && servers.contains(&subject.server)
    });
    let median = |figures: &Medians, name| figures.get(name).map(|spread| spread.median);
    let ends = of_them.filter_map(|(_, figures)| {
        let left = median(figures, "unserved").unwrap_or(0.0);
        Some((left > 0.0, median(figures, "seconds")?))
    });
    let first = ends.min_by(|(a, x), (b, y)| a.cmp(b).then(x.total_cmp(y)));
    (
        first.is_none_or(|(left, _)| !left),
        first.map(|(_, took)| took),
    )
}

fn ratio(above: Option<f64>, below: Option<f64>) -> Option<f64> {
    let (above, below) = above.zip(below)?;
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Figures, Sample};

    fn sample(work: Work, clients: u32, server: Server, figures: &[(&'static str, f64)]) -> Sample {
        Sample {
            subject: Subject {
                work,
                clients,
                server,
            },
            round: 0,
            figures: Figures::from_iter(figures.iter().copied()),
            wrong: Vec::new(),
        }
    }

    #[test]
    fn ratios_are_against_the_better_kea() {
        let samples = [
            sample(
                Work::Kernel,
                MILLION,
                Server::Xdhcpd,
                &[("cpu_us", 0.5), ("per_second", 9e5)],
            ),
            sample(Work::Kernel, MILLION, Server::Limit, &[("per_second", 1e6)]),
            sample(Work::Renew, 1000, Server::KeaMulti, &[("cpu_us", 50.0)]),
            sample(Work::Renew, 1000, Server::KeaSingle, &[("cpu_us", 30.0)]),
            sample(Work::Bind, 0, Server::Xdhcpd, &[("cpu_us", 10.0)]),
            sample(Work::Bind, 0, Server::KeaMulti, &[("cpu_us", 110.0)]),
            sample(Work::Storm, 10_000, Server::Xdhcpd, &[("seconds", 0.1)]),
            sample(
                Work::Storm,
                10_000,
                Server::KeaSingle,
                &[("seconds", 2.0), ("unserved", 3.0)],
            ),
        ];
        let line = Verdict::of(&Results::of(&samples)).line();
        assert_eq!(
            line,
            "bench: renew x60.0 of kea, 90% of bare limit; bind x11.0 of kea; storm more than x20.0 of kea"
        );
    }

    #[test]
    fn a_storm_that_left_somebody_out_has_no_ratio() {
        let samples = [
            sample(
                Work::Storm,
                10_000,
                Server::Xdhcpd,
                &[("seconds", 0.1), ("unserved", 1.0)],
            ),
            sample(
                Work::Storm,
                10_000,
                Server::KeaSingle,
                &[("seconds", 2.0), ("unserved", 0.0)],
            ),
            sample(Work::Storm, 100_000, Server::KeaSingle, &[("seconds", 1.0)]),
        ];
        assert_eq!(Verdict::of(&Results::of(&samples)).storm, None);
        let served = Results::of(&[
            sample(
                Work::Storm,
                10_000,
                Server::Xdhcpd,
                &[("seconds", 0.1), ("unserved", 0.0)],
            ),
            samples[1].clone(),
            samples[2].clone(),
        ]);
        assert_eq!(Verdict::of(&served).storm, Some(20.0));
    }

    #[test]
    fn what_was_not_measured_is_not_made_up() {
        let line = Verdict::of(&Results::default()).line();
        assert_eq!(
            line,
            "bench: renew ? of kea, ? of bare limit; bind ? of kea; storm ? of kea"
        );
    }
}
