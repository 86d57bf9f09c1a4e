//! Virtual routers: what VRRP (RFC 9568) moves from one director to another, and each host's part in
//! it.
//!
//! In reading order: here the table `[[virtual_router]]`, with its `vips`, `settings`, `words`,
//! `announce` and `track`; `part` is a host's table; `between` has the rules of routers among each other and
//! with hosts, `owner` those of hosts' own addresses, `link_local` those of such VIPs, `groups` those of routers that go together, `around` those with the rest of the file.
//!
//! Not here: the protocol (vrrp), sockets and interfaces as they are when a daemon runs.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    path::PathBuf,
};

use daemon::{diagnostic::Diagnostic, site::Table};
use toml::Spanned;
use vrrp::{ChecksumForm, Family, Interval, Invalid, Params, Preempt, Priority, Vrid};

use super::{Site, file, findings::Findings, host::DirectorDraft, host::Host, service};

mod announce;
mod around;
mod between;
mod groups;
mod link_local;
mod owner;
mod part;
mod settings;
mod track;
mod vips;
mod words;

pub use announce::Announce;
pub use part::RouterHost;
pub(super) use part::{PartDraft, parts};
pub(crate) use settings::{STOP, handing_over};
pub use track::{TRACKS_MAX, Track, TrackTarget};
pub use words::{MacChoice, Transport};

/// Protocol machines of a site at most: a virtual router with VIPs of both families is two.
pub const ROUTERS_MAX: usize = lb_ebpf::abi::ROUTERS_MAX as usize;

/// A virtual router, as far as it is the same on all hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualRouter {
    /// Its name; unique, and fit to be a label: `[A-Za-z0-9._-]`, at most 63.
    pub name: String,
    /// Its number on the wire; the same in both families.
    pub vrid: Vrid,
    /// Its IPv4 VIPs: at most 255. One family at least has some.
    pub vips_v4: Vec<Ipv4Addr>,
    /// Its IPv6 VIPs: at most 90, and if there are any, the first is link-local: the file's first
    /// such one, else the one made from the virtual MAC (EUI-64), `fe80::200:5eff:fe00:2VV` with VV
    /// the VRID in hexadecimal.
    pub vips_v6: Vec<Ipv6Addr>,
    /// The time between two adverts.
    pub interval: Interval,
    /// Whether and when a host of higher priority takes over from one that is active.
    pub preempt: Preempt,
    /// Which Ethernet address the VIPs have.
    pub mac: MacChoice,
    /// How adverts get to the other hosts.
    pub transport: Transport,
    /// The checksum that is sent over IPv4; both are taken.
    pub checksum: ChecksumForm,
    /// The group whose routers are active on the same host.
    pub group: Option<String>,
    /// What is run when its state changes; an absolute path.
    pub notify: Option<PathBuf>,
    /// How a takeover is made known.
    pub announce: Announce,
    /// What its priority depends on, and that of its group ([`Site::tracks_of`]); at most
    /// [`TRACKS_MAX`].
    pub tracks: Vec<Track>,
}

impl VirtualRouter {
    /// The families that it has VIPs of; each is a protocol machine of its own.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        let has_v4 = !self.vips_v4.is_empty();
        let has_v6 = !self.vips_v6.is_empty();
        [(Family::V4, has_v4), (Family::V6, has_v6)]
            .into_iter()
            .filter_map(|(family, has_some)| has_some.then_some(family))
    }

    /// Its VIPs of a family, in the order that adverts list them.
    #[must_use]
    pub fn vips(&self, family: Family) -> Vec<IpAddr> {
        match family {
            Family::V4 => self.vips_v4.iter().copied().map(IpAddr::V4).collect(),
            Family::V6 => self.vips_v6.iter().copied().map(IpAddr::V6).collect(),
        }
    }

    /// What the protocol machine of a family needs, on a host with this priority and `primary` as its
    /// address; `peers` as [`Site::peers`] gives them.
    ///
    /// # Errors
    /// What only the primary address can bring about: one that is a VIP without being the owner's, an
    /// IPv6 one that is not link-local, and a family without VIPs.
    pub fn params(
        &self,
        priority: Priority,
        primary: IpAddr,
        peers: Vec<IpAddr>,
    ) -> Result<Params, Invalid> {
        let vips = self.vips(Family::of(primary));
        let params = Params::new(self.vrid, priority, primary, &vips)?;
        Ok(params
            .with_interval(self.interval)
            .with_preempt(self.preempt)
            .with_checksum(self.checksum)
            .with_peers(peers))
    }
}

impl Site {
    /// The hosts that take part in a virtual router, by name.
    pub fn router_hosts(&self, router: &str) -> impl Iterator<Item = (&str, &RouterHost)> {
        self.hosts.iter().filter_map(move |(name, host)| {
            let part = host.director.as_ref()?.routers.get(router)?;
            Some((name.as_str(), part))
        })
    }

    /// The virtual routers that a host takes part in, in the order of the file.
    pub fn routers_of(&self, host: &str) -> impl Iterator<Item = (&VirtualRouter, &RouterHost)> {
        let director = self.hosts.get(host).and_then(|host| host.director.as_ref());
        self.virtual_routers.iter().filter_map(move |router| {
            let part = director?.routers.get(&router.name)?;
            Some((router, part))
        })
    }

    /// What the priority in a virtual router depends on: its own tracks and those of the routers of its
    /// group, each once, for they move together.
    #[must_use]
    pub fn tracks_of<'a>(&'a self, router: &'a VirtualRouter) -> Vec<&'a Track> {
        let others = self.virtual_routers.iter().filter(|other| {
            let is_of_group = other.group.is_some() && other.group == router.group;
            is_of_group && other.name != router.name
        });
        let mut tracks = Vec::new();
        for track in std::iter::once(router)
            .chain(others)
            .flat_map(|of| &of.tracks)
        {
            if !tracks.contains(&track) {
                tracks.push(track);
            }
        }
        tracks
    }

    /// Where a host's unicast adverts for a virtual router go, and whom it hears: the addresses of all
    /// others that take part. None with [`Transport::Multicast`], where everyone on the link is heard.
    #[must_use]
    pub fn peers(&self, router: &VirtualRouter, host: &str, family: Family) -> Vec<IpAddr> {
        if router.transport == Transport::Multicast {
            return Vec::new();
        }
        self.router_hosts(&router.name)
            .filter(|(name, _)| *name != host)
            .filter_map(|(_, part)| part.primary(family))
            .collect()
    }
}

/// A virtual router as far as it could be read, with the places of what may clash with others.
pub(super) struct Draft {
    /// Its header.
    span: Range<usize>,
    name: Option<Spanned<String>>,
    vrid: Option<Spanned<Vrid>>,
    /// Those that are right, as they are written.
    vips: Vec<Spanned<IpAddr>>,
    transport: Transport,
    group: Option<Spanned<String>>,
    tracks: Vec<track::TrackDraft>,
    /// All of it; `None` only where there are errors among the findings.
    pub(super) router: Option<VirtualRouter>,
}

impl Draft {
    /// As messages call it.
    fn called(&self) -> &str {
        self.name
            .as_ref()
            .map_or("", |name| name.get_ref().as_str())
    }

    fn has(&self, family: Family) -> bool {
        let mut vips = self.vips.iter();
        vips.any(|vip| Family::of(*vip.get_ref()) == family)
    }
}

/// What of the file virtual routers have to do with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) hosts: &'a BTreeMap<String, Host>,
    /// The hosts' addresses with their places.
    pub(super) owners: &'a BTreeMap<IpAddr, Range<usize>>,
    pub(super) directors: &'a [DirectorDraft],
    pub(super) services: &'a [service::Draft],
}

/// The virtual routers of the file.
pub(super) fn from_file(
    tables: Vec<Table<file::VirtualRouter>>,
    findings: &mut Findings,
) -> Vec<Draft> {
    let drafts: Vec<Draft> = tables
        .into_iter()
        // One more than may be, to have the place where it is told.
        .take(ROUTERS_MAX + 1)
        .map(|table| draft(table, findings))
        .collect();
    let mut machines = 0;
    for draft in &drafts {
        let families = [Family::V4, Family::V6];
        let own = families.iter().filter(|family| draft.has(**family)).count();
        // One whose VIPs are all wrong is at least one.
        machines += own.max(1);
        if machines > ROUTERS_MAX {
            let message = format!("more than the {ROUTERS_MAX} virtual routers of this version");
            let help = "one with VIPs of both families counts twice";
            findings.push(Diagnostic::error(draft.span.clone(), message).help(help));
            break;
        }
    }
    drafts
}

/// Notes what routers may not say together, nor beside the rest of the file.
pub(super) fn check(drafts: &[Draft], around: &Around<'_>, findings: &mut Findings) {
    let seats = between::Seats::of(drafts, around.directors, findings);
    between::check(drafts, &seats, around, findings);
    groups::check(drafts, &seats, findings);
    around::check(drafts, around, findings);
    for draft in drafts {
        track::check(&draft.tracks, around.services, findings);
    }
}

fn draft(table: Table<file::VirtualRouter>, findings: &mut Findings) -> Draft {
    let Table {
        span,
        value: mut table,
    } = table;
    let name = findings.required(table.name.take(), &span, "name", "\"site\"");
    let name = name.and_then(|value| label(&value, "virtual router", findings));
    let vrid = findings.required(table.vrid.take(), &span, "vrid", "51");
    let vrid = vrid.and_then(|value| self::vrid(&value, findings));
    let vips = findings.required(table.vips.take(), &span, "vips", "[\"192.0.2.100\"]");
    let is_excused = findings.is_excused(&span, "vips");
    let vips = vips.map(|value| vips::from_file(value, is_excused, findings));
    let group = match &table.group {
        Some(value) => label(value, "group", findings).map(Some),
        None => Some(None),
    };
    let (tracks, tracked) = track::from_file(table.track.take(), findings);
    let settings = settings::from_file(table, findings);
    let router = whole(
        &name,
        vrid.as_ref(),
        vips.as_ref(),
        &group,
        &settings,
        tracked,
    );
    Draft {
        name,
        vrid,
        vips: vips.map(|vips| vips.right).unwrap_or_default(),
        transport: settings.transport.unwrap_or_default(),
        group: group.flatten(),
        tracks,
        router,
        span,
    }
}

fn label(value: &Spanned<String>, what: &str, findings: &mut Findings) -> Option<Spanned<String>> {
    let name = findings.name(value, what)?;
    Some(Spanned::new(value.span(), name))
}

fn vrid(value: &Spanned<i64>, findings: &mut Findings) -> Option<Spanned<Vrid>> {
    let number = findings.number(value, "VRID", (1, u8::MAX))?;
    Some(Spanned::new(number.span(), Vrid::new(number.into_inner())?))
}

/// The router, if nothing of it is missing.
fn whole(
    name: &Option<Spanned<String>>,
    vrid: Option<&Spanned<Vrid>>,
    vips: Option<&vips::Vips>,
    group: &Option<Option<Spanned<String>>>,
    settings: &settings::Settings,
    tracks: Option<Vec<Track>>,
) -> Option<VirtualRouter> {
    let vrid = *vrid?.get_ref();
    let (vips_v4, vips_v6) = vips?.whole(vrid)?;
    Some(VirtualRouter {
        name: name.as_ref()?.get_ref().clone(),
        vrid,
        vips_v4,
        vips_v6,
        interval: settings.interval?,
        preempt: settings.preempt?,
        mac: settings.mac?,
        transport: settings.transport?,
        checksum: settings.checksum?,
        group: group
            .as_ref()?
            .as_ref()
            .map(|group| group.get_ref().clone()),
        notify: settings.notify.clone()?,
        announce: settings.announce?,
        tracks: tracks?,
    })
}
