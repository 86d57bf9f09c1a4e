//! Taking a plan: instances that are new, changed or gone, and the sockets they need.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::epoll::{EpollEvent, EpollFlags};
use vrrp::{Family, Input};

use super::super::instance::{Instance, Part, Plan};
use super::super::seat::{Seat, Turn};
use super::super::sockets::Interface;
use super::{Driver, News};
use crate::time;

impl Driver {
    /// Plays `plan` from now on. Instances that it does not change are not touched.
    pub(super) fn take(&mut self, plan: Plan) {
        let now = time::now();
        self.refused = plan.refused;
        self.leave_others(now, &plan.instances);
        let (mut turns, mut failed) = (Vec::new(), Vec::new());
        for instance in plan.instances {
            if let Err(error) = self.open(&instance) {
                failed.push(Arc::clone(&instance.group));
                self.outlet.tell(News::Lacking {
                    what: "sockets",
                    why: format!("{}: {error}", instance.key),
                });
            }
            let (place, turn) = self.take_instance(now, instance);
            turns.push((place, turn));
        }
        self.number();
        for (place, turn) in turns {
            self.group_follows(now, place, turn);
        }
        for place in 0..self.seats.len() {
            let instance = &mut self.seats[place].instance;
            if failed.contains(&instance.group) {
                // None of a group without all of it; the engine tries again.
                instance.part = Part::Out;
            }
            let turn = self.with(place, |seat, hands| seat.follow_part(now, hands));
            self.group_follows(now, place, turn);
        }
        self.close_others();
    }

    /// Ends the instances that are not in the plan, or not as what they were.
    fn leave_others(&mut self, now: Instant, wanted: &[Instance]) {
        for place in (0..self.seats.len()).rev() {
            let seat = &self.seats[place].instance;
            let stays = wanted.iter().any(|instance| {
                let same = (instance.index, instance.params.vrid());
                instance.key == seat.key && same == (seat.index, seat.params.vrid())
            });
            if !stays {
                self.with(place, |seat, hands| seat.give(now, Input::Shutdown, hands));
                self.seats.remove(place);
            }
        }
    }

    fn take_instance(&mut self, now: Instant, instance: Instance) -> (usize, Turn) {
        let mut seats = self.seats.iter();
        match seats.position(|seat| seat.instance.key == instance.key) {
            Some(place) if self.seats[place].instance == instance => (place, Turn::None),
            Some(place) => {
                let turn = self.with(place, |seat, hands| seat.take(now, instance, hands));
                (place, turn)
            }
            None => {
                self.seats.push(Seat::new(instance));
                (self.seats.len() - 1, Turn::None)
            }
        }
    }

    /// Opens the sockets that an instance needs.
    fn open(&mut self, instance: &Instance) -> io::Result<()> {
        let ifindex = instance.key.ifindex;
        let known = self.interfaces.iter().position(|at| at.ifindex == ifindex);
        let place = match known {
            Some(place) => place,
            None => {
                self.interfaces.push(Interface::open(ifindex)?);
                self.interfaces.len() - 1
            }
        };
        let family = instance.key.family;
        let interface = &mut self.interfaces[place];
        if interface.of(family).is_none() {
            let sockets = interface.sockets(family)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, socket_at(ifindex, family));
            self.epoll.add(&sockets.receiver, event)?;
            interface.keep(family, sockets);
        }
        if instance.is_virtual_mac {
            interface.take_frames_to(instance.mac)?;
        }
        Ok(())
    }

    /// Closes the sockets of interfaces that nobody uses any more.
    fn close_others(&mut self) {
        let seats = &self.seats;
        let is_used = |at: &Interface| {
            let mut seats = seats.iter();
            seats.any(|seat| seat.instance.key.ifindex == at.ifindex)
        };
        self.interfaces.retain(is_used);
    }

    /// Notes where each instance is.
    fn number(&mut self) {
        let places = self.seats.iter().enumerate().map(|(place, seat)| {
            let instance = &seat.instance;
            let vrid = instance.params.vrid().get();
            ((instance.key.ifindex, vrid, instance.key.family), place)
        });
        self.places = places.collect();
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, seat) in self.seats.iter().enumerate() {
            groups.entry(&seat.instance.group).or_default().push(place);
        }
        let mut of_each = vec![Arc::default(); self.seats.len()];
        for places in groups.into_values() {
            let places: Arc<[usize]> = places.into();
            for place in places.iter() {
                of_each[*place] = Arc::clone(&places);
            }
        }
        self.groups = of_each;
    }
}

/// What epoll calls a socket: its interface and its family.
fn socket_at(ifindex: u32, family: Family) -> u64 {
    let family = match family {
        Family::V4 => 0,
        Family::V6 => 1,
    };
    u64::from(ifindex) << 1 | family
}

/// The interface, and the family, of a socket.
pub(super) fn socket_of(socket: u64) -> (u32, Family) {
    let family = match socket & 1 {
        0 => Family::V4,
        _ => Family::V6,
    };
    (u32::try_from(socket >> 1).unwrap_or(0), family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_s_name_tells_interface_and_family() {
        for at in [(2, Family::V4), (7, Family::V6), (u32::MAX, Family::V6)] {
            assert_eq!(socket_of(socket_at(at.0, at.1)), at);
        }
    }
}
