//! What subnets inherit: from the defaults, then from their shared network.

use std::sync::Arc;

use super::super::error::{At, Report};
use super::super::model::{Boot, Options, Policy, Times};
use super::super::written;
use super::times::{Bounds, WrittenBounds};
use super::{boot, options, policy, times};

/// All that a level says, with what it inherits.
#[derive(Clone)]
pub(super) struct Base {
    pub times: Times,
    pub bounds: Bounds,
    pub policy: Policy,
    pub options: Arc<Options>,
    pub boot: Boot,
}

/// What a level says by itself.
pub(super) struct Written<'a> {
    times: times::Written<'a>,
    bounds: WrittenBounds<'a>,
    policy: policy::Written<'a>,
    options: &'a written::Options,
    boot: &'a written::Boot,
}

macro_rules! written {
    ($($level:ident)+) => {$(
        impl<'a> From<&'a written::$level> for Written<'a> {
            fn from(level: &'a written::$level) -> Self {
                Self {
                    times: level.into(),
                    bounds: WrittenBounds {
                        shortest: level.min_lease_time.as_ref(),
                        longest: level.max_lease_time.as_ref(),
                    },
                    policy: level.into(),
                    options: &level.options,
                    boot: &level.boot,
                }
            }
        }
    )+};
}

written!(Defaults Network Subnet);

impl Base {
    /// Of which nothing is said but this.
    pub(super) fn new(authoritative: bool) -> Self {
        Self {
            times: super::DEFAULT_TIMES,
            bounds: Bounds::default(),
            policy: Policy {
                authoritative,
                ..Policy::default()
            },
            options: Arc::default(),
            boot: Boot::default(),
        }
    }

    /// With what a more specific level says on top.
    pub(super) fn with<'a>(
        &self,
        written: impl Into<Written<'a>>,
        at: &At<'_>,
        report: &Report,
    ) -> Self {
        let written = written.into();
        let times = times::resolve(written.times, self.times, at, report);
        let own = options::resolve(written.options, (*self.options).clone(), at, report);
        let boot = boot::overrides(written.boot, at, report);
        Self {
            times,
            bounds: times::bounds(written.bounds, times.lease, self.bounds, at, report),
            policy: policy::resolve(written.policy, &self.policy, at, report),
            options: Arc::new(own),
            boot: self.boot.overridden(&boot),
        }
    }
}
