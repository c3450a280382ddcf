//! The clients against a plain map of them.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(ClientKey, Client),
    Offer(ClientKey, Ipv4Addr, Vec<u8>),
    OfferAnother(ClientKey, Ipv4Addr),
    Forget(ClientKey, Ipv4Addr),
    Drain(Ipv4Addr),
}

/// Few of each, so that they meet.
fn keys() -> impl Strategy<Value = ClientKey> {
    (0..40u8, 0..3u8).prop_map(|(mac, network)| ClientKey {
        mac: [2, 0, 0, 0, 0, mac],
        network: Ipv4Addr::new(10, network, 0, 0),
    })
}

fn addresses() -> impl Strategy<Value = Ipv4Addr> {
    (0..6u8).prop_map(|last| Ipv4Addr::new(10, 0, 0, last))
}

fn texts() -> impl Strategy<Value = Box<[u8]>> {
    let any = prop::collection::vec(any::<u8>(), 0..30);
    prop_oneof![Just(Vec::new()), any].prop_map(Into::into)
}

fn steps() -> impl Strategy<Value = Step> {
    let client = (
        addresses(),
        any::<u64>(),
        texts(),
        texts(),
        texts(),
        any::<u32>(),
    );
    let insert = (keys(), client, any::<bool>()).prop_map(|(key, client, is_usual)| {
        let (address, since, client_id, hostname, relay_agent, xid) = client;
        let client_id = if is_usual {
            [&[1][..], &key.mac].concat().into()
        } else {
            client_id
        };
        let client = Client {
            address,
            since,
            client_id,
            hostname,
            relay_agent,
            xid,
        };
        Step::Insert(key, client)
    });
    let offer = (keys(), addresses(), texts())
        .prop_map(|(key, address, id)| Step::Offer(key, address, id.into()));
    let pair = || (keys(), addresses());
    prop_oneof![
        8 => insert,
        2 => offer,
        1 => pair().prop_map(|(key, address)| Step::OfferAnother(key, address)),
        6 => pair().prop_map(|(key, address)| Step::Forget(key, address)),
        1 => addresses().prop_map(Step::Drain),
    ]
}

/// What the clients are said to be.
#[derive(Default)]
struct Model {
    all: HashMap<ClientKey, Client>,
    offered: HashMap<ClientKey, Ipv4Addr>,
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Insert(key, client) => {
                let address = client.address;
                let before = self.all.insert(key, client);
                if before.is_some_and(|before| before.address != address) {
                    self.offered.remove(&key);
                }
            }
            Step::Offer(key, address, id) => {
                let known = self.all.entry(key).or_insert(Client::offered(address));
                if known.address != address || !id.is_empty() && known.client_id[..] != id[..] {
                    *known = Client::offered(address);
                    known.client_id = id.into();
                }
            }
            Step::OfferAnother(key, address) => {
                self.offered.insert(key, address);
            }
            Step::Forget(key, address) => {
                self.all
                    .retain(|other, client| *other != key || client.address != address);
                self.offered
                    .retain(|other, offered| *other != key || *offered != address);
            }
            Step::Drain(address) => {
                self.offered.clear();
                self.all.retain(|_, client| client.address != address);
            }
        }
    }

    fn at(&self, address: Ipv4Addr) -> Vec<ClientKey> {
        let there = self.all.iter().filter(|(_, it)| it.address == address);
        sorted(there.map(|(key, _)| *key).collect())
    }
}

fn sorted(mut keys: Vec<ClientKey>) -> Vec<ClientKey> {
    keys.sort_by_key(|key| (key.mac, key.network));
    keys
}

fn step(clients: &Clients, model: &Model, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Insert(key, client) => clients.insert(key, &client),
        Step::Offer(key, address, id) => clients.offer(key, address, &id),
        Step::OfferAnother(key, address) => clients.offer_another(key, address),
        Step::Forget(key, address) => clients.forget(&key, address),
        Step::Drain(address) => {
            let drained = clients.drain(|client| client.address == address);
            for (key, client) in &drained {
                prop_assert_eq!(model.all.get(key), Some(client));
            }
            let keys = drained.into_iter().map(|(key, _)| key).collect();
            prop_assert_eq!(sorted(keys), model.at(address));
        }
    }
    Ok(())
}

fn check(clients: &Clients, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(clients.len(), model.all.len());
    let mut each = HashMap::new();
    clients.each(|key, client| {
        each.insert(*key, Client::from(*client));
    });
    prop_assert_eq!(&each, &model.all);
    for (key, client) in &model.all {
        prop_assert_eq!(clients.get(key), Some(client.clone()));
        prop_assert_eq!(clients.since(key, client.address), client.since);
        prop_assert_eq!(clients.since(key, Ipv4Addr::BROADCAST), 0);
        let offered = model.offered.get(key).copied();
        prop_assert_eq!(
            clients.offered(key),
            Some(offered.unwrap_or(client.address))
        );
        let with_id = clients.addresses_where(|other| *other.client_id == *client.client_id);
        prop_assert!(with_id.contains(&client.address));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn as_a_plain_map_would_have_them(steps in prop::collection::vec(steps(), 0..400)) {
        let (clients, mut model) = (Clients::default(), Model::default());
        for next in steps {
            step(&clients, &model, next.clone())?;
            model.step(next);
        }
        check(&clients, &model)?;
    }

    /// All in one shard, with more entries than a piece has.
    #[test]
    fn a_shard_that_grows_and_shrinks_loses_nobody(
        steps in prop::collection::vec((0..1000u32, prop::bool::weighted(0.7)), 0..1500),
    ) {
        let hasher = RandomState::default();
        let (mut shard, mut model) = (Shard::new(hasher.clone()), HashMap::new());
        for (number, comes) in steps {
            let [_, _, a, b] = number.to_be_bytes();
            let key = ClientKey { mac: [0, 0, 0, 0, a, b], network: Ipv4Addr::LOCALHOST };
            let hash = key.hash(&hasher);
            if comes {
                let name = vec![b; number as usize % 7];
                let hostname = name.as_slice();
                let client = ClientRef { hostname, ..ClientRef::at(Ipv4Addr::LOCALHOST, 7) };
                match shard.find(hash, &key) {
                    Some(place) => shard.set(place, &key, &client),
                    None => shard.add(hash, &key, &client),
                }
                model.insert(key, name);
            } else {
                shard.remove(hash, &key);
                model.remove(&key);
            }
        }
        prop_assert_eq!(shard.len(), model.len());
        for (key, name) in &model {
            let place = shard.find(key.hash(&hasher), key).map(|place| shard.at(place));
            prop_assert_eq!(place.map(|client| client.hostname), Some(&name[..]));
        }
    }
}
