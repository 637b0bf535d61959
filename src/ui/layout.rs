//! The frame of every page: head, banner, navigation and footer.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::ui::assets::Assets;
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::ident::AppName;

/// What every page of one moment has in common.
#[derive(Clone, Debug)]
pub struct Layout<'f> {
    /// The answer to a form, shown once above the page.
    pub told: Option<Told>,
    /// Where logplex reaches this daemon, for commands to copy.
    pub public_url: Option<&'f PublicUrl>,
    /// The style sheet and the script.
    pub assets: &'f Assets,
    /// The id of the last event before the page was rendered; a stream that begins later asks for a reload.
    pub seen: &'f str,
    /// The form token, which every form contains.
    pub token: &'f str,
    pub version: &'f str,
}

/// What became of what a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub text: String,
    /// A command that does it all the same, if there is one.
    pub command: Option<String>,
    pub is_done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// `/`, kept up to date element by element.
    Overview,
    /// `/decisions`.
    Decisions,
    /// A page of one process type over days, which does not change by the second.
    Days,
    /// A page of one app or one dyno.
    Detail,
    /// An error page, without live updates.
    Error,
}

/// The policy of every page: only our own content and forms, no framing, no base, and elements from text
/// only by the script's own policy.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'; trusted-types dynowarden";

pub fn page(layout: &Layout<'_>, kind: PageKind, title: &str, content: Markup) -> Markup {
    let live = match kind {
        PageKind::Overview => "parts",
        PageKind::Decisions | PageKind::Detail => "whole",
        PageKind::Days | PageKind::Error => "no",
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · dynowarden" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href=(layout.assets.icon.path) type="image/svg+xml";
                link rel="stylesheet" href=(layout.assets.style.path);
                @if kind != PageKind::Error { script src=(layout.assets.script.path) defer {} }
            }
            body data-live=(live) data-seen=(layout.seen) {
                a.skip href="#main" { "Skip to content" }
                (banner(kind))
                main id="main" tabindex="-1" {
                    @if let Some(told) = &layout.told { (banner_of(told)) }
                    (content)
                }
                p.hidden id="said" role="status" aria-live="polite" {}
                (foot(layout))
            }
        }
    }
}

pub fn token_field(layout: &Layout<'_>) -> Markup {
    html! { input type="hidden" name="token" value=(layout.token); }
}

fn banner_of(told: &Told) -> Markup {
    let tone = if told.is_done { "good" } else { "bad" };
    html! {
        section.told.(tone) role="status" aria-label="Answer" {
            p { (told.text) }
            @if let Some(command) = &told.command { p { "To do it all the same: " code { (command) } } }
        }
    }
}

/// The command that adds an app's drain. The password is the shell's, never ours.
pub(super) fn drain_command(layout: &Layout<'_>, app: &AppName) -> String {
    let userinfo = "drain:$DRAIN_PASSWORD";
    let own = layout.public_url.and_then(|url| url.with_userinfo(userinfo, app));
    let url = own.unwrap_or_else(|| format!("https://{userinfo}@THIS-HOST/logs/{app}"));
    format!("heroku drains:add \"{url}\" -a {app}")
}

fn banner(kind: PageKind) -> Markup {
    let current = |here: bool| here.then_some("page");
    html! {
        header.top {
            a.brand href="/" { (PreEscaped(MARK)) "dynowarden" }
            nav aria-label="Pages" {
                a href="/" aria-current=[current(kind == PageKind::Overview)] { "Overview" }
                a href="/decisions" aria-current=[current(kind == PageKind::Decisions)] { "Decisions" }
            }
            @if kind != PageKind::Error { span.live id="live" data-state="off" { "Not live" } }
        }
    }
}

fn foot(layout: &Layout<'_>) -> Markup {
    html! {
        footer {
            p { "dynowarden " (layout.version) " · " span id="zone" { "all times are UTC" } }
            p {
                "As JSON: " a href="/api/v1/dynos" { "dynos" } ", " a href="/api/v1/decisions" { "decisions" }
                " · " a href="/metrics" { "metrics" }
            }
        }
    }
}

/// A shield with a level in it.
const MARK: &str = concat!(
    r#"<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path class="shield" "#,
    r#"d="M12 1.5 3.5 4.6v6.6c0 5.2 3.5 9.3 8.5 11.3 5-2 8.5-6.1 8.5-11.3V4.6z"/>"#,
    r#"<path class="beat" d="M6.6 13h2.6l1.7-5 2.6 8.4 1.6-3.4h2.3"/></svg>"#,
);
