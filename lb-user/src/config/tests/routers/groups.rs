//! Groups of virtual routers.

use expect_test::expect;

use super::{PAIR, pair, warned};
use crate::config::tests::{good, refused};

/// [`PAIR`] with an inner router in the same group, and no weights.
fn grouped() -> String {
    let text = pair("interval = \"1s\"", "group = \"all\"").replace("weight = 60\n", "");
    format!(
        "{text}[[virtual_router]]\nname = \"inner\"\nvrid = 52\nvips = [\"10.77.1.1\"]\ngroup = \"all\"\n\
         [hosts.lb1.director.virtual_router.inner]\ninterface = \"eth1\"\npriority = 200\n\
         [hosts.lb2.director.virtual_router.inner]\ninterface = \"eth1\"\npriority = 10\n"
    )
}

#[test]
fn routers_of_a_group_agree_on_who_comes_first() {
    let checked = good(&grouped());
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    let groups = checked
        .site
        .virtual_routers
        .iter()
        .map(|router| router.group.as_deref());
    assert_eq!(groups.collect::<Vec<_>>(), [Some("all"), Some("all")]);
    refused(
        &grouped().replace("priority = 200", "priority = 9"),
        &expect![[r#"
            site.toml:38:9: error: `site` and `inner` are of one group, and their priorities do not put the hosts into the same order: lb1 before lb2; lb2 before lb1
               |
            38 | group = "all"
               |         ^^^^^
               = help: let the same host come first in all routers of a group, and so on
            site.toml:20:9: note: the other
               |
            20 | group = "all"
               |         ^^^^^

            site.toml: 1 error"#]],
    );
    refused(
        &grouped().replace("priority = 200", "priority = 10"),
        &expect![[r#"
            site.toml:38:9: error: `site` and `inner` are of one group, and their priorities do not put the hosts into the same order: lb1 before lb2; lb1 = lb2
               |
            38 | group = "all"
               |         ^^^^^
               = help: let the same host come first in all routers of a group, and so on
            site.toml:20:9: note: the other
               |
            20 | group = "all"
               |         ^^^^^

            site.toml:44:12: warning: lb1 and lb2 have the same priority: the one with the greater address wins
               |
            44 | priority = 10
               |            ^^
               = help: give the one that should be active a higher priority
            site.toml:41:12: note: the other
               |
            41 | priority = 10
               |            ^^

            site.toml: 1 error, 1 warning"#]],
    );
    // One that cannot be read is not compared.
    refused(
        &grouped().replace("priority = 200", "priority = 300"),
        &expect![[r#"
            site.toml:41:12: error: priority 300 is out of range
               |
            41 | priority = 300
               |            ^^^
               = help: write 1 to 255

            site.toml: 1 error"#]],
    );
}

#[test]
fn weights_move_all_or_nobody() {
    // 60 off 150 is less than 100; 60 off 200 is not less than 10.
    let weighted = grouped().replace("service = \"web\"\n", "service = \"web\"\nweight = 60\n");
    refused(
        &weighted,
        &expect![[r#"
        site.toml:39:9: error: `site` and `inner` are of one group, whose tracks have weights, and lb1 has priority 150 in one of them only
           |
        39 | group = "all"
           |         ^^^^^
           = help: give a host the same priority in all routers of a group
        site.toml:20:9: note: the other
           |
        20 | group = "all"
           |         ^^^^^

        site.toml: 1 error"#]],
    );
    let alike = weighted
        .replace("priority = 200", "priority = 150")
        .replace("priority = 10\n", "priority = 100\n");
    assert_eq!(good(&alike).site.virtual_routers.len(), 2);
}

#[test]
fn tracks_count_for_all_of_a_group() {
    let tracks = "[[virtual_router.track]]\nservice = \"web\"\n\
                  [[virtual_router.track]]\ninterface = \"eth9\"\n";
    let inner = "group = \"all\"\n[hosts.lb1.director.virtual_router.inner]";
    let text = grouped().replace(inner, &inner.replacen('\n', &format!("\n{tracks}"), 1));
    let site = good(&text).site;
    let of = |nth: usize| site.tracks_of(&site.virtual_routers[nth]);
    assert_eq!(
        (
            site.virtual_routers[0].tracks.len(),
            site.virtual_routers[1].tracks.len()
        ),
        (1, 2)
    );
    // The service is tracked once, though both name it.
    assert_eq!((of(0).len(), of(1).len()), (2, 2));
    let apart = good(&text.replace("group = \"all\"\n", "")).site;
    assert_eq!(apart.tracks_of(&apart.virtual_routers[0]).len(), 1);
}

#[test]
fn routers_of_a_group_preempt_alike() {
    let inner = "group = \"all\"\n[hosts.lb1.director.virtual_router.inner]";
    refused(
        &grouped().replace(inner, &format!("preempt = false\n{inner}")),
        &expect![[r#"
            site.toml:39:9: error: `site` and `inner` are of one group, and one of them would preempt while the other does not
               |
            39 | group = "all"
               |         ^^^^^
               = help: write the same `preempt` and `preempt_delay` in all routers of a group
            site.toml:20:9: note: the other
               |
            20 | group = "all"
               |         ^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn routers_of_a_group_have_the_same_hosts() {
    let own = "[hosts.lb2.director.virtual_router.inner]\ninterface = \"eth1\"\npriority = 10\n";
    refused(
        &grouped().replace(own, ""),
        &expect![[r#"
            site.toml:34:1: warning: only lb1 takes part in virtual router `inner`: nobody takes over from it
               |
            34 | [[virtual_router]]
               | ^^^^^^^^^^^^^^^^^^
               = help: add `[hosts.NAME.director.virtual_router.inner]` with its `interface` for a second one

            site.toml:38:9: error: `site` and `inner` are of one group, and lb2 takes part in `site` only
               |
            38 | group = "all"
               |         ^^^^^
               = help: let the same hosts take part in all routers of a group
            site.toml:20:9: note: the other
               |
            20 | group = "all"
               |         ^^^^^

            site.toml: 1 error, 1 warning"#]],
    );
    let own = "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\n";
    refused(
        &grouped().replace(own, ""),
        &expect![[r#"
            site.toml:14:1: warning: only lb1 takes part in virtual router `site`: nobody takes over from it
               |
            14 | [[virtual_router]]
               | ^^^^^^^^^^^^^^^^^^
               = help: add `[hosts.NAME.director.virtual_router.site]` with its `interface` for a second one

            site.toml:36:9: error: `site` and `inner` are of one group, and lb2 takes part in `inner` only
               |
            36 | group = "all"
               |         ^^^^^
               = help: let the same hosts take part in all routers of a group
            site.toml:18:9: note: the other
               |
            18 | group = "all"
               |         ^^^^^

            site.toml: 1 error, 1 warning"#]],
    );
}

#[test]
fn a_group_of_one_is_warned_of() {
    warned(
        &pair("interval = \"1s\"", "group = \"all\""),
        &expect![[r#"
            site.toml:20:9: warning: `site` is the only virtual router of group `all`
               |
            20 | group = "all"
               |         ^^^^^
               = help: give the routers that go with it the same `group`, or leave it out

            site.toml: 1 warning"#]],
    );
    let third = "[[virtual_router]]\nname = \"other\"\nvrid = 53\nvips = [\"10.77.2.1\"]\ngroup = \"al\"\n\
                 [hosts.lb1.director.virtual_router.other]\ninterface = \"eth1\"\npriority = 200\n\
                 [hosts.lb2.director.virtual_router.other]\ninterface = \"eth1\"\n";
    warned(
        &format!("{}{third}", grouped()),
        &expect![[r#"
            site.toml:49:9: warning: `other` is the only virtual router of group `al`
               |
            49 | group = "al"
               |         ^^^^
               = help: did you mean `all`?

            site.toml: 1 warning"#]],
    );
    assert!(good(PAIR).warnings.is_empty());
}
