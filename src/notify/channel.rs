//! The kinds of channels behind one type.

use serde_json::Value;

use crate::config::settings::{ChannelSettings, NotifierSettings};
use crate::notify::delivery::{Delivery, Poster};
use crate::notify::email::Email;
use crate::notify::pagerduty::PagerDuty;
use crate::notify::slack::Slack;
use crate::notify::webhook::Webhook;
use crate::notify::{NotifyError, RetryPolicy, discord, teams};
use dynowarden_core::incident::message::Message;
use dynowarden_core::time::Now;

pub(super) enum Channel {
    /// A receiver whose status is its whole answer.
    Card(Poster, fn(&Message) -> Value),
    Email(Box<Email>),
    PagerDuty(PagerDuty),
    Slack(Slack),
    Webhook(Webhook),
}

impl Channel {
    pub(super) fn new(notifier: &NotifierSettings, retry: RetryPolicy) -> Result<Self, NotifyError> {
        let name = || notifier.name.clone();
        let http = |source| NotifyError::Http { name: name(), source };
        let timeout = retry.timeout;
        let card = |url, payload| Poster::new(url, timeout).map(|poster| Self::Card(poster, payload));
        Ok(match &notifier.channel {
            ChannelSettings::Discord { url } => card(url, discord::payload).map_err(http)?,
            ChannelSettings::PagerDuty { url, routing_key } => {
                Self::PagerDuty(PagerDuty::new(url, routing_key.clone(), timeout).map_err(http)?)
            }
            ChannelSettings::Teams { url } => card(url, teams::payload).map_err(http)?,
            ChannelSettings::Slack { url } => Self::Slack(Slack::new(url, timeout).map_err(http)?),
            ChannelSettings::Webhook { url, secret } => {
                Self::Webhook(Webhook::new(url, secret.clone(), timeout).map_err(http)?)
            }
            ChannelSettings::Email(settings) => {
                let email = Email::new(settings, timeout)
                    .map_err(|source| NotifyError::Email { name: name(), source })?;
                Self::Email(Box::new(email))
            }
        })
    }

    pub(super) async fn deliver(&self, message: &Message, now: Now) -> Delivery {
        match self {
            Self::Card(poster, payload) => poster.post_json(&payload(message), now).await,
            Self::PagerDuty(pagerduty) => pagerduty.deliver(message, now).await,
            Self::Email(email) => email.deliver(message).await,
            Self::Slack(slack) => slack.deliver(message, now).await,
            Self::Webhook(webhook) => webhook.deliver(message, now).await,
        }
    }
}
