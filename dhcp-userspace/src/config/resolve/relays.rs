//! Relays that subnets name.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::super::error::{At, Place, Problem};
use super::super::scalar::Scalar;
use super::Context;

/// Where each relay was named, and for which shared network.
#[derive(Default)]
pub(super) struct Relays(HashMap<Ipv4Addr, (Place, Option<usize>)>);

impl Relays {
    /// Those of one subnet.
    pub(super) fn resolve(
        &mut self,
        written: &[Scalar<Ipv4Addr>],
        network: Option<usize>,
        at: &At<'_>,
        context: &Context<'_>,
    ) -> Vec<Ipv4Addr> {
        let at = at.key("relays");
        let mut relays = Vec::new();
        for (index, scalar) in written.iter().enumerate() {
            let at = at.item(index);
            let Some(address) = scalar.get(&at, context.report) else {
                continue;
            };
            let is_new = !relays.contains(&address);
            let problem = self.clash(address, network.filter(|_| is_new), context);
            if let Some(problem) = problem.or_else(|| unheard(address, context)) {
                context.report.add(scalar.place, &at, problem);
            }
            self.0.entry(address).or_insert((scalar.place, network));
            relays.push(address);
        }
        relays
    }

    /// Subnets of one shared network may have the same relays.
    fn clash(
        &self,
        address: Ipv4Addr,
        network: Option<usize>,
        context: &Context<'_>,
    ) -> Option<Problem> {
        let (place, other) = self.0.get(&address)?;
        if network.is_some() && network == *other {
            return None;
        }
        let what = format!(
            "the relay {address} is named already at {}",
            context.report.show(*place)
        );
        let hint = "keep one of them, or put the subnets into one shared network";
        Some(Problem::new(what, hint))
    }
}

fn unheard(address: Ipv4Addr, context: &Context<'_>) -> Option<Problem> {
    let server = context.server;
    let no_host = address.is_unspecified() || address.is_multicast() || address.is_broadcast();
    if no_host {
        let what = format!("{address} is no address of a relay");
        return Some(Problem::new(what, "write the one that it puts into giaddr"));
    }
    if !server.serve_relayed {
        let hint = "leave `serve_relayed: false` or the relay away";
        return Some(Problem::new("relayed clients are not served", hint));
    }
    let allowed = &server.allowed_relays;
    let is_allowed = allowed.is_empty() || allowed.iter().any(|net| net.contains(&address));
    let what = format!("{address} is not among server.allowed_relays, so it is not heard");
    (!is_allowed).then(|| Problem::new(what, "add it there"))
}
