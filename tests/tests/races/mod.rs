//! The parts of `alone_races`.

pub mod change;
pub mod commit;
pub mod ledger;
pub mod look;
pub mod site;
