//! A question to a server, now and then, on a connection of its own.
//!
//! Not here: what is asked, and what is made of the answer.

use std::{sync::Arc, time::Duration};

use super::{
    server::{Connection, Key, Reply, Seat},
    watch::Watch,
};
use crate::{
    plan::{Credentials, ServerLife},
    session::prepared::ConnectionId,
    trust::Way,
    wire::Capabilities,
};

/// Who asks a server.
#[derive(Debug)]
pub struct Asker {
    life: Arc<ServerLife>,
    account: Arc<Credentials>,
    way: Way,
    connection: Option<Box<Connection>>,
}

impl Asker {
    /// Of this server, as this account.
    #[must_use]
    pub fn new(life: Arc<ServerLife>, account: Arc<Credentials>, way: Way) -> Self {
        Self {
            life,
            account,
            way,
            connection: None,
        }
    }

    /// The first value of the answer.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn ask(&mut self, sql: &str, patience: Duration) -> Result<Option<Vec<u8>>, String> {
        let asked = tokio::time::timeout(patience, self.try_ask(sql, patience)).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".to_owned()),
        };
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn try_ask(&mut self, sql: &str, patience: Duration) -> Result<Option<Vec<u8>>, String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open(patience).await?,
        };
        let watch = Watch::new(None);
        let said = connection.ask(sql, &watch).await;
        match said.map_err(|trouble| trouble.to_string())? {
            Reply::Err(refusal) => Err(String::from_utf8_lossy(&refusal.message).into_owned()),
            Reply::Ok => Err("no value".to_owned()),
            Reply::Value(value) => {
                self.connection = Some(connection);
                Ok(value)
            }
        }
    }

    async fn open(&self, patience: Duration) -> Result<Box<Connection>, String> {
        // It is beside what statements may have.
        let seat = Seat::beside(&self.life);
        let key = Key {
            account: Arc::clone(&self.account),
            collation: 45,
            pool: Capabilities::NONE,
        };
        let opened =
            Connection::open(ConnectionId(u64::MAX), seat, key, &self.way, 0, patience).await;
        opened.map_err(|trouble| trouble.to_string())
    }
}
