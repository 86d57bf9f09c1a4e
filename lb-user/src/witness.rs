//! A director as a witness in the election of the SQL servers' writer: on a thread of its own, beside the
//! engine, of which it needs nothing.
//!
//! A director that cannot be a witness forwards all the same, and says why it is none. What `[election]`
//! says is taken at the start, not by a reload: a voter that begins anew is mute for a lease.
//!
//! Not here: the voter, its channel and its probes ([`election::channel`]).

use election::channel::{Election, Role, witness::Witness};

/// Begins, if this host is a witness.
pub(crate) fn start(election: Option<&Election>, host: &str) {
    let voter =
        election.and_then(|election| Some((election, election.voter(host, Role::Director)?)));
    let Some((election, me)) = voter else {
        return;
    };
    let election = election.clone();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let witness = Witness::open(&election, me).map_err(std::io::Error::other)?;
            tracing::info!(voter = me.0, "witness of the SQL servers");
            witness.run().await;
            Ok::<(), std::io::Error>(())
        })
    };
    let told = move || {
        if let Err(error) = work() {
            tracing::error!("no witness of the SQL servers: {error}");
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("witness".to_owned())
        .spawn(told)
    {
        tracing::error!("no witness of the SQL servers: no thread: {error}");
    }
}
