//! The three kinds of channels behind one type.

use crate::config::settings::{ChannelSettings, NotifierSettings};
use crate::notify::delivery::Delivery;
use crate::notify::email::Email;
use crate::notify::slack::Slack;
use crate::notify::webhook::Webhook;
use crate::notify::{NotifyError, RetryPolicy};
use dynowarden_core::incident::message::Message;
use dynowarden_core::time::Now;

pub(super) enum Channel {
    Email(Box<Email>),
    Slack(Slack),
    Webhook(Webhook),
}

impl Channel {
    pub(super) fn new(notifier: &NotifierSettings, retry: RetryPolicy) -> Result<Self, NotifyError> {
        let name = || notifier.name.clone();
        let http = |source| NotifyError::Http { name: name(), source };
        Ok(match &notifier.channel {
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
            Self::Email(email) => email.deliver(message).await,
            Self::Slack(slack) => slack.deliver(message, now).await,
            Self::Webhook(webhook) => webhook.deliver(message, now).await,
        }
    }
}
