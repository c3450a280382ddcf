//! A change on its way to disk, and what follows when it is there.

use std::sync::mpsc::SyncSender;

use super::core::Core;
use crate::clock::Now;
use crate::engine::{Change, Commit, Event, Ignored};
use crate::journal::{Handle, JournalError, Rejected};
use crate::net::send::{self, Parcel};

/// What comes back from the journal with a record.
pub struct Ticket {
    /// None: the record repeats what is known.
    pub change: Option<Change>,
    pub event: Option<Event>,
    pub reply: Option<Parcel>,
    /// Who waits for the outcome.
    pub done: Option<SyncSender<Result<(), String>>>,
}

/// Hands a change in; gives the ticket back if the journal does not take it.
pub fn append(
    journal: &Handle<Ticket>,
    commit: Commit,
    reply: Option<Parcel>,
    done: Option<SyncSender<Result<(), String>>>,
) -> Result<(), Box<Rejected<Ticket>>> {
    let Commit {
        record,
        change,
        event,
    } = commit;
    let ticket = Ticket {
        change: Some(change),
        event,
        reply,
        done,
    };
    journal.append(&record, ticket).map_err(Box::new)
}

/// Makes changes visible that are on disk, and sends the replies that waited.
pub fn complete(core: &Core, tickets: &mut Vec<Ticket>, out: &mut send::Batch) {
    let now = Now::read();
    for ticket in tickets.drain(..) {
        if let Some(change) = &ticket.change {
            core.engine.complete(change, now);
        }
        if let Some(reply) = ticket.reply {
            out.push(reply);
        }
        if let Some(event) = ticket.event {
            core.happened(&event, now);
        }
        tell(ticket.done, Ok(()));
        if out.is_full() {
            flush(core, out);
        }
    }
    flush(core, out);
}

/// Takes a change back that will not be on disk.
pub fn refuse(core: &Core, ticket: Ticket, error: &JournalError) {
    if let Some(change) = &ticket.change {
        core.engine.refuse(change, Now::read());
    }
    core.rewrite.refused();
    if ticket.reply.is_some() || ticket.event.is_some() {
        core.metrics.ignore(match error {
            JournalError::Busy => Ignored::Overload,
            JournalError::TooLong { .. } => Ignored::Invalid,
            _ => Ignored::DiskFull,
        });
    }
    tell(ticket.done, Err(error.to_string()));
}

pub fn flush(core: &Core, out: &mut send::Batch) {
    let sent = out.flush();
    core.metrics.sent.inc_by(sent.sent);
    core.metrics.send_errors.inc_by(sent.failed);
}

fn tell(done: Option<SyncSender<Result<(), String>>>, outcome: Result<(), String>) {
    if let Some(done) = done {
        // Who waited may have gone away.
        let _ = done.try_send(outcome);
    }
}
