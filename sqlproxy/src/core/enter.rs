//! A client comes in: greeting, login, and the session that it becomes.
//!
//! Not here: the login itself ([`crate::wire::door`]).

use std::{rc::Rc, sync::Arc, time::Duration};

use super::{
    Core,
    link::Link,
    server::Key,
    session::{Client, Gone, Session, State},
    tls::Tls,
    watch::{Ticks, ticks},
};
use crate::{
    faces::Face,
    plan::{About, Login, Plan},
    refusal::Refusal,
    wire::{
        Capabilities,
        door::{Door, Secret, Step},
        handshake::{self, Greeting},
        packet::{HEADER, put_message},
        status::Status,
    },
};

/// How long a login may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a client from its greeting to its end.
pub(super) async fn serve(core: Rc<Core>, link: Link, host: String) {
    let face = core.shared.faces.add(core.index, &host);
    let id = face.id;
    if let Some(session) = enter(&core, link, &host, face).await {
        session.serve().await;
    }
    core.shared.faces.remove(id);
}

/// What is known of a user.
pub(super) fn secret(plan: &Plan, user: &[u8]) -> Secret {
    plan.users
        .get(user)
        .map(|login| login.secret())
        .unwrap_or_default()
}

async fn enter(core: &Rc<Core>, link: Link, host: &str, face: Arc<Face>) -> Option<Session> {
    let watch = core.watch(&face);
    watch.until(core.tick.get() + ticks(PATIENCE));
    let is_local = matches!(link, Link::Unix(_));
    let mut client = Client {
        link,
        input: super::buffer::Buffer::default(),
        watch: Rc::clone(&watch),
    };
    let plan = Arc::clone(&core.local().plan);
    let Some(about) = about(&plan) else {
        let text = "viaduct: no server has answered yet; try again";
        let refusal = Refusal::new(1040, b"08004", text);
        tell(&mut client, 0, &refusal).await;
        return None;
    };
    let nonce = core.nonce().ok()?;
    let offered = Capabilities::offered(about.capabilities, plan.tls.is_some() && !is_local);
    let greeting = Greeting {
        version: about.version.clone(),
        connection: face.id,
        nonce,
        capabilities: offered,
        collation: about.collation,
        status: Status(Status::AUTOCOMMIT),
        plugin: about.plugin.name().into(),
    };
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    greeting.put(&mut payload);
    put_message(&mut out, 0, &payload);
    client.write(&out).await.ok()?;
    let mut door = Door::new(offered, nonce, host, is_local, false);
    let (sequence, len) = client.packet(core, handshake::MAX).await.ok()?;
    let payload = client.input.fresh()[HEADER..HEADER + len].to_vec();
    client.input.take(HEADER + len);
    let step = door.heard(&payload, |user| secret(&plan, user));
    let Ok(step) = step else {
        let refusal = Refusal::new(1043, b"08S01", "Bad handshake");
        tell(&mut client, sequence.wrapping_add(1), &refusal).await;
        return None;
    };
    let Ok((sequence, login)) = play(core, &mut client, &mut door, step, sequence).await else {
        core.stats(|stats| stats.denied.add(1));
        return None;
    };
    watch.until(Ticks::MAX);
    begin(core, client, face, login, door, sequence).await
}

async fn begin(
    core: &Rc<Core>,
    client: Client,
    face: Arc<Face>,
    login: Arc<Login>,
    door: Door,
    sequence: u8,
) -> Option<Session> {
    let entrant = door.entrant().clone();
    let collation = u8::try_from(entrant.collation).unwrap_or_default();
    let default = login.user.schema.clone().map(String::into_bytes);
    let schema = entrant.database.clone().or(default);
    let mut session = Session {
        core: Rc::clone(core),
        client,
        face,
        capabilities: entrant.capabilities,
        key: Key {
            account: Arc::clone(&login.server),
            collation,
            pool: entrant.capabilities.and(Capabilities::OF_A_POOL),
        },
        login: Arc::clone(&login),
        door,
        state: State::new(schema.as_deref(), collation),
        out: Vec::new(),
    };
    session.begin(login, collation);
    session.welcome(sequence).await.ok()?;
    Some(session)
}

impl Session {
    /// It is this user's from now on.
    pub(super) fn begin(&mut self, login: Arc<Login>, collation: u8) {
        self.key.account = Arc::clone(&login.server);
        self.key.collation = collation;
        if let Ok(mut user) = self.face.user.lock() {
            user.clone_from(&login.user.name);
        }
        self.login = login;
    }
}

/// What servers say of themselves, as far as all agree.
fn about(plan: &Plan) -> Option<About> {
    let mut known = plan.servers.iter().filter_map(|life| life.about());
    let mut first = known.next()?.clone();
    for other in known {
        first.capabilities = first.capabilities.and(other.capabilities);
    }
    Some(first)
}

async fn tell(client: &mut Client, sequence: u8, refusal: &Refusal) {
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    refusal.put(&mut payload);
    put_message(&mut out, sequence, &payload);
    // It is closed whether it hears this or not.
    client.write(&out).await.ok();
}

/// TLS begins: what came behind the request for it is TLS already.
async fn secure(plan: &Plan, client: &mut Client) -> Result<(), Gone> {
    let config = plan.tls.clone().ok_or(Gone)?;
    let machine = rustls::ServerConnection::new(config).ok().ok_or(Gone)?;
    let first = client.input.fresh().to_vec();
    client.input.take(first.len());
    let shaken = client
        .link
        .secure(|stream| Tls::accept(stream, machine, &first));
    let shaken = tokio::time::timeout(PATIENCE, shaken).await;
    shaken.ok().and_then(Result::ok).ok_or(Gone)
}

/// What both ends say until the user is known; the sequence of the OK that is due, and the user.
pub(super) async fn play(
    core: &Core,
    client: &mut Client,
    door: &mut Door,
    first: Step,
    sequence: u8,
) -> Result<(u8, Arc<Login>), Gone> {
    let (mut step, mut sequence) = (first, sequence.wrapping_add(1));
    let plan = Arc::clone(&core.local().plan);
    loop {
        let mut out = Vec::new();
        match step {
            Step::Send(payload) => {
                put_message(&mut out, sequence, &payload);
                client.write(&out).await?;
            }
            Step::Refused(payload) => {
                put_message(&mut out, sequence, &payload);
                client.write(&out).await?;
                return Err(Gone);
            }
            Step::In { first, learnt } => {
                let login = plan.users.get(&door.entrant().user).ok_or(Gone)?;
                if let Some(hash) = learnt {
                    login.learn(hash);
                }
                if let Some(first) = first {
                    sequence = put_message(&mut out, sequence, &first);
                    client.write(&out).await?;
                }
                return Ok((sequence, Arc::clone(login)));
            }
            Step::Tls => {
                secure(&plan, client).await?;
                door.secured();
            }
            Step::Key | Step::Decrypt(_) => return Err(Gone),
        }
        let (came, len) = client.packet(core, handshake::MAX).await?;
        let payload = client.input.fresh()[HEADER..HEADER + len].to_vec();
        client.input.take(HEADER + len);
        sequence = came.wrapping_add(1);
        let heard = door.heard(&payload, |user| secret(&plan, user));
        step = heard.ok().ok_or(Gone)?;
    }
}
