//! Attached to veth pairs, with frames over the wire.

use super::*;

/// A renewal over the wire for a lease on `ours`, and whether the reply arrives at the far end.
fn renewed(fast_path: &FastPath, far: &mut Wire) -> bool {
    let (request, reply) = (Request::default(), Reply::default());
    publish(&fast_path.table(), &request, &reply, now());
    far.echoes(&request.frame(), &reply.frame(&request))
}

fn hits(fast_path: &FastPath) -> u64 {
    fast_path.counters()[Reason::Hit as usize]
}

#[test]
fn automatic_on_veth_without_a_program_at_the_far_end() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Generic);
    assert!(
        report.why.contains("no native XDP program"),
        "{}",
        report.why
    );
    assert!(renewed(&fast_path, &mut Wire::on("far")));
    assert_eq!(hits(&fast_path), 1);
}

#[test]
fn automatic_on_veth_with_a_program_at_the_far_end() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let pass = attach_pass("far", None).unwrap();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    let mut far = Wire::on("far");
    assert!(renewed(&fast_path, &mut far));
    fast_path.check();
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);

    drop(pass);
    fast_path.check();
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Generic, "{}", report.why);
    assert!(renewed(&fast_path, &mut far));
}

#[test]
fn the_far_end_is_seen_in_another_namespace() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let elsewhere = Elsewhere::new();
    elsewhere.take("far");
    run(&["ip", "link", "set", "ours", "up"]);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    fast_path.detach().unwrap();

    let _pass = elsewhere.within(|| attach_pass("far", None).unwrap());
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    let mut far = elsewhere.within(|| Wire::on("far"));
    assert!(renewed(&fast_path, &mut far));
}

#[test]
fn lost_native_replies_are_noticed() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let lab = lab.with_mode(FastPathMode::Native);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    fast_path.check();
    assert_eq!(
        only_port(&fast_path).mode,
        PortMode::Native,
        "nothing was lost yet"
    );
    let mut far = Wire::on("far");
    assert!(
        !renewed(&fast_path, &mut far),
        "attaching succeeds, replies vanish"
    );
    fast_path.check();
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Generic);
    assert!(
        report.why.contains("1 native XDP replies were lost"),
        "{}",
        report.why
    );
    assert!(renewed(&fast_path, &mut far));
}

#[test]
fn a_foreign_program_is_respected_and_named() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let _foreign = attach_pass("ours", None).unwrap();
    let id = attached("ours").native;
    for mode in [FastPathMode::Native, FastPathMode::Generic] {
        let mut lab_config = lab.config.clone();
        lab_config.fast_path.mode = mode;
        let mut fast_path = open(&lab_config).unwrap();
        fast_path.set_interfaces(&[interface("ours", OURS)]);
        let report = only_port(&fast_path);
        assert_eq!(report.mode, PortMode::Userspace);
        assert!(
            report.why.contains(&format!("(id {id})")) && report.why.contains("bpftool link"),
            "{}",
            report.why
        );
        assert_eq!(attached("ours").native, id);
    }
}

#[test]
fn what_somebody_else_takes_off_is_attached_again() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let program = attached("ours").generic;
    let pin = Pins::of(&lab.config).link(interface("ours", OURS).index);
    let mut far = Wire::on("far");
    for strike in [xdp_pass::take_off, xdp_pass::replace] {
        strike(&pin).unwrap();
        assert_ne!(attached("ours").generic, program);
        assert!(!renewed(&fast_path, &mut far));
        fast_path.check();
        assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
        assert_eq!(attached("ours").generic, program);
        assert!(renewed(&fast_path, &mut far));
        assert!(pin.exists());
    }
}

#[test]
fn another_program_in_its_place_is_respected_until_it_goes() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let pin = Pins::of(&lab.config).link(interface("ours", OURS).index);
    xdp_pass::take_off(&pin).unwrap();
    let foreign = attach_pass("ours", None).unwrap();
    for _ in 0..2 {
        fast_path.check();
        let report = only_port(&fast_path);
        assert_eq!(report.mode, PortMode::Userspace);
        assert!(report.why.contains("another XDP program"), "{}", report.why);
    }
    drop(foreign);
    fast_path.check();
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    assert!(renewed(&fast_path, &mut Wire::on("far")));
}

/// What keeps it from being attached may pass: here, frames at the far end too long for native XDP.
#[test]
fn what_cannot_be_attached_again_is_tried_until_it_can() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut lab_config = lab.config.clone();
    lab_config.fast_path.mode = FastPathMode::Native;
    let mut fast_path = open(&lab_config).unwrap();
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
    let pin = Pins::of(&lab.config).link(interface("ours", OURS).index);
    xdp_pass::take_off(&pin).unwrap();
    run(&["ip", "link", "set", "far", "mtu", "9000"]);
    for _ in 0..3 {
        fast_path.check();
        let report = only_port(&fast_path);
        assert_eq!(report.mode, PortMode::Userspace);
        assert!(report.why.contains("was refused"), "{}", report.why);
    }
    run(&["ip", "link", "set", "far", "mtu", "1500"]);
    fast_path.check();
    assert_eq!(only_port(&fast_path).mode, PortMode::Native);
}

#[test]
fn a_renamed_interface_is_reported_by_its_new_name() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    for command in ["set ours down", "set ours name lan", "set lan up"] {
        let words: Vec<_> = command.split(' ').collect();
        run(&[&["ip", "link"], &words[..]].concat());
    }
    fast_path.set_interfaces(&[interface("lan", OURS)]);
    let report = only_port(&fast_path);
    assert_eq!(
        (report.name.as_str(), report.mode),
        ("lan", PortMode::Generic)
    );
}

#[test]
fn a_restart_keeps_the_link_and_leaving_an_interface_removes_it() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let link = |lab: &Lab| {
        let path = Pins::of(&lab.config).link(interface("ours", OURS).index);
        let link = aya::programs::links::PinnedLink::from_pin(path).unwrap();
        aya::programs::links::FdLink::from(link)
            .info()
            .unwrap()
            .id()
    };
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    let (id, program) = (link(&lab), attached("ours").generic);
    drop(first);
    assert_eq!(
        attached("ours").generic,
        program,
        "goes on without the daemon"
    );

    let mut second = open(&lab.config).unwrap();
    second.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(link(&lab), id, "the same link");
    assert_ne!(attached("ours").generic, program, "with the new program");
    assert_eq!(only_port(&second).mode, PortMode::Generic);
    assert!(renewed(&second, &mut Wire::on("far")));

    second.set_interfaces(&[]);
    assert_eq!(attached("ours"), netlink::Attached::default());
    assert!(second.report().is_empty());
}

#[test]
fn a_link_of_an_earlier_layout_is_ended_before_serving() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut first = opened(&lab);
    first.set_interfaces(&[interface("ours", OURS)]);
    drop(first);
    let pins = Pins::of(&lab.config);
    let old = pins.root().join("v0-00000000");
    std::fs::rename(pins.current(), &old).unwrap();
    let mut second = opened(&lab);
    assert_eq!(attached("ours"), netlink::Attached::default());
    second.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&second).mode, PortMode::Generic);
    assert!(!old.exists() && pins.link(interface("ours", OURS).index).exists());
    assert!(renewed(&second, &mut Wire::on("far")));
}

#[test]
fn detaching_leaves_nothing_behind() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    fast_path.detach().unwrap();
    assert_eq!(
        (lab.pins(), attached("ours")),
        (0, netlink::Attached::default())
    );
    assert!(only_port(&fast_path).why.contains("fastpath detach"));
    publish(
        &fast_path.table(),
        &Request::default(),
        &Reply::default(),
        now(),
    );

    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    drop(fast_path);
    assert_eq!(detach(&lab.config).unwrap(), 1);
    assert_eq!(
        (lab.pins(), attached("ours")),
        (0, netlink::Attached::default())
    );
}

/// What is in the way here is a file where a directory is expected: root may read all of those.
#[test]
fn without_the_kernel_a_program_that_cannot_be_ended_is_refused() {
    let Some(mut lab) = Lab::new() else { return };
    let plain = tempfile::tempdir().unwrap();
    lab.config.fast_path.pin_dir = plain.path().to_owned();
    lab.config.fast_path.mode = FastPathMode::Off;
    let root = Pins::of(&lab.config).root().to_owned();
    std::fs::write(&root, "").unwrap();
    let error = open(&lab.config).err().expect("refused").to_string();
    for part in [root.to_str().unwrap(), "as root", "fastpath detach"] {
        assert!(error.contains(part), "{error}");
    }
    std::fs::remove_file(&root).unwrap();
    assert!(open(&lab.config).is_ok());
}

#[test]
fn without_a_bpffs_it_works_until_the_daemon_stops() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let plain = tempfile::tempdir().unwrap();
    lab.config.fast_path.pin_dir = plain.path().to_owned();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    assert!(renewed(&fast_path, &mut Wire::on("far")));
    drop(fast_path);
    assert_eq!(attached("ours"), netlink::Attached::default());
}

/// However its offloads are set: frames come to it without their tags.
#[test]
fn vlans_on_a_bridge_are_left_to_the_daemon() {
    let Some(mut lab) = Lab::new() else { return };
    run(&["ip", "link", "add", "ours", "type", "bridge"]);
    run(&["ip", "link", "set", "ours", "up"]);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    let subnet = &mut lab.config.subnets[0];
    (subnet.interface, subnet.vlan) = (Some("ours".into()), [100, 0]);
    fast_path.set_vlans(&lab.config);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Userspace);
    assert!(report.why.contains("a bridge interface"), "{}", report.why);
    assert_eq!(attached("ours"), netlink::Attached::default());
}

#[test]
fn links_that_are_not_ethernet_are_left_to_the_daemon() {
    let Some(lab) = Lab::new() else { return };
    let (_tun, nic) = Tun::new(libc::ARPHRD_INFINIBAND, "10.0.1.1/24");
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[nic.interface]);
    let report = only_port(&fast_path);
    let told = (report.mode, &*report.why);
    assert_eq!(told, (PortMode::Userspace, "not Ethernet"));
    assert_eq!(attached("tun0"), netlink::Attached::default());
}

#[test]
fn vlans_behind_an_offload_are_left_to_the_daemon() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let subnet = &mut lab.config.subnets[0];
    (subnet.interface, subnet.vlan) = (Some("ours".into()), [100, 0]);
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Userspace);
    assert!(
        report.why.contains("ethtool -K ours rxvlan off"),
        "{}",
        report.why
    );
    run(&["ethtool", "-K", "ours", "rxvlan", "off"]);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    run(&["ethtool", "-K", "ours", "rxvlan", "on"]);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    assert_eq!(
        only_port(&fast_path).mode,
        PortMode::Userspace,
        "not trusted any more"
    );
    assert_eq!(attached("ours"), netlink::Attached::default());
}

#[test]
fn tags_that_become_hidden_end_the_kernels_part() {
    let Some(mut lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    fast_path.set_interfaces(&[interface("ours", OURS)]);
    fast_path.check();
    assert_eq!(only_port(&fast_path).mode, PortMode::Generic);
    let subnet = &mut lab.config.subnets[0];
    (subnet.interface, subnet.vlan) = (Some("ours".into()), [100, 0]);
    fast_path.set_vlans(&lab.config);
    fast_path.check();
    let report = only_port(&fast_path);
    assert_eq!(report.mode, PortMode::Userspace);
    assert!(report.why.contains("rxvlan off"), "{}", report.why);
    assert_eq!(attached("ours"), netlink::Attached::default());
}

#[test]
fn interfaces_that_share_a_place() {
    let Some(lab) = Lab::new() else { return };
    veth();
    let mut fast_path = opened(&lab);
    let other = Interface {
        index: interface("ours", OURS).index + 256,
        name: "other".into(),
        ..interface("ours", OURS)
    };
    fast_path.set_interfaces(&[interface("ours", OURS), other]);
    let modes: Vec<_> = fast_path
        .report()
        .into_iter()
        .map(|port| port.mode)
        .collect();
    assert_eq!(modes, [PortMode::Generic, PortMode::Userspace]);
}
