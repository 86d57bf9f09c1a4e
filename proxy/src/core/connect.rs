//! A new connection to a server: TCP, TLS where its upstream speaks that, and HTTP/2 over either.
//!
//! Not here: connections that wait (`pool`, `frames::shared`).

use std::{
    future::{Future as _, poll_fn},
    io::{self, ErrorKind},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use rustls::{ClientConfig, client::UnbufferedClientConnection, pki_types::ServerName};
use tokio::net::TcpStream;

use super::{
    Core,
    connection::Client,
    plan::Local,
    stream::Stream,
    tls::{Session, Tls},
    watch::ticks,
};

impl Client {
    /// A new connection to a server, by its places; the status to answer with where there is none.
    pub(super) async fn connect(
        &self,
        local: &Local,
        server: (usize, usize),
        client: IpAddr,
    ) -> Result<Stream, u16> {
        let time = local.plan.site.settings.timeouts.connect;
        self.watch.again();
        self.watch.until(self.core.tick.get() + ticks(time));
        let mut opening = Box::pin(self.open(local, server, client));
        let opened = poll_fn(|cx| {
            if self.watch.is_over() {
                return Poll::Ready(Err(504_u16));
            }
            match opening.as_mut().poll(cx) {
                Poll::Ready(opened) => Poll::Ready(opened.map_err(|error| {
                    self.say(local, server, &error);
                    502
                })),
                Poll::Pending => {
                    self.watch.park(cx);
                    Poll::Pending
                }
            }
        });
        opened.await
    }

    /// Says why there is no TLS or no HTTP/2: whoever runs the proxy has to mend that. Not more often than
    /// once a second.
    fn say(&self, local: &Local, (upstream, place): (usize, usize), error: &io::Error) {
        let is_worth_it = matches!(
            error.kind(),
            ErrorKind::InvalidData | ErrorKind::Unsupported
        );
        let now = self.core.tick.get();
        if is_worth_it && now.wrapping_sub(self.core.said.get()) >= ticks(Duration::from_secs(1)) {
            self.core.said.set(now);
            let server = local.plan.upstreams[upstream].0[place].address;
            let upstream = &local.plan.site.upstreams[upstream].name;
            tracing::warn!(upstream, %server, "no connection: {error}");
        }
    }

    async fn open(
        &self,
        local: &Local,
        (upstream, place): (usize, usize),
        client: IpAddr,
    ) -> io::Result<Stream> {
        let core = &self.core;
        let plan = &local.plan;
        let config = &plan.site.upstreams[upstream];
        let shared = &local.pools[upstream][place].shared;
        let turn = match config.http2 {
            true => Some(shared.turn().await),
            false => None,
        };
        // Whoever had the turn before may have opened one for us.
        if turn.is_some()
            && let Some(stream) = shared.ask()
        {
            return Ok(stream);
        }
        let life = &plan.upstreams[upstream].0[place];
        let address = life.address;
        let tcp = TcpStream::connect(address).await?;
        life.stats.of(core.index).connects.add(1);
        // Nagle would hold back the end of a body until the server has acknowledged what is before.
        tcp.set_nodelay(true)?;
        // Before TLS, as everything of a PROXY header is.
        if config
            .proxy_protocol
            .is_some_and(|version| !self.announce(version, client, &tcp))
        {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let stream = match &plan.secrets.upstreams[upstream] {
            None => Stream::Plain(tcp),
            Some(secrets) => {
                let name = config.tls.as_ref().and_then(|tls| tls.server_name.clone());
                let name = name.unwrap_or_else(|| ServerName::IpAddress(address.ip().into()));
                Stream::Tls(Box::new(
                    agree(core, tcp, secrets, (name, config.http2)).await?,
                ))
            }
        };
        if !config.http2 {
            return Ok(stream);
        }
        let header_list = u32::try_from(plan.site.settings.limits.head).unwrap_or(u32::MAX);
        shared.add(stream, header_list, core.tick.get()).await?;
        let gone = || io::Error::from(ErrorKind::ConnectionReset);
        shared.ask().ok_or_else(gone)
    }
}

/// TLS over a new connection.
async fn agree(
    core: &Core,
    tcp: TcpStream,
    secrets: &Arc<ClientConfig>,
    (name, http2): (ServerName<'static>, bool),
) -> io::Result<Tls> {
    let session = UnbufferedClientConnection::new(Arc::clone(secrets), name);
    let session = Session::Client(session.map_err(io::Error::other)?);
    let mut tls = Tls::new(tcp, session, Rc::clone(&core.spare));
    poll_fn(|cx| tls.poll_handshake(cx)).await?;
    match http2 && !tls.is_http2() {
        true => Err(io::Error::new(
            ErrorKind::Unsupported,
            "the server speaks no HTTP/2 over TLS",
        )),
        false => Ok(tls),
    }
}
