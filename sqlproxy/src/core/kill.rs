//! KILL: its numbers are the proxy's, and become the server's.
//!
//! Not here: sessions of other proxies.

use super::{
    server::Reply,
    session::{Gone, Sent, Session},
};
use crate::{lexer::Statement, refusal::Refusal, wire::packet::HEADER};

impl Session {
    /// `KILL [CONNECTION | QUERY] number`; other forms go to the writer as they are.
    pub(super) async fn kill_text(&mut self, sent: Sent, told: &Statement) -> Result<(), Gone> {
        let text = &self.client.input.fresh()[HEADER + 1..sent.len];
        match parse(text) {
            Some((id, is_query)) => self.kill(sent, id, is_query).await,
            None => self.statement(sent, told, None).await,
        }
    }

    /// Ends a session, or what it does now.
    pub(super) async fn kill(&mut self, sent: Sent, id: u64, is_query: bool) -> Result<(), Gone> {
        let Some(face) = self.core.shared.faces.find(id) else {
            return self.refuse(sent, &Refusal::unknown_session(id)).await;
        };
        let is_own = face
            .user
            .lock()
            .is_ok_and(|user| *user == self.login.user.name);
        if !is_own {
            let text = format!("You are not owner of thread {id}");
            return self.refuse(sent, &Refusal::new(1095, b"HY000", text)).await;
        }
        if face.id == self.face.id {
            let refusal = Refusal::new(1317, b"70100", "Query execution was interrupted");
            let refusal = if is_query {
                refusal
            } else {
                refusal.and_close()
            };
            return self.refuse(sent, &refusal).await;
        }
        let local = self.core.local();
        if let Some((server, number)) = face.at() {
            let word = if is_query { "QUERY" } else { "CONNECTION" };
            if let Some(mut connection) = self.spare(&local, server).await {
                let sql = format!("KILL {word} {number}");
                let said = connection.ask(&sql, &self.client.watch).await;
                // It is nobody's session's: another has to reset it.
                connection.of = None;
                match said {
                    Ok(Reply::Err(refusal)) if is_query => {
                        self.give(connection);
                        return self.refuse(sent, &refusal).await;
                    }
                    Ok(_) => self.give(connection),
                    Err(_) => {}
                }
            }
        }
        if !is_query {
            face.kill();
            self.core.kill(face.id);
        }
        self.fine(sent).await
    }
}

/// The number, and whether only the statement is to end.
fn parse(text: &[u8]) -> Option<(u64, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text
        .trim_end_matches([';', ' ', '\n', '\r', '\t'])
        .split_ascii_whitespace();
    words
        .next()
        .filter(|word| word.eq_ignore_ascii_case("KILL"))?;
    let mut word = words.next()?;
    let is_query = word.eq_ignore_ascii_case("QUERY");
    if is_query || word.eq_ignore_ascii_case("CONNECTION") {
        word = words.next()?;
    }
    let id = word.parse().ok()?;
    words.next().is_none().then_some((id, is_query))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_forms_with_a_number_are_understood() {
        for (text, due) in [
            ("KILL 7", Some((7, false))),
            ("kill query 7 ;", Some((7, true))),
            ("KILL CONNECTION 7", Some((7, false))),
            ("KILL QUERY ID 7", None),
            ("KILL USER app", None),
            ("KILL", None),
            ("/* x */ KILL 7", None),
        ] {
            assert_eq!(parse(text.as_bytes()), due, "{text}");
        }
    }
}
