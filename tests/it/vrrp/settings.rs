//! What the site file says of a virtual router, as it shows on two directors: tracks, notify, MAC, IPv6,
//! and its changes.
//!
//! Not here: faults ([`super::pair`]); mistakes in the file (lb-user's `config`).

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tests::{
    lab::{
        director::Reload,
        link,
        router::VirtualRouter,
        site::{Service, Site},
        status::Status,
        topology::{LB2, Method, VIP, dual, twin, two_directors},
        wait::unix_micros,
        watch::Urgency,
    },
    require,
};

use super::{
    INTERVAL, MAC1, MAC2,
    pair::{WEBS, assert_alone, dr, on_pair},
};

#[test]
fn a_tracked_script_lowers_the_priority_until_it_succeeds_again() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let flag = std::env::temp_dir().join(format!("viaduct-track-{}", std::process::id()));
    // It fails while the file is there, on the first director alone: the site file is both hosts'.
    let track = format!(
        "[[virtual_router.track]]\nscript = [\"/bin/sh\", \"-c\", \
         \"ip -o address | grep -q 10.77.0.4/ || test ! -e {}\"]\n\
         interval = \"100ms\"\ntimeout = \"5s\"\nweight = 60",
        flag.display()
    );
    let site = dr(VirtualRouter::new(INTERVAL).key(track));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        fs::write(&flag, "")?;
        pair.second_serves()?;
        let status = pair
            .one
            .wait_status("the first to have a lower priority", |now| {
                now.0["routers"][0]["priority"] == 90 && now.is("backup")
            })?;
        let failing = &status.0["routers"][0]["failing"];
        assert_eq!(failing[0], "script /bin/sh", "{status}");
        pair.assert_serves()?;
        fs::remove_file(&flag)?;
        pair.first_serves()?;
        pair.assert_serves()
    })
}

#[test]
fn a_notify_script_is_told_of_each_change_in_order() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let dir = std::env::temp_dir().join(format!("viaduct-notify-it-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let (script, said) = (dir.join("notify"), dir.join("said"));
    // Both directors run it: each says who it is.
    let text = format!(
        "#!/bin/sh\nwho=$(ip -o -4 address show eth0 | tr -s ' ' | cut -d' ' -f4 | head -n1)\n\
         echo \"$who $*\" >> {}\n",
        said.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let site = dr(VirtualRouter::new(INTERVAL).key(format!("notify = \"{}\"", script.display())));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        pair.one.stop()?;
        pair.second_serves()?;
        let said = fs::read_to_string(&said)?;
        let of_first: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("10.77.0.2/24 "))
            .collect();
        assert_eq!(
            of_first,
            [
                "INSTANCE site BACKUP 150",
                "INSTANCE site MASTER 150",
                "INSTANCE site STOP 150"
            ]
        );
        Ok(())
    })?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

#[test]
fn a_reload_touches_no_router_that_it_does_not_change() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let probing = pair.lab.probe(VIP.into(), Urgency::Ordinary, &[])?;
        probing.wait_answered(50)?;
        let since = |status: &Status| status.0["routers"][0]["since"].clone();
        let before = since(&pair.one.status()?);
        let more = VirtualRouter {
            name: "more".to_owned(),
            vrid: 60,
            ..VirtualRouter::new(INTERVAL).vips(&[IpAddr::from([10, 77, 0, 101])])
        };
        let more = dr(VirtualRouter::new(INTERVAL)).router(more);
        pair.one.apply(&more)?;
        pair.two.apply(&more)?;
        pair.first_serves()?;
        let status = pair.one.status()?;
        assert_eq!(since(&status), before, "{status}");
        assert_eq!(status.0["routers"][1]["name"], "more", "{status}");
        let added = pair
            .lab
            .who_has([10, 77, 0, 101].into(), Urgency::Ordinary, &[])?;
        added.wait_for(MAC1, 50)?;
        // And away again.
        pair.one.apply(&site)?;
        pair.two.apply(&site)?;
        added.wait_until(
            "nobody to answer for the VIP that is gone",
            Duration::from_secs(60),
            |now| now.macs.is_empty() && now.streak >= 50,
        )?;
        assert_eq!(since(&pair.one.status()?), before);
        let probed = probing.finish()?;
        assert_eq!(probed.lost, 0, "{probed:?}");
        Ok(())
    })
}

#[test]
fn a_refused_reload_leaves_an_active_router_alone() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let probing = pair.lab.probe(VIP.into(), Urgency::Ordinary, &[])?;
        probing.wait_answered(50)?;
        let before = pair.one.status()?;
        // Another router in the place of the one that serves, in a file that cannot be taken: a status
        // address that is another host's.
        let other = VirtualRouter {
            name: "other".to_owned(),
            vrid: 77,
            ..VirtualRouter::new(INTERVAL)
        };
        let bad = dr(other).director_key("status = \"10.77.0.1:9144\"");
        let outcome = pair.one.reload(&bad)?;
        ensure!(matches!(outcome, Reload::Refused(_)), "{outcome:?}");
        let after = pair.one.status()?;
        assert_eq!(
            after.0["routers"][0]["since"], before.0["routers"][0]["since"],
            "{after}"
        );
        pair.first_serves()?;
        // Its board is still the one that is written to.
        pair.one.wait_status("adverts to be counted on", |now| {
            let sent = |status: &Status| status.0["routers"][0]["counters"]["sent"].as_u64();
            sent(now) > sent(&after)
        })?;
        probing.wait_answered(50)?;
        let probed = probing.finish()?;
        assert_eq!(probed.lost, 0, "{probed:?}");
        Ok(())
    })
}

#[test]
fn a_backup_that_loses_its_address_keeps_quiet_about_the_vip_on_its_loopback() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let commands = [
            format!("address add {VIP}/32 dev lo"),
            "address flush dev eth0".to_owned(),
        ];
        link::ip(&pair.lab.netns(LB2), &commands)?;
        pair.two
            .wait_status("the second to say why it takes no part", |now| {
                now.0["routers"][0]["fault"] == "interface eth0 has no IPv4 address"
            })?;
        let since = unix_micros();
        let asking = pair.asking()?;
        asking.wait_for(MAC1, 200)?;
        pair.assert_serves()?;
        assert_alone(&asking, since)
    })
}

#[test]
fn a_stop_that_comes_with_a_reload_is_a_planned_move() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let probing = pair.lab.probe(VIP.into(), Urgency::Ordinary, &[])?;
        probing.wait_answered(50)?;
        pair.one.daemon().signal(Signal::SIGHUP)?;
        let status = pair.one.stop()?;
        ensure!(status.success(), "{status}");
        pair.second_serves()?;
        probing.wait_answered(50)?;
        let probed = probing.finish()?;
        assert_eq!(probed.lost, 0, "{probed:?}");
        Ok(())
    })
}

#[test]
fn a_backup_is_silent_even_with_the_vip_on_its_loopback() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        // A host that answers ARP for all it has, as Linux does unless told otherwise.
        link::ip(
            &pair.lab.netns(LB2),
            &[format!("address add {VIP}/32 dev lo")],
        )?;
        let since = unix_micros();
        let asking = pair.asking()?;
        asking.wait_for(MAC1, 200)?;
        pair.assert_serves()?;
        assert_alone(&asking, since)
    })
}

#[test]
fn the_virtual_mac_moves_with_the_vip() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let site = dr(VirtualRouter::new(INTERVAL).key("mac = \"virtual\""));
    on_pair(two_directors(Method::Dr, WEBS), &site, |pair| {
        let asking = pair.asking()?;
        asking.wait_for("00:00:5e:00:01:33", 50)?;
        pair.assert_serves()?;
        pair.one.daemon().kill()?;
        pair.second_serves()?;
        asking.wait_for("00:00:5e:00:01:33", 50)?;
        pair.assert_serves()?;
        asking.finish()?;
        Ok(())
    })
}

#[test]
fn ipv6_vips_move_as_ipv4_ones_do() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let vip6 = IpAddr::from(twin(VIP));
    let router = VirtualRouter::new(INTERVAL).vips(&[VIP.into(), vip6]);
    let site = Site::new(vec![
        Service::web(Method::Dr, WEBS),
        Service {
            name: "web6".to_owned(),
            ..Service::web(Method::Dr, WEBS).vip6().reals6()
        },
    ])
    .router(router);
    on_pair(dual(two_directors(Method::Dr, WEBS)), &site, |pair| {
        let asking = pair.lab.who_has(vip6, Urgency::Ordinary, &[])?;
        let probing = pair.lab.probe(vip6, Urgency::Ordinary, &[])?;
        asking.wait_for(MAC1, 50)?;
        probing.wait_answered(50)?;
        let requests = || pair.lab.requests_at((vip6, 80).into(), 40);
        assert_eq!(requests()?.ok, 40);
        let since = unix_micros();
        pair.one.daemon().kill()?;
        asking.wait_for(MAC2, 50)?;
        pair.second_serves()?;
        probing.wait_answered(50)?;
        assert_eq!(requests()?.ok, 40);
        probing.finish()?;
        assert_alone(&asking, since)
    })
}
