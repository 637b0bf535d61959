//! `SLACK_URL` and its like: one variable, one notifier.

use toml::Spanned;

use crate::config::field::{Field, SecretKind};
use crate::config::keys;
use crate::config::notify::{GROUP, REPEAT, ROUTING_KEY, checked, free_name};
use crate::config::problem::SHOWN_AS;
use crate::config::reader::Reader;
use crate::config::receivers;
use crate::config::settings::{ChannelSettings, NotifierSettings};
use crate::config::types::ChannelType;
use dynowarden_core::incident::kind::Kind;

/// The variables that make a notifier alone, with every default.
const SHORT: [(&str, ChannelType, SecretKind); 4] = [
    ("SLACK_URL", ChannelType::Slack, receivers::SLACK_URL),
    ("TEAMS_URL", ChannelType::Teams, receivers::TEAMS_URL),
    ("DISCORD_URL", ChannelType::Discord, receivers::DISCORD_URL),
    ("PAGERDUTY_KEY", ChannelType::PagerDuty, ROUTING_KEY),
];

/// A variable that a `[[notify]]` names is that notifier's, and makes none of its own.
pub(super) fn read(
    reader: &mut Reader<'_>,
    sections: &[Spanned<keys::Notify>],
    mut notifiers: Vec<NotifierSettings>,
) -> Vec<NotifierSettings> {
    let is_named = |name: &str| {
        let mut named = sections.iter().flat_map(|section| {
            let section = section.get_ref();
            [&section.url_env, &section.secret_env].into_iter().filter_map(Field::found)
        });
        named.any(|found| found.value.text() == Some(name))
    };
    for (variable, channel_type, kind) in SHORT {
        let Some(found) = reader.variable(variable).filter(|_| !is_named(variable)) else { continue };
        let Some(secret) = checked(reader, &found, found.value.text().map(str::to_owned), SHOWN_AS, kind)
        else {
            continue;
        };
        let channel = match channel_type {
            ChannelType::Slack => ChannelSettings::Slack { url: secret },
            ChannelType::Teams => ChannelSettings::Teams { url: secret },
            ChannelType::Discord => ChannelSettings::Discord { url: secret },
            _ => ChannelSettings::PagerDuty {
                url: receivers::PAGERDUTY_EVENTS.to_owned().into(),
                routing_key: secret,
            },
        };
        let name = free_name(channel_type.word().into(), &notifiers);
        notifiers.push(NotifierSettings {
            apps: None,
            channel,
            digest: None,
            group: GROUP,
            name,
            on: Kind::DEFAULT.into(),
            repeat: REPEAT,
            variable: Some(variable),
        });
    }
    notifiers
}
