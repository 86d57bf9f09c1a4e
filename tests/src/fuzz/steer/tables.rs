//! The site's tables after each sequence of changes: built once, since that costs more than a story.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use lb_user::tables::build::build;
use lb_user::tables::{Memo, ServiceKey, Tables, Wish};

use super::site;

/// The site as it is after some changes.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    history: Vec<u8>,
    pub(super) wish: Arc<Wish>,
    pub(super) tables: Tables,
    /// The ids of services.
    pub(super) ids: Arc<HashMap<ServiceKey, u32>>,
}

/// Sequences that are remembered at most.
const REMEMBERED: usize = 100;

thread_local! {
    static KNOWN: RefCell<HashMap<Vec<u8>, Stand>> = RefCell::default();
}

/// The site before any change.
pub(super) fn first() -> Stand {
    match of(Vec::new(), &Tables::default(), 0) {
        Ok(stand) => stand,
        Err(error) => panic!("the site has no tables: {error:#}"),
    }
}

/// The site after one more change.
pub(super) fn after(stand: &Stand, change: u8) -> Result<Stand> {
    let mut history = stand.history.clone();
    history.push(change);
    of(history, &stand.tables, change)
}

fn of(history: Vec<u8>, previous: &Tables, change: u8) -> Result<Stand> {
    KNOWN.with_borrow_mut(|known| {
        if let Some(stand) = known.get(&history) {
            return Ok(stand.clone());
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let wish = site::wish(change);
        let tables = build(&wish, previous, &mut Memo::default())?.tables;
        let index = tables.index().into_iter();
        let id = |(key, at)| Some((key, tables.services.get(&at)?.id));
        let stand = Stand {
            history: history.clone(),
            ids: Arc::new(index.filter_map(id).collect()),
            wish: Arc::new(wish),
            tables,
        };
        known.insert(history, stand.clone());
        Ok(stand)
    })
}
