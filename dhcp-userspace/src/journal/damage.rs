use std::fmt;

/// A place where the journal is not what was written. Everything around it was recovered.
///
/// A record that is lost may have been the last one of an address: then the address goes by an
/// older record, or counts as free although a client holds it. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub file: String,
    pub offset: u64,
    pub len: u64,
    /// Records that are missing here, clock records included; `None`: not known.
    pub lost: Option<u64>,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes that were on disk, and acknowledged, have changed.
    Changed,
    /// In the last batch of writes. Either it was acknowledged and then changed, or power went
    /// while the disk wrote it out of order, and no client was told of it.
    LastBatch,
    /// What is there is good, but records before it are gone: a file was removed or cut.
    Missing,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, offset, len, ..
        } = self;
        match self.what {
            What::Changed => write!(f, "{file}: {len} bytes at offset {offset} are damaged")?,
            What::LastBatch => write!(
                f,
                "{file}: {len} bytes at offset {offset}, in what was written last, are damaged \
                 or were never written whole"
            )?,
            What::Missing => write!(f, "{file}: records before offset {offset} are missing")?,
        }
        match self.lost {
            Some(0) => return f.write_str("; no record is lost"),
            Some(1) => f.write_str("; one record is lost")?,
            Some(lost) => write!(f, "; {lost} records are lost")?,
            None => f.write_str("; how many records are lost is not known")?,
        }
        f.write_str(
            ", each of which may have been a lease: its address may be taken although it looks \
             free. All other records were recovered, and the file is kept with the suffix \
             .damaged. Check the disk; a client that is not known any more keeps its address if it \
             asks for more time before it is given away, and else gets a new lease",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_what_it_means() {
        let damage = Damage {
            file: "a.segment".into(),
            offset: 40,
            len: 7,
            lost: Some(1),
            what: What::Changed,
        };
        let text = damage.to_string();
        assert!(
            text.starts_with("a.segment: 7 bytes at offset 40 are damaged; one record is lost")
        );
        assert!(text.contains("may be taken although it looks free"));
    }
}
