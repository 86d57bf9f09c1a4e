//! One client's connection, from its first request to its last.
//!
//! Not here: what a request becomes (`judge`), which server gets it (`forward`), and how bytes go there
//! and back (`relay`).

use std::{
    cell::Cell,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{io::AsyncWrite as _, net::TcpStream};

use super::{
    Core,
    answer::Own,
    judge::{Step, judge},
    relay::{read, write},
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
    pub(super) stream: TcpStream,
    pub(super) peer: Peer,
    /// The listener it came by, by its place in the site as it is now.
    pub(super) listener: Rc<Cell<usize>>,
    pub(super) watch: Rc<Watch>,
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
        stream: TcpStream,
        address: SocketAddr,
        listener: &Rc<Cell<usize>>,
    ) -> Self {
        let local = core.local();
        Self {
            core: Rc::clone(core),
            stream,
            peer: Peer::new(address, &local.plan.additions.trusted),
            listener: Rc::clone(listener),
            watch: core.watch(),
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        let mut after = After::Next(None);
        while let After::Next(carried) = after {
            after = match self.head(carried).await {
                Came::Head(work, end) => self.request(work, Ok(end)).await,
                Came::Wrong(work, refusal) => self.request(work, Err(refusal)).await,
                Came::Late(work) => self.late(work).await,
                Came::End => After::Close,
            };
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
            match read(&mut self.stream, cx, work.client.room()) {
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
        let keep = match step {
            Step::Answer(own) => {
                let is_whole = !work.facts.has_body;
                self.answer(&mut work, own, is_whole).await
            }
            Step::Forward(upstream, delay) => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                self.forward(&local, &mut work, upstream).await
            }
        };
        if let Some(route) = work.facts.route.filter(|_| work.facts.is_admitted) {
            local.plan.policy.finished(route);
        }
        core.count(&local, &work, &self.peer);
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
        let Work { down, facts, .. } = &mut *work;
        facts.status = own.status;
        let delivery = facts.delivery;
        facts.sent = own.write((delivery, facts.is_head), &date, down);
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
        self.watch.again();
        self.watch.until(self.core.tick.get() + ticks(LINGER));
        let mut is_shut = false;
        poll_fn(|cx| {
            if self.watch.is_over() {
                return Poll::Ready(());
            }
            if !is_shut {
                is_shut = Pin::new(&mut self.stream).poll_shutdown(cx).is_ready();
            }
            loop {
                match read(&mut self.stream, cx, &mut work.client.bytes) {
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
