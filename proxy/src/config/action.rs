//! What becomes of the requests of a `[[proxy.route]]`: forwarded, sent elsewhere, or answered here.
//!
//! Not here: which requests those are (`route`).

use std::{ops::Range, sync::Arc};

use daemon::{diagnostic::Diagnostic, site::findings::Findings};
use toml::Spanned;

use super::{
    Draft, Upstream, file, page,
    route::{PathRule, named},
    settings,
};
use crate::template::Template;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A server of this upstream (its place in the site's list) answers it.
    Forward(usize),
    /// The client is sent elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to.
        to: Template,
    },
    /// It is answered here.
    Respond {
        /// The status.
        status: u16,
        /// The body, as `text/html` if it begins with `<`, else as `text/plain`.
        body: Arc<str>,
        /// When to come again, in seconds.
        retry_after: Option<u32>,
    },
}

/// `None` only where there are errors among the findings.
pub(super) fn from_file(
    table: &file::Route,
    span: &Range<usize>,
    (upstreams, paths): (&[Draft<Upstream>], &[PathRule]),
    findings: &mut Findings,
) -> Option<Action> {
    let status = table.status.as_ref();
    match (&table.upstream, &table.redirect, status) {
        (Some(upstream), None, None) => {
            misplaced_body(table, findings)?;
            named(upstream, "upstream", upstreams, findings).map(Action::Forward)
        }
        (None, Some(to), status) => {
            misplaced_body(table, findings)?;
            redirect(to, (status, paths), findings)
        }
        (None, None, Some(status)) => respond(table, status, findings),
        (None, None, None) => {
            let known = ["upstream", "redirect", "status"];
            if !known.iter().any(|key| findings.is_excused(span, key)) {
                findings.push(
                    Diagnostic::error(span.clone(), "a route that leads nowhere").help(
                        "add `upstream = \"NAME\"`, `redirect = \"https://$host$target\"` or `status = 404`",
                    ),
                );
            }
            None
        }
        (Some(upstream), _, _) => findings.refuse(
            upstream.span(),
            "a route leads to one thing only",
            "keep one of `upstream`, `redirect` and `status`",
        ),
    }
}

fn respond(table: &file::Route, status: &Spanned<i64>, findings: &mut Findings) -> Option<Action> {
    let status = findings.number(status, "status", (200_u16, 599))?;
    let retry_after = table.retry_after.as_ref();
    let retry_after = retry_after.map(|time| page::seconds(time, findings));
    let body = match (&table.body, &table.page) {
        (Some(body), None) => body.get_ref().as_str().into(),
        (None, Some(file)) => page::read(file, findings)?,
        (None, None) => Arc::default(),
        (Some(_), Some(page)) => {
            let help = "keep one of `body` and `page`";
            return findings.refuse(page.span(), "an answer has one body", help);
        }
    };
    Some(Action::Respond {
        status: status.into_inner(),
        body,
        retry_after: settings::given(retry_after)?,
    })
}

/// `None` where there is a body that nobody would see.
fn misplaced_body(table: &file::Route, findings: &mut Findings) -> Option<()> {
    let body = table.body.as_ref().or(table.page.as_ref());
    let time = table.retry_after.as_ref().map(Spanned::span);
    let Some(span) = body.map(Spanned::span).or(time) else {
        return Some(());
    };
    findings.refuse(
        span,
        "a body only goes with a `status` of its own",
        "leave it out",
    )
}

fn redirect(
    to: &Spanned<String>,
    (status, paths): (Option<&Spanned<i64>>, &[PathRule]),
    findings: &mut Findings,
) -> Option<Action> {
    let known = [301, 302, 303, 307, 308];
    if let Some(status) = status.filter(|status| !known.contains(status.get_ref())) {
        return findings.refuse(
            status.span(),
            format!("{} is not the status of a redirect", status.get_ref()),
            "write 301, 302, 303, 307 or 308",
        );
    }
    let text = to.get_ref();
    let goes_somewhere = text.starts_with('/') || text.contains("://") || text.starts_with('$');
    if !goes_somewhere || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return findings.refuse(
            to.span(),
            format!("`{text}` is not where a client can be sent"),
            "write for example \"https://$host$target\" or \"/new/\"",
        );
    }
    let status = status.map_or(302, |status| {
        u16::try_from(*status.get_ref()).unwrap_or(302)
    });
    let to = template(to, paths, findings)?;
    Some(Action::Redirect { status, to })
}

/// What a server is asked for instead.
pub(super) fn rewrite(
    table: &file::Route,
    paths: &[PathRule],
    findings: &mut Findings,
) -> Option<Option<Template>> {
    let Some(to) = &table.rewrite else {
        return Some(None);
    };
    if table.upstream.is_none() {
        return findings.refuse(
            to.span(),
            "only what a server is asked for can be rewritten",
            "add `upstream = \"NAME\"`, or leave it out",
        );
    }
    let text = to.get_ref();
    let is_plain = |b: u8| b.is_ascii_graphic() && b != b'#';
    if !text.starts_with(['/', '$']) || !text.bytes().all(is_plain) {
        return findings.refuse(
            to.span(),
            format!("`{text}` is not what a server can be asked for"),
            "write a path: \"/new/$1\", where $1 is what follows the route's `prefix`",
        );
    }
    template(to, paths, findings).map(Some)
}

/// A text whose groups all paths of its route have.
fn template(
    text: &Spanned<String>,
    paths: &[PathRule],
    findings: &mut Findings,
) -> Option<Template> {
    let template = match Template::new(text.get_ref()) {
        Ok(template) => template,
        Err(told) => {
            let message = format!("`{}` {told}", text.get_ref());
            return findings.refuse(text.span(), message, "write `$$` for a dollar");
        }
    };
    let wanted = template.last_group();
    let groups = paths.iter().map(PathRule::groups).min().unwrap_or(0);
    if wanted > groups {
        return findings.refuse(
            text.span(),
            format!(
                "`{}` has ${wanted}, which not every path of this route gives",
                text.get_ref()
            ),
            "$1 to $9 are the groups of `regex`; of a `prefix`, $1 is what follows it",
        );
    }
    Some(template)
}
