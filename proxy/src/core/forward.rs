//! A request and the servers that may answer it: one is chosen, and another one where that is safe.
//!
//! A request is sent again only if the client has nothing of an answer, and if either no byte of it went
//! out, or it has no body and is idempotent (RFC 9110 section 9.2.2). A connection that had waited and
//! turns out to be closed counts as no failure of the server. Not here: the exchange itself (`relay`).

use std::{future::Future as _, future::poll_fn, net::SocketAddr, task::Poll};

use tokio::net::TcpStream;

use super::{
    answer::Own,
    connection::Client,
    plan::Local,
    relay::{End, Relay, Terms},
    watch::ticks,
    work::Work,
};
use crate::{clock, h1::Refusal, server::ServerLife};

/// Connections that had waited and were closed, before a new one is opened.
const STALE_MAX: u8 = 3;

/// What became of one attempt.
enum Attempt {
    /// The exchange is over; whether the client's connection stays.
    Over(bool),
    /// The client is answered by the proxy.
    Answer(Own),
    /// The server failed; what the client is told if no other one is tried.
    Failed { status: u16, again: bool },
    /// The connection had been closed while it waited.
    Stale,
}

/// How an exchange broke off.
struct Ended {
    end: End,
    /// The client has part of an answer.
    has_answered: bool,
    /// The request may be sent again.
    again: bool,
    /// The connection had waited.
    had_waited: bool,
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
        let retries = usize::from(local.plan.site.upstreams[upstream].retries);
        let mut status = 503;
        let mut stale = 0;
        while let Some(place) = self.choose(local, work, upstream) {
            let may_wait = stale < STALE_MAX;
            let attempt = self.attempt(local, work, (upstream, place), may_wait).await;
            match attempt {
                Attempt::Over(keep) => return keep,
                Attempt::Answer(own) => {
                    let is_whole = work.up.has_all();
                    return self.answer(work, own, is_whole).await;
                }
                Attempt::Stale => stale += 1,
                Attempt::Failed {
                    status: told,
                    again,
                } => {
                    status = told;
                    work.tried.push(place);
                    if !again || work.tried.len() > retries {
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

    fn choose(&self, local: &Local, work: &Work, upstream: usize) -> Option<usize> {
        let config = &local.plan.site.upstreams[upstream];
        let servers = &local.plan.upstreams[upstream];
        let now = local.plan.millis(work.facts.began);
        let mut memory = local.memories[upstream].borrow_mut();
        memory.choose(
            config.balance,
            work.facts.client,
            servers.0.len(),
            servers.candidates(config, &work.tried, now),
        )
    }

    async fn attempt(
        &mut self,
        local: &Local,
        work: &mut Work,
        (upstream, place): (usize, usize),
        may_wait: bool,
    ) -> Attempt {
        let settings = &local.plan.site.settings;
        let life = &local.plan.upstreams[upstream].0[place];
        let pool = &local.pools[upstream][place];
        let stats = life.stats.of(self.core.index);
        let busy = Busy::new(life);
        work.facts.server = Some(life.address);
        stats.requests.add(1);
        let waited = if may_wait { pool.take() } else { None };
        let had_waited = waited.is_some();
        let mut server = match waited {
            Some(server) => server,
            None => match self.connect(life.address, local).await {
                Ok(server) => server,
                Err(status) => {
                    self.failed(local, (upstream, place));
                    return Attempt::Failed {
                        status,
                        again: true,
                    };
                }
            },
        };
        if !had_waited {
            stats.connects.add(1);
        }
        let is_safe = work.facts.is_idempotent && !work.facts.has_body;
        let terms = Terms {
            core: &self.core,
            watch: &self.watch,
            timeouts: &settings.timeouts,
            limits: &settings.limits,
            additions: &local.plan.additions,
        };
        self.watch.again();
        let mut relay = Relay::new(terms, (&mut self.stream, &mut server), work);
        let end = poll_fn(|cx| relay.poll(cx)).await;
        let (keep_client, keep_server) = relay.keeps();
        let has_answered = relay.has_answered();
        let again = !has_answered && (relay.is_unsent() || is_safe);
        drop(busy);
        work.facts.sent = work.down.bytes();
        self.core.store.borrow_mut().take_buffer(&mut work.server);
        if end == End::Done {
            life.succeeded(local.plan.millis(work.facts.began));
            if keep_server {
                let most = settings.limits.upstream_idle;
                pool.give(server, self.core.tick.get(), most);
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
            had_waited,
        };
        self.broken(local, work, (upstream, place), &ended)
    }

    /// What an exchange that did not come to its end means.
    fn broken(&self, local: &Local, work: &Work, server: (usize, usize), ended: &Ended) -> Attempt {
        let Ended {
            end,
            has_answered,
            again,
            had_waited,
        } = *ended;
        if end == End::Closed && again && had_waited {
            return Attempt::Stale;
        }
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

    /// A new connection to a server; the status to answer with where there is none.
    async fn connect(&self, address: SocketAddr, local: &Local) -> Result<TcpStream, u16> {
        let time = local.plan.site.settings.timeouts.connect;
        self.watch.again();
        self.watch.until(self.core.tick.get() + ticks(time));
        let mut connecting = Box::pin(TcpStream::connect(address));
        let connected = poll_fn(|cx| {
            if self.watch.is_over() {
                return Poll::Ready(Err(504_u16));
            }
            match connecting.as_mut().poll(cx) {
                Poll::Ready(connected) => Poll::Ready(connected.map_err(|_refused| 502)),
                Poll::Pending => {
                    self.watch.park(cx);
                    Poll::Pending
                }
            }
        });
        let stream = connected.await?;
        // Nagle would hold back the end of a body until the server has acknowledged what is before.
        stream.set_nodelay(true).map_err(|_gone| 502_u16)?;
        Ok(stream)
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

/// A server with one more request under way, as long as this is there.
struct Busy<'a>(&'a ServerLife);

impl<'a> Busy<'a> {
    fn new(life: &'a ServerLife) -> Self {
        life.begin();
        Self(life)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
