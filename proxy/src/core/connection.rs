//! One client's connection, from its first request to its last.
//!
//! Not here: what a request becomes (`judge`), which server gets it (`forward`), and how bytes go there
//! and back (`relay`).

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Core,
    admit::Admitted,
    answer::Own,
    frames::serve::is_preface,
    judge::{Step, judge},
    preamble::{Arrival, Private},
    stream::{Stream, write},
    watch::{Watch, ticks},
    work::{Facts, Work},
};
use crate::{
    clock,
    forward::Peer,
    h1::{
        Refusal,
        scan::{Bounds, Scan, empty_lines},
    },
};

/// How long a client may go on sending what nobody reads, so that it gets the answer before a reset.
const LINGER: Duration = Duration::from_secs(2);

/// One client's connection.
pub(super) struct Client {
    pub(super) core: Rc<Core>,
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    /// The listener it came by, by its place in the site as it is now.
    pub(super) listener: Rc<Cell<usize>>,
    pub(super) watch: Rc<Watch>,
    /// A connection to a server that speaks for this client alone.
    pub(super) private: Option<Box<Private>>,
}

/// What came of waiting for a head.
enum Came {
    /// All of it, so many bytes.
    Head(Box<Work>, usize),
    /// Something that is none.
    Wrong(Box<Work>, Refusal),
    /// Half of it, and no more in time.
    Late(Box<Work>),
    /// Nothing more.
    End,
}

/// What happens after a request.
enum After {
    /// The next one, of which this is there already.
    Next(Option<Box<Work>>),
    /// The end of the connection.
    Close,
}

impl Client {
    /// The client at the other end of a stream.
    pub(super) fn new(
        core: &Rc<Core>,
        stream: Stream,
        arrival: &Arrival,
        listener: &Rc<Cell<usize>>,
    ) -> Self {
        let local = core.local();
        Self {
            core: Rc::clone(core),
            stream,
            peer: arrival.peer(&local.plan.additions.trusted),
            listener: Rc::clone(listener),
            watch: core.watch(),
            private: None,
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        if !self.greet().await {
            return;
        }
        if matches!(&self.stream, Stream::Tls(tls) if tls.is_http2()) {
            // On the heap: it is larger than what a connection of HTTP/1.1 is.
            return Box::pin(self.serve_frames(None)).await;
        }
        let mut after = After::Next(None);
        let mut is_first = self.speaks_http2();
        while let After::Next(carried) = after {
            let came = self.head(carried).await;
            let may_be_preface = std::mem::take(&mut is_first);
            after = match came {
                Came::Head(work, _) if may_be_preface && is_preface(&work) => {
                    return Box::pin(self.serve_frames(Some(work))).await;
                }
                Came::Head(work, end) => self.request(work, Ok(end)).await,
                Came::Wrong(work, refusal) => self.request(work, Err(refusal)).await,
                Came::Late(work) => self.late(work).await,
                Came::End => After::Close,
            };
        }
    }

    /// Whether its listener has HTTP/2.
    fn speaks_http2(&self) -> bool {
        let local = self.core.local();
        let listener = local.plan.site.listeners.get(self.listener.get());
        listener.is_some_and(|listener| listener.http2)
    }

    /// Serves the one request that there is; its head is at the front of the client's buffer.
    pub(super) async fn serve_one(mut self, work: Box<Work>, head: Result<usize, Refusal>) {
        if let After::Next(Some(work)) = self.request(work, head).await {
            self.core.store.borrow_mut().give(work);
        }
    }

    /// Waits for the head of the next request. Nothing is held while there is not a byte of it.
    async fn head(&mut self, carried: Option<Box<Work>>) -> Came {
        let mut work = carried;
        let timeouts = self.core.local().plan.site.settings.timeouts;
        let (idle, head) = (ticks(timeouts.idle), ticks(timeouts.head));
        let now = self.core.tick.get();
        self.watch.again();
        self.watch.set_idle(work.is_none());
        self.watch
            .until(now + if work.is_none() { idle } else { head });
        if self.core.is_draining() && work.is_none() {
            // The answer before said that the connection closes, or there was none yet.
            self.watch.until(now + ticks(LINGER));
        }
        let came = poll_fn(|cx| self.poll_head(cx, &mut work, head)).await;
        self.watch.set_idle(false);
        came
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        carried: &mut Option<Box<Work>>,
        patience: u32,
    ) -> Poll<Came> {
        let core = Rc::clone(&self.core);
        if self.watch.is_over() {
            self.watch.again();
            return Poll::Ready(match carried.take() {
                Some(work) if !work.client.is_empty() => Came::Late(work),
                Some(work) => {
                    core.store.borrow_mut().give(work);
                    Came::End
                }
                None => Came::End,
            });
        }
        let mut work = match carried.take() {
            Some(work) => work,
            None => core.store.borrow_mut().work(clock::now()),
        };
        loop {
            match self.look(&mut work) {
                Ok(Some(end)) => return Poll::Ready(Came::Head(work, end)),
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Came::Wrong(work, refusal)),
            }
            match self.stream.poll_read(cx, work.client.room()) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => {
                    core.store.borrow_mut().give(work);
                    return Poll::Ready(Came::End);
                }
                Poll::Ready(Ok(bytes)) => {
                    if work.client.is_empty() {
                        work.facts = Facts::new(clock::now());
                        self.watch.set_idle(false);
                        self.watch.until(core.tick.get() + patience);
                    }
                    work.client.end += bytes;
                }
            }
        }
        match work.client.is_empty() {
            true => core.store.borrow_mut().give(work),
            false => *carried = Some(work),
        }
        self.watch.park(cx);
        Poll::Pending
    }

    /// Where the head ends that is at the front of what came.
    fn look(&self, work: &mut Work) -> Result<Option<usize>, Refusal> {
        let client = &mut work.client;
        let skip = empty_lines(client.fresh());
        if skip > 0 {
            client.start += skip;
            client.scan = Scan::default();
        }
        if client.is_empty() {
            return Ok(None);
        }
        let local = self.core.local();
        let limits = &local.plan.site.settings.limits;
        let bounds = Bounds {
            bytes: limits.head,
            headers: limits.headers,
        };
        let bytes = &client.bytes[client.start..client.end];
        let end = client.scan.end(bytes, &bounds)?;
        if end.is_none() && client.start > 0 {
            let scan = client.scan;
            client.rewind();
            client.scan = scan;
        }
        Ok(end)
    }

    /// Serves one request.
    async fn request(&mut self, mut work: Box<Work>, head: Result<usize, Refusal>) -> After {
        let core = Rc::clone(&self.core);
        let local = core.local();
        let step = match head {
            Ok(end) => judge(&core, &local, &mut work, (&self.peer, &self.listener), end),
            Err(refusal) => {
                local.stats(core.index).refused[refusal as usize].add(1);
                Step::Answer(Own::refusal(refusal))
            }
        };
        let is_whole = !work.facts.has_body;
        let keep = match (self.admit(&local, &mut work).await, step) {
            (Admitted::Gone, _) => false,
            (Admitted::Refused(own), _) | (Admitted::On, Step::Answer(own)) => {
                self.answer(&mut work, own, is_whole).await
            }
            (Admitted::On, Step::Forward(upstream)) => {
                self.forward(&local, &mut work, upstream).await
            }
        };
        core.count(&local, &work, &self.peer);
        work.held.release();
        work.up.begin();
        work.down.begin();
        core.store.borrow_mut().take_buffer(&mut work.server);
        if keep && !work.client.is_empty() {
            work.client.rewind();
            work.facts = Facts::new(clock::now());
            return After::Next(Some(work));
        }
        core.store.borrow_mut().give(work);
        match keep {
            true => After::Next(None),
            false => After::Close,
        }
    }

    /// Answers half a head that was too slow.
    async fn late(&mut self, mut work: Box<Work>) -> After {
        let core = Rc::clone(&self.core);
        let own = Own {
            closes: true,
            ..Own::status(408)
        };
        self.answer(&mut work, own, false).await;
        core.count(&core.local(), &work, &self.peer);
        core.store.borrow_mut().give(work);
        After::Close
    }

    /// Gives an answer of the proxy's own; says whether the connection stays. Of a request that was not
    /// read to its end nobody knows where the next one begins.
    pub(super) async fn answer(&mut self, work: &mut Work, mut own: Own, is_whole: bool) -> bool {
        own.closes |= !is_whole;
        let date = self.core.date.get();
        let Work {
            down, facts, held, ..
        } = &mut *work;
        facts.status = own.status;
        let delivery = facts.delivery;
        facts.sent = own.write((delivery, facts.is_head), (&date, &held.lines), down);
        let keep = delivery.keep_alive && !own.closes;
        let timeouts = self.core.local().plan.site.settings.timeouts;
        self.watch.again();
        self.watch
            .until(self.core.tick.get() + ticks(timeouts.body));
        let was_written = poll_fn(|cx| self.poll_answer(cx, work)).await;
        if was_written && !keep {
            self.linger(work).await;
        }
        was_written && keep
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, work: &mut Work) -> Poll<bool> {
        while !work.down.is_flushed() {
            if self.watch.is_over() {
                return Poll::Ready(false);
            }
            match write(&mut self.stream, cx, &work.down, &[]) {
                Poll::Pending => {
                    self.watch.park(cx);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(bytes)) => work.down.wrote(bytes),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
            }
        }
        Poll::Ready(true)
    }

    /// Says that nothing more comes, and reads on for a while: a reset for bytes that nobody read would
    /// overtake the answer (RFC 9112 section 9.6).
    pub(super) async fn linger(&mut self, work: &mut Work) {
        if self.stream.is_heard_out() {
            return;
        }
        self.watch.again();
        self.watch.until(self.core.tick.get() + ticks(LINGER));
        let mut is_shut = false;
        poll_fn(|cx| {
            if self.watch.is_over() {
                return Poll::Ready(());
            }
            if !is_shut {
                is_shut = self.stream.poll_shutdown(cx).is_ready();
            }
            loop {
                match self.stream.poll_read(cx, &mut work.client.bytes) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(_)) => {}
                }
            }
            self.watch.park(cx);
            Poll::Pending
        })
        .await;
    }
}
