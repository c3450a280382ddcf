//! What the kernel says is what the engine would have said, whatever hangs on classes, hosts,
//! pools and networks, and after every reload.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dhcp_common::Reason;
use proptest::prelude::*;

use super::classes::with_classes;
use super::lab::*;
use crate::class::ClassId;
use crate::config::model::{
    BootOverrides, Config, Identifier, Level, Mac, OptionValue, Pool, Reservation, Times,
};
use crate::engine::{Interface, Outcome};

const A: Mac = [0x52, 0x54, 0, 0, 0, 0xa];

#[derive(Clone, Debug)]
struct Plan {
    /// Tests, whether they have levels, and whether they ignore.
    classes: Vec<(&'static str, Option<Level>, bool)>,
    hosts: Vec<(usize, Option<u8>, Level)>,
    everywhere: Option<Level>,
    pools: Vec<(Level, Option<u16>)>,
    guard: Option<u16>,
    /// The other subnet's.
    neighbours_guard: Option<u16>,
    shared: bool,
    bounds: (u64, u64),
}

const TESTS: [&str; 7] = [
    "option[60].hex == 'a'",
    "option[77].exists",
    "relay4[1].hex == 'a'",
    "pkt4.giaddr == 10.0.0.9",
    "known",
    "not option[61].exists",
    "-",
];

fn identifier(which: usize) -> Identifier {
    match which {
        0 => Identifier::Mac(A),
        1 => Identifier::ClientId(b"a"[..].into()),
        2 => Identifier::CircuitId(b"a"[..].into()),
        _ => Identifier::Uuid([b'a'; 16].into()),
    }
}

fn build(plan: &Plan) -> Config {
    let mut net = subnet("10.0.0.0/16", ("10.0.1.10", "10.0.1.12"));
    let ranges = [("10.0.1.10", "10.0.1.12"), ("10.0.1.20", "10.0.1.22")];
    net.pools = std::iter::zip(ranges, &plan.pools)
        .map(|((first, last), (level, guard))| Pool {
            level: level.clone(),
            classes: class(*guard, plan),
            ..Pool::open((ip(first), ip(last)))
        })
        .collect();
    net.lease_bounds = (
        Duration::from_secs(plan.bounds.0),
        Duration::from_secs(plan.bounds.1),
    );
    net.classes = class(plan.guard, plan);
    let mut second = subnet("10.5.0.0/24", ("10.5.0.10", "10.5.0.19"));
    second.interface = Some("eth3".into());
    second.classes = class(plan.neighbours_guard, plan);
    for (which, address, level) in &plan.hosts {
        let elsewhere = address.is_some_and(|last| last >= 40);
        let to = if elsewhere { &mut second } else { &mut net };
        let prefix = if elsewhere { [10, 5, 0] } else { [10, 0, 1] };
        let address = address.map(|last| [prefix[0], prefix[1], prefix[2], last].into());
        to.hosts.insert(Reservation {
            level: level.clone().into(),
            classes: class(Some(0), plan),
            ..Reservation::new(identifier(*which), address)
        });
    }
    let mut config = config(vec![net, second]);
    if plan.shared {
        config.networks = vec!["hall".into()];
        for subnet in &mut config.subnets {
            subnet.network = Some(0);
        }
    }
    if let Some(level) = &plan.everywhere {
        config.hosts.insert(Reservation {
            level: level.clone().into(),
            ..Reservation::new(identifier(0), None)
        });
    }
    let names = ["c0", "c1", "c2", "c3"];
    let tests: Vec<_> = std::iter::zip(names, &plan.classes)
        .map(|(name, (test, _, _))| (name, *test))
        .collect();
    let mut config = with_classes(config, &tests);
    for (class, (_, level, ignore)) in std::iter::zip(&mut config.classes, &plan.classes) {
        class.level = level.clone().unwrap_or_default();
        class.ignore = *ignore;
    }
    config
}

fn class(at: Option<u16>, plan: &Plan) -> Vec<ClassId> {
    let there = at.filter(|at| usize::from(*at) < plan.classes.len());
    there.map(ClassId).into_iter().collect()
}

fn any_level() -> impl Strategy<Value = Level> {
    let option = prop::option::of((100u8..103, any::<u8>()));
    let times = prop::option::of(1u64..100);
    (option, times, prop::option::of("[a-b]")).prop_map(|(option, times, file)| Level {
        times: times.map(|minutes| Times::of(Duration::from_secs(minutes * 60))),
        options: option.map_or_else(BTreeMap::new, |(code, byte)| {
            let value = OptionValue {
                data: vec![byte],
                always_send: true,
            };
            BTreeMap::from([(code, Some(value))])
        }),
        boot: BootOverrides {
            file,
            ..BootOverrides::default()
        },
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let class = (
        prop::sample::select(&TESTS[..]),
        prop::option::of(any_level()),
        prop::bool::weighted(0.1),
    );
    let address = prop::option::of(prop::sample::select(vec![11u8, 21, 30, 50]));
    let host = (0usize..4, address, any_level());
    let guard = || prop::option::weighted(0.3, 0u16..4);
    (
        prop::collection::vec(class, 0..4),
        prop::collection::vec(host, 0..3),
        prop::option::weighted(0.2, any_level()),
        prop::collection::vec((any_level(), guard()), 1..3),
        (guard(), guard()),
        any::<bool>(),
        prop::sample::select(vec![(3600, 3600), (60, 7200)]),
    )
        .prop_map(
            |(classes, mut hosts, everywhere, pools, guards, shared, bounds)| {
                hosts.sort_by_key(|host| host.0);
                hosts.dedup_by_key(|host| host.0);
                let mut addresses = std::collections::HashSet::new();
                hosts.retain(|host| host.1.is_none_or(|address| addresses.insert(address)));
                Plan {
                    classes,
                    hosts,
                    everywhere,
                    pools,
                    guard: guards.0,
                    neighbours_guard: guards.1,
                    shared,
                    bounds,
                }
            },
        )
}

fn any_options() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let text = |code: u8, text: &[u8]| (code, text.to_vec());
    let all = vec![
        text(60, b"a"),
        text(60, b"b"),
        text(77, b"x"),
        text(61, b"a"),
        text(61, b"b"),
        text(82, b"\x01\x01a"),
        text(82, b"\x01\x01b"),
        text(97, b"\0aaaaaaaaaaaaaaaa"),
        text(51, &600u32.to_be_bytes()),
        text(118, &[10, 5, 0, 0]),
    ];
    prop::collection::vec(prop::sample::select(all), 0..4).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|(code, _)| seen.insert(*code));
        list
    })
}

fn with(mut message: Message, options: &[(u8, Vec<u8>)]) -> Message {
    message.options.extend(options.iter().cloned());
    message
}

impl Lab {
    /// Where the kernel answers, the engine answers the same; where not, the engine is asked.
    fn ask_both(&mut self, message: &Message) -> bool {
        let hit = self.kernel(message).is_ok();
        if hit {
            self.agree(message);
        } else {
            let _ = self.send(message);
        }
        hit
    }

    fn ask_in_all_ways(&mut self, address: Ipv4Addr, options: &[(u8, Vec<u8>)]) -> u32 {
        let renewing = with(Message::renewing(A, address), options);
        let rebinding = with(Message::rebinding(A, address), options);
        let mut routed = renewing.clone();
        routed.link = OTHER_LINK;
        let messages = [&renewing, &renewing, &rebinding, &routed];
        messages
            .map(|message| u32::from(self.ask_both(message)))
            .iter()
            .sum()
    }
}

const RELAY: &str = "10.0.0.9";

/// What happens to a client between its renewals.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It starts anew, here or behind the relay.
    Boots(bool),
    /// It asks everybody, by way of the relay.
    Rebinds,
    /// The relay copies a renewal that it routes.
    IsCopied,
    Discovers,
    /// The journal takes no record of the next.
    IsRefused(bool),
    Waits,
}

impl Lab {
    fn step(&mut self, step: Step, address: Ipv4Addr, options: &[(u8, Vec<u8>)]) {
        let by_relay = |message: Message| with(message, options).relayed(RELAY);
        let boot = |relayed: bool| {
            let message = Message::init_reboot(A, address);
            if relayed {
                by_relay(message)
            } else {
                with(message, options)
            }
        };
        let message = match step {
            Step::Boots(relayed) => boot(relayed),
            Step::Rebinds => {
                let mut message = by_relay(Message::rebinding(A, address));
                for (_, agent) in message.options.iter_mut().filter(|(code, _)| *code == 82) {
                    agent.extend([10, 1, 0]);
                }
                message
            }
            Step::IsCopied => by_relay(Message::renewing(A, address)),
            Step::Discovers => by_relay(Message::discover(A)),
            Step::IsRefused(relayed) => {
                let outcome = self.handle(&boot(relayed), &mut Vec::new());
                if let Outcome::Commit(commit) = outcome {
                    self.engine.refuse(&commit.change, self.now);
                }
                return;
            }
            Step::Waits => return self.pass(LEASE / 8),
        };
        let _ = self.send(&message);
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop::sample::select(vec![
        Step::Boots(false),
        Step::Boots(true),
        Step::Rebinds,
        Step::IsCopied,
        Step::Discovers,
        Step::IsRefused(false),
        Step::IsRefused(true),
        Step::Waits,
    ])
}

/// One part of it is another's, as an operator changes one thing at a time.
fn changed(mut plan: Plan, other: Plan, part: usize) -> Plan {
    match part {
        0 => plan.classes = other.classes,
        1 => plan.hosts = other.hosts,
        2 => plan.everywhere = other.everywhere,
        3 => plan.pools = other.pools,
        4 => plan.guard = other.guard,
        5 => plan.shared = other.shared,
        6 => plan.neighbours_guard = other.neighbours_guard,
        _ => plan.bounds = other.bounds,
    }
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn if_the_kernel_answers_the_engine_says_the_same(
        plan in any_plan(), other in any_plan(), part in 0usize..8,
        first in any_options(), second in any_options(),
    ) {
        let mut lab = Lab::new(build(&plan));
        let Ok(Some(offer)) = lab.send(&with(Message::discover(A), &first)) else {
            return Ok(());
        };
        let address = offer.yiaddr();
        lab.send(&with(Message::selecting(A, address), &first)).unwrap();
        lab.ask_in_all_ways(address, &first);
        lab.ask_in_all_ways(address, &second);
        lab.ask_in_all_ways(address, &first);
        let next = changed(plan, other, part);
        let mut config = build(&next);
        config.fingerprint = 2;
        lab.engine.reload(config.into(), lab.now).unwrap();
        lab.ask_in_all_ways(address, &first);
        lab.ask_in_all_ways(address, &second);
    }
}

const PORTS: [&[&str]; 7] = [
    &["10.0.0.1/16"],
    &["10.9.0.2/24", "10.0.0.1/16"],
    &["10.0.0.7/16", "10.0.0.1/16"],
    &["10.0.0.1/16", "10.0.1.10/16", "10.0.1.30/16"],
    &["10.5.0.10/24", "10.5.0.1/24"],
    &["10.9.0.2/24"],
    &[],
];

/// Addresses and MTUs of two ports.
fn any_ports() -> impl Strategy<Value = Vec<Interface>> {
    let port = || {
        let addresses = prop::sample::select(&PORTS[..]);
        (addresses, prop::sample::select(vec![576, 600, 1500, 9000]))
    };
    (port(), port()).prop_map(|ports| {
        let port = |index, (addresses, mtu): (&[&str], u32)| Interface {
            mtu,
            ..interface(index, addresses)
        };
        vec![port(3, ports.0), port(4, ports.1)]
    })
}

fn any_words() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let words = vec![
        (54, SERVER.octets().to_vec()),
        (54, vec![10, 9, 0, 2]),
        (57, 9000u16.to_be_bytes().to_vec()),
        (57, 590u16.to_be_bytes().to_vec()),
    ];
    prop::collection::vec(prop::sample::select(words), 0..3).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|(code, _)| seen.insert(*code));
        list
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_memo_that_outlives_other_interfaces_is_still_what_the_engine_says(
        before in any_ports(), after in any_ports(), words in any_words(),
        size in 0usize..400, own in any::<bool>(), plan in any_plan(),
    ) {
        let mut config = build(&plan);
        if own {
            config.subnets[0].server_address = Some(SERVER);
        }
        let filler = vec![7; 250];
        let list = [(130, &filler[..size / 2], true), (131, &filler[size - size / 2..], true)];
        config.subnets[0].options = options(&list);
        let mut lab = Lab::new(config);
        let Ok(Some(offer)) = lab.send(&Message::discover(A)) else {
            return Ok(());
        };
        let address = offer.yiaddr();
        lab.send(&Message::selecting(A, address)).unwrap();
        lab.engine.set_interfaces(before, lab.now);
        for message in [Message::renewing(A, address), Message::rebinding(A, address)] {
            let _ = lab.send(&with(message, &words));
            lab.engine.set_interfaces(after.clone(), lab.now);
            lab.ask_in_all_ways(address, &words);
            lab.ask_in_all_ways(address, &[]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_a_relay_said_counts_alike_in_the_kernel_and_the_engine(
        plan in any_plan(), relayed in any::<bool>(), first in any_options(),
        steps in prop::collection::vec((any_step(), any_options()), 1..6),
    ) {
        let mut lab = Lab::new(build(&plan));
        let bind = |message: Message| {
            let message = with(message, &first);
            if relayed { message.relayed(RELAY) } else { message }
        };
        let Ok(Some(offer)) = lab.send(&bind(Message::discover(A))) else {
            return Ok(());
        };
        let address = offer.yiaddr();
        lab.send(&bind(Message::selecting(A, address))).unwrap();
        let without: Vec<_> = first.into_iter().filter(|(code, _)| *code != 82).collect();
        lab.ask_in_all_ways(address, &without);
        for (step, options) in steps {
            lab.step(step, address, &options);
            lab.ask_in_all_ways(address, &without);
        }
        // What is on disk is what counts.
        let again = Lab::over(build(&plan), Arc::clone(lab.engine.table()));
        again.engine.restore(lab.records.clone(), lab.now);
        let mut again = Lab { now: lab.now, ..again };
        again.ask_in_all_ways(address, &without);
    }
}

#[test]
fn the_first_renewal_of_a_member_and_of_a_host_hits() {
    let level = Level {
        times: Some(Times::of(Duration::from_secs(600))),
        ..Level::default()
    };
    let plan = Plan {
        classes: vec![
            (TESTS[0], Some(level.clone()), false),
            (TESTS[2], Some(level.clone()), false),
        ],
        hosts: vec![(1, Some(30), level.clone())],
        everywhere: None,
        pools: vec![(level, Some(0))],
        guard: Some(0),
        neighbours_guard: None,
        shared: true,
        bounds: (60, 7200),
    };
    let mut lab = Lab::new(build(&plan));
    let options = [
        (60, b"a".to_vec()),
        (61, b"a".to_vec()),
        (82, b"\x01\x01a".to_vec()),
    ];
    let offer = lab.reply(&with(Message::discover(A), &options));
    assert_eq!(offer.yiaddr(), ip("10.0.1.30"));
    lab.reply(&with(Message::selecting(A, offer.yiaddr()), &options));
    assert_eq!(lab.ask_in_all_ways(offer.yiaddr(), &options), 4);
    let other = with(Message::renewing(A, offer.yiaddr()), &options[..1]);
    assert_eq!(lab.kernel(&other), Err(Reason::MemoMiss));
}
