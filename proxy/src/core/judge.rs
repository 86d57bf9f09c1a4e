//! From the head of a request to what becomes of it: read, routed, admitted, and written down for the
//! server. No waiting here.

use std::{cell::Cell, mem::MaybeUninit, time::Duration};

use super::{
    Core,
    answer::{Body, Own},
    plan::Local,
    work::{Facts, Part, Work},
};
use crate::{
    config::{Action, settings::HEADERS_MAX},
    forward::{Delivery, Outgoing, Peer},
    h1::{
        Refusal, Version,
        body::Framing,
        names::Name,
        request::Request,
        transfer::{Coding, Transfer},
    },
    policy::{Admission, Asked},
    route::Question,
};

/// What becomes of a request.
pub(super) enum Step {
    /// It is answered here.
    Answer(Own),
    /// It goes to a server of this upstream, after this time.
    Forward(usize, Duration),
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
        ..
    } = work;
    let start = client.start;
    client.start += end;
    client.base = client.start;
    let head = &client.bytes[start..start + end];
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let request = Request::parse(head, &mut slots, limits.target)?;
    target.clear();
    let path = match request.target.is_odd {
        true => request.target.normalise(target)?,
        false => {
            target.extend_from_slice(request.target.text);
            request.target.path
        }
    };
    note(facts, &request, &client.bytes);
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
    Ok(decide(core, local, &judged, listener.get(), (facts, up)))
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
    (facts, up): (&mut Facts, &mut Transfer),
) -> Step {
    let plan = &local.plan;
    let Judged { request, path, .. } = *judged;
    if plan.site.settings.health.as_deref().map(str::as_bytes) == Some(path) {
        return Step::Answer(Own::health(core.is_draining()));
    }
    let question = Question {
        listener,
        host: request.host.unwrap_or_default(),
        path,
        method: request.method,
        headers: request.headers,
    };
    let Some(route) = plan.router.find(&question, &plan.site.routes) else {
        return Step::Answer(Own::status(404));
    };
    facts.route = Some(route);
    let asked = Asked {
        route,
        client: facts.client,
        path,
        request,
    };
    let delay = match plan.policy.admit(&asked, facts.began) {
        Admission::Pass => Duration::ZERO,
        Admission::After(delay) => delay,
        Admission::Refuse {
            status,
            retry_after,
        } => return Step::Answer(Own::refused(status, retry_after)),
    };
    facts.is_admitted = true;
    match &plan.site.routes[route].action {
        Action::Forward(upstream) => {
            facts.id = core.next_id();
            write_down(judged, local, facts, up);
            Step::Forward(*upstream, delay)
        }
        Action::Redirect { status, to } => {
            let parts = (request.host.unwrap_or_default(), judged.target);
            Step::Answer(Own::redirect(*status, to, parts))
        }
        Action::Respond { status, body } => Step::Answer(Own {
            body: Body::Given(body.clone()),
            ..Own::status(*status)
        }),
    }
}

/// The request as its server gets it.
fn write_down(judged: &Judged<'_>, local: &Local, facts: &Facts, up: &mut Transfer) {
    let outgoing = Outgoing {
        request: judged.request,
        target: judged.target,
        peer: judged.peer,
        id: facts.id,
    };
    outgoing.write(&local.plan.additions, up.head());
    let framing = judged.request.framing;
    let coding = match framing {
        Framing::Chunked => Coding::Chunked,
        Framing::None | Framing::Length(_) | Framing::UntilClose => Coding::Plain,
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
    facts.expects = request.expects && request.version == Version::Http11;
    facts.method = part(Some(request.method));
    facts.text = part(Some(request.target.text));
    facts.host = part(request.host);
    facts.referer = part(request.value(Name::Referer));
    facts.agent = part(request.value(Name::UserAgent));
}
