//! What outlives a run: table, key, counters.

use super::*;

#[test]
fn a_restart_finds_table_key_and_counters() {
    let Some(lab) = Lab::new() else { return };
    let first = opened(&lab);
    publish(
        &first.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );
    assert_eq!(
        same_as_host(&first, &Request::default().frame()),
        Reason::Hit
    );
    let lease = first
        .table()
        .slot(first.table().index(ADDRESS).unwrap())
        .lease();
    let (key, size) = (first.table().meta().key[5].load(), first.table().size());
    drop(first);

    let second = open(&lab.config).unwrap();
    let table = second.table();
    assert_eq!((table.meta().key[5].load(), table.size()), (key, size));
    assert_eq!(table.slot(table.index(ADDRESS).unwrap()).lease(), lease);
    assert_eq!(second.counters()[Reason::Hit as usize], 1);
    assert_eq!(
        same_as_host(&second, &Request::default().frame()),
        Reason::Hit
    );
}

#[test]
fn a_table_that_is_too_small_is_replaced_and_its_leases_carried() {
    let Some(mut lab) = Lab::new() else { return };
    let first = opened(&lab);
    publish(
        &first.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );
    drop(first);
    for (capacity, pools) in [
        (None, "10.0.1.0-10.0.9.255"),
        (Some(20_000), "10.0.1.0-10.0.1.9"),
    ] {
        lab.config.subnets = testing::config(pools).subnets;
        lab.config.fast_path.capacity = capacity;
        let next = opened(&lab);
        let wanted = Needs::of(&lab.config).size();
        assert!(next.table().size().blocks >= wanted.blocks);
        assert_eq!(
            same_as_host(&next, &Request::default().frame()),
            Reason::Hit
        );
    }
    lab.config.fast_path.capacity = Some(256);
    let last = opened(&lab);
    assert!(
        last.table().size().slots() >= 20_000,
        "a larger one is kept"
    );
}

#[test]
fn pins_that_somebody_removes_are_made_anew() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let pins = Pins::of(&lab.config);
    let link = pins.link(interface("ours", OURS).index);
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    let (request, reply) = (Request::default(), Reply::default());
    publish(&first.table(), &request, &reply, now());
    let count = lab.pins();
    for victim in [pins.root(), &pins.maps().join("SLOTS"), &link] {
        match victim.is_dir() {
            true => std::fs::remove_dir_all(victim).unwrap(),
            false => std::fs::remove_file(victim).unwrap(),
        }
        first.check();
        assert_eq!(lab.pins(), count, "{}", victim.display());
    }
    drop(first);
    assert_ne!(attached("ours").generic, 0, "the link outlives the daemon");
    let second = opened(&lab);
    assert_eq!(same_as_host(&second, &request.frame()), Reason::Hit);
}

#[test]
fn a_program_whose_table_is_not_found_is_taken_off() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    drop(first);
    assert_ne!(attached("ours").generic, 0);
    std::fs::remove_file(Pins::of(&lab.config).maps().join("SLOTS")).unwrap();
    let mut second = opened(&lab);
    assert_eq!(attached("ours").generic, 0, "its leases cannot be closed");
    second.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&second).mode, PortMode::Generic);
}

/// In place of directories, and of a link.
#[test]
fn foreign_pins_are_removed() {
    let Some(lab) = Lab::new() else { return };
    let pins = Pins::of(&lab.config);
    let name = |path: &Path| path.file_name().unwrap().to_owned();
    for victim in [pins.root().join("stray"), pins.maps(), pins.current()] {
        drop(opened(&lab));
        let stray = lab.config.fast_path.pin_dir.join("META");
        std::fs::rename(pins.maps().join("META"), &stray).unwrap();
        if victim.exists() {
            std::fs::remove_dir_all(&victim).unwrap();
        }
        std::fs::rename(&stray, &victim).unwrap();
        drop(open(&lab.config).unwrap());
        drop(opened(&lab));
        let left = std::fs::read_dir(pins.root()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [name(&pins.current())]);
    }
    std::fs::create_dir(pins.link(77)).unwrap();
    opened(&lab).set_interfaces(&[]);
    assert!(!pins.link(77).exists());
}

#[test]
fn strange_pins_are_not_trusted() {
    let Some(lab) = Lab::new() else { return };
    let first = opened(&lab);
    let pins = Pins::of(&lab.config);
    let slots = pins.maps().join("SLOTS");
    drop(first);
    std::fs::remove_file(&slots).unwrap();
    std::fs::rename(pins.maps().join("TAILS"), &slots).unwrap();
    assert!(maps::pinned_table(&pins.maps()).is_none(), "one is missing");
    let second = opened(&lab);
    drop(second);
    std::fs::remove_file(&slots).unwrap();
    std::fs::rename(pins.maps().join("ROOT"), &slots).unwrap();
    std::fs::hard_link(&slots, pins.maps().join("ROOT")).ok();
    assert!(
        maps::pinned_table(&pins.maps()).is_none(),
        "one is of another kind"
    );
    assert!(opened(&lab).table().size().blocks >= 1);
}

#[test]
fn turned_off_the_leases_come_along_and_the_kernel_falls_silent() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    publish(
        &first.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );
    drop(first);
    assert!(lab.pins() > 0);
    lab.config.fast_path.mode = FastPathMode::Off;
    let second = open(&lab.config).unwrap();
    assert!(matches!(second.why_off(), Some(Off::Mode)));
    assert_eq!(lab.pins(), 0);
    let table = second.table();
    assert_eq!(
        table.slot(table.index(ADDRESS).unwrap()).kind(),
        Kind::Bound
    );
    assert_eq!(attached("ours"), netlink::Attached::default());
}

#[test]
fn bpf_memory_behaves_as_anonymous_memory() {
    let Some(lab) = Lab::new() else { return };
    let fast_path = opened(&lab);
    let plain = Table::anonymous(Size::for_addresses(2, 2)).unwrap();
    set_up(&plain);
    for table in [&*fast_path.table(), &plain] {
        let index = publish_with(table, &Request::default(), &Reply::default(), |lease| {
            lease.expires = 7;
        });
        let slot = table.slot(index);
        assert!(slot.try_lock() && !slot.try_lock());
        assert_eq!(slot.close(), 7);
        slot.publish(Kind::Released, false, &slot.lease());
        assert_eq!(
            (slot.kind(), slot.is_valid(), slot.is_locked()),
            (Kind::Released, false, false)
        );
        assert_eq!(table.addresses().count(), 256);
    }
}
