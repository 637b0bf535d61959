//! The kinds of channels behind one type.

use crate::config::settings::{ChannelSettings, NotifierSettings};
use crate::notify::delivery::Delivery;
use crate::notify::discord::Discord;
use crate::notify::email::Email;
use crate::notify::pagerduty::PagerDuty;
use crate::notify::slack::Slack;
use crate::notify::teams::Teams;
use crate::notify::webhook::Webhook;
use crate::notify::{NotifyError, RetryPolicy};
use dynowarden_core::incident::message::Message;
use dynowarden_core::time::Now;

pub(super) enum Channel {
    Discord(Discord),
    Email(Box<Email>),
    PagerDuty(PagerDuty),
    Slack(Slack),
    Teams(Teams),
    Webhook(Webhook),
}

impl Channel {
    pub(super) fn new(notifier: &NotifierSettings, retry: RetryPolicy) -> Result<Self, NotifyError> {
        let name = || notifier.name.clone();
        let http = |source| NotifyError::Http { name: name(), source };
        let timeout = retry.timeout;
        Ok(match &notifier.channel {
            ChannelSettings::Discord { url } => Self::Discord(Discord::new(url, timeout).map_err(http)?),
            ChannelSettings::PagerDuty { url, routing_key } => {
                Self::PagerDuty(PagerDuty::new(url, routing_key.clone(), timeout).map_err(http)?)
            }
            ChannelSettings::Teams { url } => Self::Teams(Teams::new(url, timeout).map_err(http)?),
            ChannelSettings::Slack { url } => Self::Slack(Slack::new(url, retry.timeout).map_err(http)?),
            ChannelSettings::Webhook { url, secret } => {
                Self::Webhook(Webhook::new(url, secret.clone(), retry.timeout).map_err(http)?)
            }
            ChannelSettings::Email(settings) => {
                let email = Email::new(settings, retry.timeout)
                    .map_err(|source| NotifyError::Email { name: name(), source })?;
                Self::Email(Box::new(email))
            }
        })
    }

    pub(super) async fn deliver(&self, message: &Message, now: Now) -> Delivery {
        match self {
            Self::Discord(discord) => discord.deliver(message, now).await,
            Self::PagerDuty(pagerduty) => pagerduty.deliver(message, now).await,
            Self::Teams(teams) => teams.deliver(message, now).await,
            Self::Email(email) => email.deliver(message).await,
            Self::Slack(slack) => slack.deliver(message, now).await,
            Self::Webhook(webhook) => webhook.deliver(message, now).await,
        }
    }
}
