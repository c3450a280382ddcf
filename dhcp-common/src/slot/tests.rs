use super::*;

fn lease() -> Lease {
    Lease {
        chaddr: 0x5254_0000_0001,
        expires: 100,
        reserved_until: 200,
        memo: 7,
        link: Link {
            ifindex: 3,
            outer: 100,
            inner: 0,
        },
        template: 5,
        renewals: 2,
        splice: Splice {
            id_at: 300,
            id_len: 21,
            agent_at: 400,
            agent_len: 255,
            tail_len: 9,
            sum: 0xbeef,
        },
        boots: true,
    }
}

fn bound() -> Slot {
    let slot = Slot::default();
    assert!(slot.try_lock());
    slot.close();
    slot.publish(Kind::Bound, true, &lease());
    slot
}

const ASKED: Asked = Asked {
    chaddr: 0x5254_0000_0001,
    memo: Some(7),
    link: None,
};

#[test]
fn fields_survive() {
    let slot = bound();
    assert_eq!(slot.lease(), lease());
    assert_eq!(slot.kind(), Kind::Bound);
    assert!(slot.is_valid() && !slot.is_locked());
}

#[test]
fn every_refusal() {
    let slot = bound();
    let other = |asked: Asked| slot.check(&asked).unwrap_err();
    assert_eq!(other(Asked { chaddr: 1, ..ASKED }), Reason::OtherClient);
    assert_eq!(
        other(Asked {
            memo: Some(8),
            ..ASKED
        }),
        Reason::MemoMiss
    );
    assert_eq!(
        other(Asked {
            link: Some(0),
            ..ASKED
        }),
        Reason::OtherLink
    );
    let link = Some(lease().link.pack());
    let checked = slot.check(&Asked { link, ..ASKED }).unwrap();
    assert_eq!(slot.extend(&checked, 100, 150), Err(Reason::Lapsed));
    assert_eq!(slot.extend(&checked, 99, 201), Err(Reason::Promise));
    assert_eq!(slot.extend(&checked, 99, 200), Ok(()));
    assert_eq!((slot.expires(), slot.lease().renewals), (200, 3));
}

#[test]
fn who_boots_is_answered_without_a_memo_if_the_lease_allows_it() {
    let asked = Asked {
        memo: None,
        ..ASKED
    };
    let slot = bound();
    let checked = slot.check(&asked).unwrap();
    assert_eq!(slot.stands(&checked, 99), Ok(()));
    assert_eq!(slot.stands(&checked, 100), Err(Reason::Lapsed));
    assert_eq!(slot.expires(), 100, "an offer gives no time");
    assert!(slot.try_lock());
    assert_eq!(slot.stands(&checked, 99), Ok(()));
    slot.close();
    assert_eq!(slot.stands(&checked, 99), Err(Reason::Raced));
    let moved = Lease {
        boots: false,
        ..lease()
    };
    slot.publish(Kind::Bound, true, &moved);
    assert_eq!(slot.check(&asked).unwrap_err(), Reason::MemoMiss);
    assert!(slot.check(&ASKED).is_ok());
}

#[test]
fn a_shorter_lease_time_does_not_shorten_what_was_told() {
    let slot = bound();
    let checked = slot.check(&ASKED).unwrap();
    assert_eq!(slot.extend(&checked, 50, 60), Ok(()));
    assert_eq!((slot.expires(), slot.lease().renewals), (100, 3));
}

#[test]
fn the_count_never_reaches_the_template() {
    let slot = Slot::default();
    assert!(slot.try_lock());
    slot.close();
    let renewals = MOST_RENEWALS - 1;
    slot.publish(
        Kind::Bound,
        true,
        &Lease {
            renewals,
            ..lease()
        },
    );
    for until in 101..=110 {
        let checked = slot.check(&ASKED).unwrap();
        assert_eq!(slot.extend(&checked, 50, until), Ok(()));
    }
    let lease = slot.lease();
    assert_eq!((lease.template, lease.renewals), (5, MOST_RENEWALS));
    assert!(slot.try_lock());
    slot.close();
    slot.publish(Kind::Bound, true, &lease);
    assert_eq!(slot.lease().renewals, 0, "the daemon starts it anew");
}

#[test]
fn closing_is_seen_and_locking_is_not() {
    let slot = bound();
    let checked = slot.check(&ASKED).unwrap();
    assert!(slot.try_lock() && !slot.try_lock());
    assert_eq!(slot.extend(&checked, 1, 150), Ok(()));
    let checked = slot.check(&ASKED).unwrap();
    assert_eq!(slot.close(), 150);
    assert_eq!(slot.extend(&checked, 1, 160), Err(Reason::Raced));
    assert_eq!(slot.check(&ASKED).unwrap_err(), Reason::NoLease);
    slot.publish(Kind::Bound, true, &lease());
    assert_eq!(
        slot.extend(&checked, 1, 160),
        Err(Reason::Raced),
        "a new generation"
    );
}
