//! Pools of a subnet.

use ipnet::Ipv4Net;

use super::super::decode::{KeyOrMap, Placed};
use super::super::error::{At, Place, Problem};
use super::super::model::{Level, Pool};
use super::super::range::Range;
use super::super::written;
use super::{Context, boot, options, times};

/// A pool, and where its range stands.
struct Draft {
    range: Range,
    index: usize,
    pool: Pool,
}

/// The pools, ascending.
pub(super) fn resolve(
    written: &[Placed<KeyOrMap<written::Pool>>],
    prefix: Option<Ipv4Net>,
    at: &At<'_>,
    context: &Context<'_>,
) -> Vec<Pool> {
    let at = at.key("pools");
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, entry) in written.iter().enumerate() {
        let at = at.item(index);
        let level = level(&entry.value.0, &at, context);
        let classes = context
            .classes
            .ids(&entry.value.0.classes, &at, context.report);
        let Some((range, place)) = range(entry, &at, context) else {
            continue;
        };
        let problem = prefix.and_then(|prefix| misplaced(range, prefix));
        if let Some(problem) = problem.or_else(|| overlapping(range, &drafts)) {
            context.report.add(place, &at, problem);
        }
        let pool = Pool {
            classes,
            level,
            ..Pool::open((range.first, range.last))
        };
        drafts.push(Draft { range, index, pool });
    }
    drafts.sort_by_key(|draft| draft.range);
    drafts.into_iter().map(|draft| draft.pool).collect()
}

fn range(
    Placed { place, value }: &Placed<KeyOrMap<written::Pool>>,
    at: &At<'_>,
    context: &Context<'_>,
) -> Option<(Range, Place)> {
    let Some(scalar) = &value.0.range else {
        let hint = "write its addresses, like range: 10.0.0.10-10.0.0.99";
        let problem = Problem::new("has no `range`", hint);
        context.report.add_missing(*place, at, problem);
        return None;
    };
    let range = scalar.get(at, context.report)?;
    Some((range, scalar.place))
}

fn level(written: &written::Pool, at: &At<'_>, context: &Context<'_>) -> Level {
    let report = context.report;
    Level {
        times: times::own(written.into(), at, report),
        options: options::overrides(&written.options, at, report),
        boot: boot::overrides(&written.boot, at, report),
    }
}

pub(super) fn range_of(pool: &Pool) -> Range {
    let Pool { first, last, .. } = *pool;
    Range { first, last }
}

fn misplaced(pool: Range, prefix: Ipv4Net) -> Option<Problem> {
    let hosts = Range::hosts(prefix);
    let inside = pool.clip(hosts);
    if inside == Some(pool) {
        return None;
    }
    let all = Range {
        first: prefix.network(),
        last: prefix.broadcast(),
    };
    let what = if pool.clip(all) != Some(pool) {
        format!("{pool} is not inside {prefix}")
    } else if pool.contains(prefix.network()) {
        format!("{pool} contains the network address {}", prefix.network())
    } else {
        format!(
            "{pool} contains the broadcast address {}",
            prefix.broadcast()
        )
    };
    let hint = inside.map_or_else(
        || format!("hosts are {hosts}"),
        |inside| format!("write {inside}"),
    );
    Some(Problem::new(what, hint))
}

fn overlapping(pool: Range, others: &[Draft]) -> Option<Problem> {
    let Draft {
        range: other,
        index,
        ..
    } = others.iter().find(|other| other.range.overlaps(pool))?;
    let what = format!("{pool} overlaps pools[{index}], {other}");
    Some(Problem::new(what, "let each address be in one pool"))
}
