//! Ours and keepalived as one pair, whichever is preferred: they take turns at the VIP as two of a make
//! would, and neither has anything to say against the other.
//!
//! keepalived beside keepalived goes through the same first: what these two write is what ours may make
//! one write. Not here: two of ours; other makes than keepalived.

use std::{net::IpAddr, time::Duration};

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::Director,
        keepalived::{self, Keepalived},
        router::VirtualRouter,
        site::{Service, Site},
        topology::{LB1, LB1_ADDRESS, LB2, LB2_ADDRESS, Method, dual, link_local, two_directors},
        wait::SOON,
        watch::{Asking, Probing, Urgency},
    },
    require,
};

use super::{MAC1, MAC2, MET, vips6};

/// Which of the two is ours; the first host is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    First,
    Second,
    Neither,
}

/// keepalived is an ordinary process: on a busy machine it must have time to be late.
const INTERVAL: Duration = Duration::from_millis(300);

/// How the two talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Talk {
    v6: bool,
    unicast: bool,
    preempt: bool,
}

const V4: Talk = Talk {
    v6: false,
    unicast: false,
    preempt: true,
};
const V6: Talk = Talk { v6: true, ..V4 };

/// One host of the pair.
enum Host<'l> {
    Ours(Director<'l>),
    Theirs(Keepalived<'l>),
}

impl<'l> Host<'l> {
    fn start(lab: &'l Lab, host: &str, ours: bool, talk: Talk) -> Result<Self> {
        if ours {
            return Director::start(lab, host, site(talk)).map(Self::Ours);
        }
        let [one, two] = if talk.unicast {
            keepalived::unicast_pair(INTERVAL)
        } else {
            keepalived::pair(INTERVAL)
        };
        let mut router = if host == LB1 { one } else { two };
        if talk.v6 {
            router = router.vips(&vips6());
            let addresses = [LB1_ADDRESS, LB2_ADDRESS].map(link_local);
            let [own, peer] = if host == LB1 {
                addresses
            } else {
                [addresses[1], addresses[0]]
            };
            if talk.unicast {
                // Its default for IPv6 is the kernel's 64, which is not to be taken (RFC 9568 5.1.2.3).
                router = router.unicast(own, peer).key("unicast_ttl 255");
            }
        }
        if !talk.preempt {
            router = router.key("nopreempt");
        }
        Keepalived::start(lab, host, &router).map(Self::Theirs)
    }

    /// Dies with its host, which then starts again.
    fn die(&self, lab: &Lab, host: &str) -> Result<()> {
        lab.cut(host)?;
        match self {
            Self::Ours(director) => director.daemon().kill().map(drop),
            Self::Theirs(keepalived) => keepalived.kill().map(drop),
        }
    }

    fn return_from_death(&mut self, lab: &Lab, host: &str) -> Result<()> {
        match self {
            Self::Ours(director) => director.detach()?,
            Self::Theirs(keepalived) => keepalived.forget()?,
        }
        lab.rejoin(host)?;
        self.start_again()
    }

    fn stop(&self) -> Result<()> {
        match self {
            Self::Ours(director) => director.stop().map(drop),
            Self::Theirs(keepalived) => keepalived.stop().map(drop),
        }
    }

    fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Ours(director) => director.start_again(),
            Self::Theirs(keepalived) => keepalived.start_again(),
        }
    }

    fn wait_active(&self, active: bool) -> Result<()> {
        match self {
            Self::Ours(director) => {
                let state = if active { "active" } else { "backup" };
                let what = format!("our router to be {state}");
                director.wait_status(&what, |status| status.is(state))?;
                Ok(())
            }
            Self::Theirs(keepalived) => keepalived.wait_active(active),
        }
    }

    /// Nothing was heard that was not as it should be.
    fn assert_content(&self, expected: Option<&str>) -> Result<()> {
        match self {
            Self::Ours(director) => {
                let status = director.status()?;
                let refused = &status.0["vrrp_refused"];
                let none = refused.as_object().is_some_and(|by_interface| {
                    let reasons = by_interface.values().filter_map(|one| one.as_object());
                    reasons.flat_map(|one| one.values()).all(|count| count == 0)
                });
                assert!(none, "we refused what keepalived sent: {status}");
            }
            Self::Theirs(keepalived) => {
                let mut complaints = keepalived.complaints()?;
                complaints.retain(|line| !expected.is_some_and(|text| line.contains(text)));
                assert!(complaints.is_empty(), "{complaints:?}");
            }
        }
        Ok(())
    }
}

fn site(talk: Talk) -> Site {
    let mut router = VirtualRouter::new(INTERVAL);
    let mut service = Service::web(Method::Dr, 1);
    if talk.v6 {
        router = router.vips(&vips6());
        service = service.vip6().reals6();
    }
    if talk.unicast {
        router = router.unicast();
    }
    if !talk.preempt {
        router = router.key("preempt = false");
    }
    Site::new(vec![service]).router(router)
}

/// A pair of one ours and one theirs under watch, the first host's Active.
struct Pair<'l> {
    lab: &'l Lab,
    one: Host<'l>,
    two: Host<'l>,
    probing: Probing,
    asking: Asking,
}

impl<'l> Pair<'l> {
    fn start(lab: &'l Lab, ours: Ours, talk: Talk) -> Result<Self> {
        let vip = if talk.v6 {
            vips6()[1]
        } else {
            IpAddr::from(tests::lab::topology::VIP)
        };
        // The first one first: without preemption who comes first stays.
        let one = Host::start(lab, LB1, ours == Ours::First, talk)?;
        one.wait_active(true)?;
        let pair = Self {
            lab,
            one,
            two: Host::start(lab, LB2, ours == Ours::Second, talk)?,
            probing: lab.probe(vip, Urgency::Ordinary, &[])?,
            asking: lab.who_has(vip, Urgency::Ordinary, &[])?,
        };
        pair.settled(true)?;
        Ok(pair)
    }

    /// Waits until the first or the second serves, alone, and both know.
    fn settled(&self, first: bool) -> Result<()> {
        self.serves(first)?;
        self.one.wait_active(first)?;
        self.two.wait_active(!first)
    }

    /// Waits until the first or the second serves, alone.
    fn serves(&self, first: bool) -> Result<()> {
        self.asking.wait_for(if first { MAC1 } else { MAC2 }, 50)?;
        self.probing.wait_answered(50)
    }
}

fn on_pair(
    ours: Ours,
    talk: Talk,
    expected: Option<&str>,
    test: impl FnOnce(&mut Pair<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(dual(two_directors(Method::Dr, 1)))?;
    let mut pair = Pair::start(&lab, ours, talk)?;
    test(&mut pair)?;
    pair.one.assert_content(expected)?;
    pair.two.assert_content(expected)?;
    drop(pair);
    lab.finish()
}

/// Each death, stop and return, from the first host's service back to it.
fn take_turns(ours: Ours, talk: Talk) -> Result<()> {
    // The better one that comes back and the worse one that serves may cross.
    on_pair(ours, talk, Some(MET), |pair| {
        pair.one.die(pair.lab, LB1)?;
        pair.serves(false)?;
        pair.two.wait_active(true)?;
        pair.one.return_from_death(pair.lab, LB1)?;
        pair.settled(true)?;

        // The one who does not serve may go and come as it likes.
        pair.two.die(pair.lab, LB2)?;
        pair.serves(true)?;
        pair.two.return_from_death(pair.lab, LB2)?;
        pair.settled(true)?;

        pair.one.stop()?;
        pair.serves(false)?;
        pair.two.wait_active(true)?;
        if let Host::Theirs(keepalived) = &pair.two {
            let log = keepalived.daemon().log()?;
            assert!(log.contains("received priority 0"), "we did not resign");
        }
        pair.one.start_again()?;
        pair.settled(true)
    })
}

/// Who comes back does not take what the other has.
fn stays(ours: Ours) -> Result<()> {
    let talk = Talk {
        preempt: false,
        ..V4
    };
    on_pair(ours, talk, None, |pair| {
        pair.one.die(pair.lab, LB1)?;
        pair.serves(false)?;
        pair.one.return_from_death(pair.lab, LB1)?;
        pair.one.wait_active(false)?;
        pair.settled(false)?;
        pair.two.die(pair.lab, LB2)?;
        pair.serves(true)?;
        pair.two.return_from_death(pair.lab, LB2)?;
        pair.settled(true)
    })
}

/// Both serve while they do not see each other; when they meet, the preferred one.
fn meet(ours: Ours) -> Result<()> {
    on_pair(ours, V4, Some(MET), |pair| {
        pair.lab.part(LB1, LB2)?;
        pair.two.wait_active(true)?;
        pair.one.wait_active(true)?;
        pair.asking
            .wait_until("two answers", SOON, |now| now.macs == [MAC1, MAC2])?;
        pair.lab.unite(LB1, LB2)?;
        pair.settled(true)
    })
}

macro_rules! tests {
    ($($name:ident: $what:expr;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            require!(root, tools, xdp, daemon, keepalived);
            $what
        }
    )*};
}

tests! {
    two_keepalived_take_turns: take_turns(Ours::Neither, V4);
    two_keepalived_in_ipv6_by_unicast_take_turns:
        take_turns(Ours::Neither, Talk { unicast: true, ..V6 });
    two_keepalived_without_preemption_do_not_take: stays(Ours::Neither);
    ours_before_keepalived_take_turns: take_turns(Ours::First, V4);
    keepalived_before_ours_take_turns: take_turns(Ours::Second, V4);
    ours_before_keepalived_by_unicast_take_turns:
        take_turns(Ours::First, Talk { unicast: true, ..V4 });
    keepalived_before_ours_by_unicast_take_turns:
        take_turns(Ours::Second, Talk { unicast: true, ..V4 });
    ours_before_keepalived_in_ipv6_take_turns: take_turns(Ours::First, V6);
    keepalived_before_ours_in_ipv6_take_turns: take_turns(Ours::Second, V6);
    ours_before_keepalived_in_ipv6_by_unicast_take_turns:
        take_turns(Ours::First, Talk { unicast: true, ..V6 });
    keepalived_before_ours_in_ipv6_by_unicast_take_turns:
        take_turns(Ours::Second, Talk { unicast: true, ..V6 });
    ours_without_preemption_does_not_take_from_keepalived: stays(Ours::First);
    keepalived_without_preemption_does_not_take_from_ours: stays(Ours::Second);
    ours_and_keepalived_that_meet_again_leave_it_to_ours: meet(Ours::First);
    ours_and_keepalived_that_meet_again_leave_it_to_keepalived: meet(Ours::Second);
}
