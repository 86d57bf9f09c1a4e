//! From the head of a request to what becomes of it: read, routed, admitted, and written down for the
//! server. No waiting here.

use std::{cell::Cell, mem::MaybeUninit};

use super::{
    Core,
    admit::Held,
    answer::Own,
    plan::Local,
    work::{Facts, Part, Work},
};
use crate::{
    config::{Action, Upstream, settings::HEADERS_MAX},
    forward::{Delivery, Outgoing, Peer},
    h1::{
        Refusal, Version,
        body::Framing,
        names::Name,
        request::Request,
        transfer::{Coding, Transfer},
    },
    pick::Wish,
    policy::Asked,
    route::{self, Found, Question},
    template::Parts,
};

/// What becomes of a request.
pub(super) enum Step {
    /// It is answered here.
    Answer(Own),
    /// It goes to a server of this upstream.
    Forward(usize),
}

/// Judges the request whose head is at the front of the client's buffer, `end` bytes long.
pub(super) fn judge(
    core: &Core,
    local: &Local,
    work: &mut Work,
    (peer, listener): (&Peer, &Cell<usize>),
    end: usize,
) -> Step {
    match read(core, local, work, (peer, listener), end) {
        Ok(step) => step,
        Err(refusal) => {
            local.stats(core.index).refused[refusal as usize].add(1);
            Step::Answer(Own::refusal(refusal))
        }
    }
}

fn read(
    core: &Core,
    local: &Local,
    work: &mut Work,
    (peer, listener): (&Peer, &Cell<usize>),
    end: usize,
) -> Result<Step, Refusal> {
    let plan = &local.plan;
    let limits = &plan.site.settings.limits;
    let Work {
        client,
        up,
        target,
        facts,
        held,
        ..
    } = work;
    let start = client.start;
    client.start += end;
    client.base = client.start;
    let head = &client.bytes[start..start + end];
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::parse(head, &mut slots, limits.target)?;
    if peer.is_http2 {
        request.version = Version::Http2;
    }
    target.clear();
    let path = match request.target.is_odd {
        true => request.target.normalise(target)?,
        false => {
            target.extend_from_slice(request.target.text);
            request.target.path
        }
    };
    note(facts, &request, &client.bytes);
    if peer.is_trusted {
        let named = request.value(Name::RequestId);
        facts.named = named.map_or_else(Part::default, |id| Part::of(id, &client.bytes));
    }
    facts.delivery.keep_alive &= !core.is_draining();
    facts.client = peer.client(&request, &plan.additions.trusted);
    if matches!(request.framing, Framing::Length(n) if limits.body > 0 && n > limits.body) {
        return Err(Refusal::BodyTooLarge);
    }
    let judged = Judged {
        request: &request,
        target,
        path: &target[..path],
        peer,
    };
    Ok(decide(
        core,
        local,
        &judged,
        listener.get(),
        (facts, up, held),
    ))
}

/// A request that was understood.
struct Judged<'a> {
    request: &'a Request<'a, 'a>,
    /// The target, normalised.
    target: &'a [u8],
    /// The path of it.
    path: &'a [u8],
    peer: &'a Peer,
}

fn decide(
    core: &Core,
    local: &Local,
    judged: &Judged<'_>,
    listener: usize,
    (facts, up, held): (&mut Facts, &mut Transfer, &mut Held),
) -> Step {
    let plan = &local.plan;
    let Judged { request, path, .. } = *judged;
    if plan.site.settings.health.as_deref().map(str::as_bytes) == Some(path) {
        return Step::Answer(Own::health(core.shared.is_leaving()));
    }
    let question = Question {
        listener,
        host: request.host.unwrap_or_default(),
        path,
        query: judged.target.get(path.len() + 1..).unwrap_or_default(),
        method: request.method,
        client: facts.client,
        headers: request.headers,
    };
    let Some(found) = plan.router.find(&question, &plan.site.routes) else {
        return Step::Answer(Own::status(404));
    };
    let route = found.route;
    facts.route = Some(route);
    let asked = Asked {
        client: facts.client,
        path,
        request,
    };
    if let Some(refused) = held.ask(core, local, route, &asked) {
        return Step::Answer(refused);
    }
    act((core, local), judged, found, (facts, up))
}

/// What becomes of a request that was admitted.
fn act(
    (core, local): (&Core, &Local),
    judged: &Judged<'_>,
    found: Found,
    (facts, up): (&mut Facts, &mut Transfer),
) -> Step {
    let plan = &local.plan;
    let Judged { request, path, .. } = *judged;
    let config = &plan.site.routes[found.route];
    let parts = || {
        let rule = found.path.map(|path| &config.paths[path]);
        Parts {
            host: request.host.unwrap_or_default(),
            target: judged.target,
            path: path.len(),
            groups: route::groups(rule, path),
        }
    };
    match &config.action {
        Action::Forward(upstream) => {
            let upstream_config = &plan.site.upstreams[*upstream];
            if let Some(maintenance) = &upstream_config.maintenance {
                let mut allow = maintenance.allow.iter();
                if !allow.any(|network| network.contains(facts.client)) {
                    return Step::Answer(Own::maintenance(maintenance));
                }
            }
            let longest = plan.site.settings.limits.target;
            let rewritten = config.rewrite.as_ref();
            let rewritten =
                rewritten.map(|template| template.target(request.method, &parts(), longest));
            let target = match &rewritten {
                None => judged.target,
                Some(Ok(target)) => target,
                Some(Err(refusal)) => {
                    local.stats(core.index).refused[*refusal as usize].add(1);
                    return Step::Answer(Own::refusal(*refusal));
                }
            };
            facts.id = core.next_id();
            facts.wish = Wish::of(upstream_config, facts.client, request, path);
            write_down((judged, target), local, (facts, upstream_config), up);
            Step::Forward(*upstream)
        }
        Action::Redirect { status, to } => Step::Answer(Own::redirect(*status, to, &parts())),
        Action::Respond {
            status,
            body,
            retry_after,
        } => Step::Answer(Own::given(*status, body, *retry_after)),
    }
}

/// The request as its server gets it. A body out of frames comes as it is, until there is no more.
fn write_down(
    (judged, target): (&Judged<'_>, &[u8]),
    local: &Local,
    (facts, upstream): (&Facts, &Upstream),
    up: &mut Transfer,
) {
    let persistence = upstream.persistence.as_ref();
    let outgoing = Outgoing {
        request: judged.request,
        target,
        peer: judged.peer,
        id: facts.id,
        own_cookie: persistence.map(|persistence| &*persistence.cookie),
        tells_te: upstream.http2,
    };
    outgoing.write(&local.plan.additions, up.head());
    let framing = judged.request.framing;
    let coding = match framing {
        _ if upstream.http2 => Coding::Frames,
        Framing::Chunked => Coding::Chunked,
        Framing::None | Framing::Length(_) | Framing::UntilClose => Coding::Plain,
    };
    let framing = match framing {
        Framing::Length(_) | Framing::Chunked if judged.peer.is_http2 => Framing::UntilClose,
        Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => framing,
    };
    up.body(framing, coding);
}

fn note(facts: &mut Facts, request: &Request<'_, '_>, whole: &[u8]) {
    let part = |part: Option<&[u8]>| part.map_or_else(Part::default, |part| Part::of(part, whole));
    facts.delivery = Delivery {
        version: request.version,
        keep_alive: request.keeps_alive(),
    };
    facts.is_head = request.method == b"HEAD";
    facts.is_idempotent = request.is_idempotent();
    facts.has_body = request.framing != Framing::None;
    facts.upgrade = request.upgrade;
    facts.expects = request.expects && request.version >= Version::Http11;
    facts.method = part(Some(request.method));
    facts.text = part(Some(request.target.text));
    facts.host = part(request.host);
    facts.referer = part(request.value(Name::Referer));
    facts.agent = part(request.value(Name::UserAgent));
}
