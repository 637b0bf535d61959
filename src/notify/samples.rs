//! Messages to format: one of every sort, and one with hostile texts.

use dynowarden_core::incident::message::{Links, Message};
use dynowarden_core::incident::stories;

pub(super) fn all() -> Vec<(&'static str, Message)> {
    let mut all = stories::messages();
    all.push(("hostile", hostile()));
    all
}

/// A message with both links.
pub(super) fn linked() -> Message {
    let (_, mut message) = stories::messages().remove(0);
    message.links = Links { page: Some(PAGE.to_owned()), dashboard: Some(DASHBOARD.to_owned()) };
    message
}

pub(super) const PAGE: &str = "https://warden.example.com/apps/acme/dynos/web.1";
pub(super) const DASHBOARD: &str = "https://dashboard.heroku.com/apps/acme/metrics/web";

pub(super) fn hostile() -> Message {
    let (_, mut message) = stories::messages().remove(0);
    let trick =
        "<!channel> <@U1> & \"<script>alert('x')</script>\" <img src=x>\r\nBcc: everybody@example.com\u{7}";
    message.title = format!("acme web.1: {trick}");
    message.body = vec![trick.repeat(40), "*bold* _it_ `code`".to_owned()];
    message
}
