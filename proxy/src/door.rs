//! How many connections a listener has, and each of its clients: counted over all threads.
//!
//! Not here: accepting (`core`), and requests (`policy`).

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crate::{
    config::{Listener, Site},
    limit::{ConnZone, Key, Part, Place, Size, zone::ZoneError},
};

/// The way into a listener.
#[derive(Clone, Debug)]
pub struct Door {
    open: Arc<AtomicU32>,
    /// Connections of each client, where they are bounded.
    clients: Option<Arc<ConnZone>>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// The listener has as many as it may.
    Listener,
    /// The client has.
    Client,
}

/// A connection that was let in, until it is dropped.
#[derive(Debug)]
pub struct Inside {
    open: Arc<AtomicU32>,
    _place: Option<Place>,
}

/// What a client is at a door: its address or, in IPv6, the /64 that a site or a home has to itself.
const CLIENT: Part = Part::Prefix { v4: 32, v6: 64 };

impl Door {
    /// The doors of a site; a listener at the same address goes on with what it has counted.
    ///
    /// # Errors
    /// There is no memory for the clients.
    pub fn all(site: &Site, before: Option<(&Site, &[Self])>) -> Result<Vec<Self>, ZoneError> {
        let one = |listener: &Listener| {
            let known = before.and_then(|(site, doors)| {
                let mut listeners = site.listeners.iter().zip(doors);
                listeners.find(|(known, _)| known.address == listener.address)
            });
            Self::of(site, listener, known.map(|(_, door)| door))
        };
        site.listeners.iter().map(one).collect()
    }

    fn of(site: &Site, listener: &Listener, before: Option<&Self>) -> Result<Self, ZoneError> {
        let open = before.map_or_else(Arc::default, |before| Arc::clone(&before.open));
        if listener.client_connections.is_none() {
            return Ok(Self {
                open,
                clients: None,
            });
        }
        // As many clients as connections: there is always room.
        let size = Size::for_clients(site.settings.limits.connections);
        let key = Key::new(vec![CLIENT]).unwrap_or_else(|_empty| Key::address());
        let known = before.and_then(|before| before.clients.as_ref());
        let clients = match known {
            Some(known) => known.reloaded(key, size)?,
            None => ConnZone::new(&listener.name, key, size)?,
        };
        Ok(Self {
            open,
            clients: Some(Arc::new(clients)),
        })
    }

    /// Lets a connection in; `client` is none where it counts for nobody in particular.
    ///
    /// # Errors
    /// When there are too many.
    pub fn enter(&self, listener: &Listener, client: Option<IpAddr>) -> Result<Inside, TurnedAway> {
        let before = self.open.fetch_add(1, Relaxed);
        let mut inside = Inside {
            open: Arc::clone(&self.open),
            _place: None,
        };
        if listener.connections.is_some_and(|most| before >= most) {
            return Err(TurnedAway::Listener);
        }
        let bounded = self.clients.as_ref().zip(listener.client_connections);
        if let (Some((clients, most)), Some(client)) = (bounded, client) {
            let place = clients.place(client, most);
            inside._place = Some(place.map_err(|_why| TurnedAway::Client)?);
        }
        Ok(inside)
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use daemon::source::SourceFile;

    use super::*;

    fn site(listener: &str) -> Site {
        let text = format!(
            "[proxy]\n[[proxy.listener]]\nname = \"web\"\naddress = \"0.0.0.0\"\nport = 80\n{listener}\n\
             [[proxy.route]]\nname = \"site\"\nstatus = 200\n"
        );
        let checked = Site::parse(SourceFile::new("site.toml", text));
        checked.unwrap_or_else(|report| panic!("{report}")).site
    }

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_client_and_a_listener_have_so_many_connections_and_no_more() {
        let site = site("connections = 5\nclient_connections = 2");
        let listener = &site.listeners[0];
        let [door] = &*Door::all(&site, None).unwrap() else {
            panic!("one door")
        };
        let enter = |address| door.enter(listener, client(address));
        let first = enter("192.0.2.1").unwrap();
        let _others = [
            enter("192.0.2.1").unwrap(),
            // IPv4 written as IPv6, and a /64.
            enter("::ffff:192.0.2.2").unwrap(),
            enter("2001:db8::1").unwrap(),
        ];
        assert_eq!(enter("192.0.2.1").unwrap_err(), TurnedAway::Client);
        assert_eq!(door.open(), 4);
        let _more = enter("2001:db8::2").unwrap();
        assert_eq!(enter("192.0.2.9").unwrap_err(), TurnedAway::Listener);
        assert_eq!(door.open(), 5);
        drop(first);
        assert_eq!(enter("2001:db8::3").unwrap_err(), TurnedAway::Client);
        let _again = enter("192.0.2.1").unwrap();
    }

    #[test]
    fn whom_it_does_not_know_it_does_not_count() {
        let site = site("client_connections = 1");
        let door = Door::all(&site, None).unwrap().remove(0);
        let all: Vec<_> = (0..3)
            .map(|_| door.enter(&site.listeners[0], None))
            .collect();
        assert!(all.iter().all(Result::is_ok));
    }

    #[test]
    fn a_reload_keeps_the_counts() {
        let (before, after) = (
            site("client_connections = 1"),
            site("client_connections = 2\nconnections = 3"),
        );
        let old = Door::all(&before, None).unwrap();
        let first = old[0]
            .enter(&before.listeners[0], client("192.0.2.1"))
            .unwrap();
        let new = Door::all(&after, Some((&before, &old))).unwrap();
        assert_eq!(new[0].open(), 1);
        let enter = || new[0].enter(&after.listeners[0], client("192.0.2.1"));
        let _second = enter().unwrap();
        assert_eq!(enter().unwrap_err(), TurnedAway::Client);
        drop(first);
        let _third = enter().unwrap();
    }
}
