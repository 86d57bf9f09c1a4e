//! A request and the servers that may answer it: one is chosen, and another one where that is safe.
//!
//! A request is sent again only if the client has nothing of an answer, and if either no byte of it went
//! out, or it has no body and is idempotent (RFC 9110 section 9.2.2). A connection that had waited and
//! turns out to be closed counts as no failure of the server. Not here: the exchange itself (`relay`).

use std::future::poll_fn;

use super::{
    answer::Own,
    connection::Client,
    plan::Local,
    relay::{End, Relay, Terms},
    stream::Stream,
    waiting::{Busy, Without},
    work::Work,
};
use crate::{clock, h1::Refusal};

/// Connections that had waited and were closed, before a new one is opened.
const STALE_MAX: u8 = 3;

/// What became of one attempt.
enum Attempt<'l> {
    /// The exchange is over; whether the client's connection stays.
    Over(bool),
    /// The client is answered by the proxy.
    Answer(Own),
    /// The server failed; what the client is told if no other one is tried.
    Failed { status: u16, again: bool },
    /// The connection had been closed while it waited.
    Stale(Busy<'l>),
}

/// How an exchange broke off.
struct Ended {
    end: End,
    /// The client has part of an answer.
    has_answered: bool,
    /// The request may be sent again.
    again: bool,
}

impl Client {
    /// Has a server of this upstream answer the request; says whether the client's connection stays.
    pub(super) async fn forward(
        &mut self,
        local: &Local,
        work: &mut Work,
        upstream: usize,
    ) -> bool {
        if let Err(refusal) = first_bytes(local, work) {
            return self.answer(work, Own::refusal(refusal), false).await;
        }
        work.tried.clear();
        let mut budget = local.budgets[upstream].get();
        budget.request(local.plan.site.upstreams[upstream].retry_budget);
        local.budgets[upstream].set(budget);
        let mut status = 503;
        let mut stale = 0;
        let mut next = match self.server(local, work, upstream).await {
            Ok(busy) => Some(busy),
            Err(Without::Down | Without::Full) => None,
            Err(Without::Client) => {
                self.core
                    .route_stats(local, work, |route| route.broken.add(1));
                return false;
            }
        };
        while let Some(busy) = next.take() {
            let place = busy.place;
            let may_wait = stale < STALE_MAX;
            let attempt = self.attempt(local, work, (upstream, busy), may_wait).await;
            match attempt {
                Attempt::Over(keep) => return keep,
                Attempt::Answer(own) => {
                    let is_whole = work.up.has_all();
                    return self.answer(work, own, is_whole).await;
                }
                Attempt::Stale(busy) => {
                    stale += 1;
                    next = Some(busy);
                }
                Attempt::Failed {
                    status: told,
                    again,
                } => {
                    status = told;
                    work.tried.push(place);
                    next = self.another(local, work, (upstream, place), again);
                    if next.is_none() {
                        break;
                    }
                }
            }
            work.up.rewind();
            work.facts.retries += 1;
            let life = &local.plan.upstreams[upstream].0[place];
            life.stats.of(self.core.index).retries.add(1);
        }
        let is_whole = work.up.has_all();
        // Servers come back: their probes and ejections are a matter of seconds.
        let own = Own::refused(status, (status == 503).then_some(1));
        self.answer(work, own, is_whole).await
    }

    /// Another server after this one has failed, if the request may be tried again. It does not wait for
    /// one.
    fn another<'l>(
        &self,
        local: &'l Local,
        work: &Work,
        (upstream, place): (usize, usize),
        again: bool,
    ) -> Option<Busy<'l>> {
        let config = &local.plan.site.upstreams[upstream];
        if !again || work.tried.len() > usize::from(config.retries) {
            return None;
        }
        let busy = self.take(local, work, upstream)?;
        let mut budget = local.budgets[upstream].get();
        let may = budget.retry(local.plan.millis(clock::now()));
        local.budgets[upstream].set(budget);
        if !may {
            let life = &local.plan.upstreams[upstream].0[place];
            life.stats.of(self.core.index).withheld.add(1);
        }
        may.then_some(busy)
    }

    async fn attempt<'l>(
        &mut self,
        local: &'l Local,
        work: &mut Work,
        (upstream, busy): (usize, Busy<'l>),
        may_wait: bool,
    ) -> Attempt<'l> {
        let settings = &local.plan.site.settings;
        let (life, place) = (busy.life, busy.place);
        let stats = life.stats.of(self.core.index);
        work.facts.server = Some(life.address);
        stats.requests.add(1);
        let connection = self.connection(local, work, (upstream, place), may_wait);
        let (mut server, had_waited) = match connection.await {
            Ok(connection) => connection,
            Err(status) => {
                self.failed(local, (upstream, place));
                return Attempt::Failed {
                    status,
                    again: true,
                };
            }
        };
        let is_safe = work.facts.is_idempotent && !work.facts.has_body;
        let terms = Terms {
            core: &self.core,
            watch: &self.watch,
            timeouts: &settings.timeouts,
            limits: &settings.limits,
            additions: &local.plan.additions,
            lines: match local.plan.cookies[upstream].get(place) {
                // The client has it already.
                Some(_) if work.facts.wish.server == Some(life.seed) => &[],
                Some(lines) => lines,
                None => &[],
            },
        };
        self.watch.again();
        let mut relay = Relay::new(terms, (&mut self.stream, &mut server), work);
        let end = poll_fn(|cx| relay.poll(cx)).await;
        let (keep_client, keep_server) = relay.keeps();
        let has_answered = relay.has_answered();
        let is_unsent = relay.is_unsent();
        let again = !has_answered && (is_unsent || is_safe || server.was_refused());
        if end == End::Closed && again && had_waited {
            self.core.store.borrow_mut().take_buffer(&mut work.server);
            return Attempt::Stale(busy);
        }
        drop(busy);
        work.facts.sent = work.down.bytes();
        self.core.store.borrow_mut().take_buffer(&mut work.server);
        if end == End::Done {
            life.succeeded(local.plan.millis(work.facts.began));
            if keep_server {
                self.keep(local, work, (upstream, place), server);
            }
            if !keep_client && !work.up.has_all() {
                self.linger(work).await;
            }
            return Attempt::Over(keep_client);
        }
        let ended = Ended {
            end,
            has_answered,
            again,
        };
        self.broken(local, work, (upstream, place), &ended)
    }

    /// A connection to a server, and whether it had waited; the status to answer with where there is none.
    async fn connection(
        &mut self,
        local: &Local,
        work: &Work,
        (upstream, place): (usize, usize),
        may_wait: bool,
    ) -> Result<(Stream, bool), u16> {
        let config = &local.plan.site.upstreams[upstream];
        let pool = &local.pools[upstream][place];
        let client = work.facts.client;
        let waited = match config.proxy_protocol {
            _ if !may_wait => None,
            None if config.http2 => pool.shared.ask(),
            None => pool.take(),
            Some(_) => {
                let address = local.plan.upstreams[upstream].0[place].address;
                self.take_private(address, client)
            }
        };
        match waited {
            Some(server) => Ok((server, true)),
            None => Ok((self.connect(local, (upstream, place), client).await?, false)),
        }
    }

    /// A connection waits for the next request: of this client, if it speaks for it, else of anyone.
    fn keep(
        &mut self,
        local: &Local,
        work: &Work,
        (upstream, place): (usize, usize),
        server: Stream,
    ) {
        let config = &local.plan.site.upstreams[upstream];
        if config.http2 {
            // It is with the others that are shared.
        } else if config.proxy_protocol.is_some() {
            let address = local.plan.upstreams[upstream].0[place].address;
            self.keep_private(address, work.facts.client, server);
        } else {
            let most = local.plan.site.settings.limits.upstream_idle;
            local.pools[upstream][place].give(server, self.core.tick.get(), most);
        }
    }

    /// What an exchange that did not come to its end means.
    fn broken<'l>(
        &self,
        local: &'l Local,
        work: &Work,
        server: (usize, usize),
        ended: &Ended,
    ) -> Attempt<'l> {
        let Ended {
            end,
            has_answered,
            again,
        } = *ended;
        if matches!(end, End::Closed | End::Timeout | End::Malformed(_)) {
            self.failed(local, server);
        }
        if has_answered || end == End::Client {
            self.core
                .route_stats(local, work, |route| route.broken.add(1));
            return Attempt::Over(false);
        }
        match end {
            End::Done | End::Client => Attempt::Over(false),
            End::Refused(refusal) => Attempt::Answer(Own::refusal(refusal)),
            End::Silence => Attempt::Answer(Own::status(408)),
            End::Closed => Attempt::Failed { status: 502, again },
            End::Timeout => Attempt::Failed { status: 504, again },
            // Another one would not do better.
            End::Malformed(_) => Attempt::Failed {
                status: 502,
                again: false,
            },
        }
    }

    fn failed(&self, local: &Local, (upstream, place): (usize, usize)) {
        let config = &local.plan.site.upstreams[upstream];
        let life = &local.plan.upstreams[upstream].0[place];
        life.stats.of(self.core.index).failures.add(1);
        let now = local.plan.millis(clock::now());
        if life.failed(now, config.max_failures, config.eject) {
            let (upstream, server) = (&config.name, life.address);
            tracing::warn!(upstream, %server, "failed too often: it gets no requests for a while");
        }
    }
}

/// Takes what there is of a request's body already.
fn first_bytes(local: &Local, work: &mut Work) -> Result<(), Refusal> {
    let Work {
        client, up, facts, ..
    } = work;
    if !facts.has_body {
        return Ok(());
    }
    let window = (client.start, client.end);
    client.start += up.feed(&mut client.bytes, window)?;
    let most = local.plan.site.settings.limits.body;
    match most > 0 && up.bytes() > most {
        true => Err(Refusal::BodyTooLarge),
        false => Ok(()),
    }
}
